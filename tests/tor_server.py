"""A switch for tests of those who talk to one: the software ToR's real P4Runtime server, or the ToR as a whole.

``ServerOnly`` has the server, its protocol and its rules, with tables and registers in memory instead of eBPF: quick,
and no root is needed. ``WholeTor`` is the `ezpath-tor` process on veth ports in a network namespace of its own.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import grpc
import grpc.aio
from ezpath.tls import TlsFiles
from ezpath_tor.server import Switch, make_server
from memory_plane import MemoryPlane

from p4rt import Client, TableEntry

P4 = Path(__file__).parents[1] / "p4"


class _Readable:
    """What all kinds can be asked, as anybody may: reading needs no primacy."""

    address: str
    device_id: int
    program = "ezpath"
    p4_dir = P4
    says_full = "RESOURCE_EXHAUSTED"

    tls: TlsFiles | None = None
    """What who asks has to show."""

    async def entries(self, *tables: str) -> set[TableEntry]:
        """What the switch holds in ``tables`` (all when none is named)."""
        async with Client(self.address, self.device_id, tls=self.tls) as client:
            if await client.get_pipeline() is None:
                return set()
            held = {entry for entry in await client.read_table() if not entry.default}
        return {entry for entry in held if not tables or entry.table in tables}


class ServerOnly(_Readable):
    """In this process, on a unix socket; or over TCP, with TLS, where it is given :attr:`credentials`."""

    def __init__(self, directory: Path, device_id: int = 1, limits: Mapping[str, int] | None = None) -> None:
        self.address = f"unix:{directory}/tor{device_id}.sock"
        self.device_id = device_id
        self.limits = dict(limits or {})
        self.plane = MemoryPlane({1: "p1", 2: "p2", 10: "p10"})
        self._server: grpc.aio.Server | None = None
        self._switch: Switch | None = None
        self.credentials: grpc.ServerCredentials | None = None

    async def start(self) -> None:
        self.plane = MemoryPlane({1: "p1", 2: "p2", 10: "p10"})
        self._switch = Switch(self.device_id, self.plane, self.limits)
        self._server = make_server(self._switch)
        if self.credentials is None:
            assert self._server.add_insecure_port(self.address)
        else:
            assert self._server.add_secure_port(self.address, self.credentials)
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None and self._switch is not None:
            await self._server.stop(grace=0)
            await self._switch.close()
            self._server = self._switch = None


class WholeTor(_Readable):
    """The process, with veth ports 1, 2 and 10, in the namespace ``name``."""

    def __init__(self, directory: Path, name: str, device_id: int = 1, limits: Mapping[str, int] | None = None) -> None:
        self.address = f"unix:{directory}/tor{device_id}.sock"
        self.device_id = device_id
        self.limits = dict(limits or {})
        self.namespace = name
        self._log = directory / f"tor{device_id}.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._make_ports()
        self._launch()
        deadline = time.monotonic() + 15
        while not self._listens():
            assert time.monotonic() < deadline, f"the ToR did not start: {self._log.read_text()[-2000:]}"
            await asyncio.sleep(0.05)

    def _make_ports(self) -> None:
        if not self.namespace or Path(f"/run/netns/{self.namespace}").exists():
            return
        _ip("netns", "add", self.namespace)
        _ip("-n", self.namespace, "link", "set", "lo", "up")
        for port in (1, 2, 10):
            _ip("-n", self.namespace, "link", "add", f"p{port}", "type", "veth", "peer", "name", f"q{port}")
            for end in (f"p{port}", f"q{port}"):
                _ip("-n", self.namespace, "link", "set", end, "up")

    def _launch(self) -> None:
        inside = ["ip", "netns", "exec", self.namespace] if self.namespace else []
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([*inside, *self._command()], stdout=log, stderr=log)

    def _command(self) -> list[str]:
        command = [str(Path(sys.executable).parent / "ezpath-tor")]
        command += ["--device-id", str(self.device_id), "--listen", self.address, "--die-with-parent"]
        command += ["--empty"]  # a restart of it is a switch that was switched off
        for port in (1, 2, 10):
            command += ["--port", f"{port}=p{port}"]
        for table, entries in self.limits.items():
            command += ["--limit", f"{table}={entries}"]
        return command

    def _listens(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self._log.read_text()[-2000:]
        # The file is there a moment before anybody listens.
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.address.removeprefix("unix:")) == 0

    async def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, 15)
            self._process = None

    def remove(self) -> None:
        """The namespace, and with it its links."""
        if self.namespace and Path(f"/run/netns/{self.namespace}").exists():
            _ip("netns", "del", self.namespace)


def _ip(*arguments: str) -> None:
    done = subprocess.run([shutil.which("ip") or "ip", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr}"


Tor = ServerOnly | WholeTor
