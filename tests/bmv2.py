"""BMv2, the reference switch: where it is, and a process of it for tests of those who talk to it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from ezpath_lab import bmv2 as lab
from ezpath_lab.bmv2 import BINARY
from tor_server import P4, WholeTor


def need_bmv2() -> None:
    """Skip the test where BMv2 is missing. That may be, in CI too: it is in no package of Debian's or Python's."""
    if shutil.which(BINARY) is None:
        pytest.skip(f"{BINARY} is not on PATH: it is to be built from github.com/p4lang/behavioral-model")


class Bmv2(WholeTor):
    """``simple_switch_grpc``, and its Thrift port at :attr:`registers`. Without a ``name`` it has no ports."""

    program = "ezpath.bmv2"
    says_full = lab.Bmv2.says_full

    def __init__(
        self, directory: Path, name: str = "", device_id: int = 1, limits: Mapping[str, int] | None = None
    ) -> None:
        super().__init__(directory, name, device_id, limits)
        self._thrift = _free_port()
        self._way_in = directory / f"tor{device_id}.thrift"
        self._relay: subprocess.Popen[bytes] | None = None
        if limits:
            # A table is as large as the program says, so a smaller one is another program.
            self.p4_dir = directory / f"p4-{device_id}"
            self.p4_dir.mkdir()
            lab.copy_program(P4, self.program, self.p4_dir)
            lab.shrink(self.p4_dir / f"{self.program}.json", limits)

    @property
    def registers(self) -> str:
        return f"thrift+unix:{self._way_in}" if self.namespace else f"thrift://127.0.0.1:{self._thrift}"

    def _command(self) -> list[str]:
        ports = [(port, f"p{port}") for port in (1, 2, 10)] if self.namespace else []
        return lab.command(self.device_id, ports, self._thrift, self.address)

    def _launch(self) -> None:
        super()._launch()
        if self.namespace:
            relay = [sys.executable, "-m", "ezpath_lab.relay", "--listen", str(self._way_in)]
            inside = ["ip", "netns", "exec", self.namespace]
            self._relay = subprocess.Popen([*inside, *relay, "--port", str(self._thrift)])

    async def stop(self) -> None:
        await super().stop()
        self._forget_socket()
        if self._relay is not None:
            self._relay.terminate()
            await asyncio.to_thread(self._relay.wait, 15)
            self._relay = None

    def _forget_socket(self) -> None:
        """It leaves it behind, and the next one would seem to listen already."""
        Path(self.address.removeprefix("unix:")).unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
