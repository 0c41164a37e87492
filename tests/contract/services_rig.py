"""All four services as processes, with a real nats-server, a ToR's real P4Runtime server and two real Open vSwitches.

h1 and h2 are hosts of one rack; red-a and red-b, one on each, are the pair that moves.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from contract.host_writer_rig import A, B
from contract.ovs_machine import OvsMachine
from ezpath.names import Mac
from tor_server import P4, ServerOnly

BIN = Path(sys.executable).parent
NETWORK = """
tenants: {{red: {{vni: 5001}}}}
switches:
  tor1:
    {{rack: r1, device_id: 1, address: "{tor}", vtep: 10.255.0.1, mac: "02:aa:00:00:00:01",
     ports: [{{number: 1, address: 10.1.1.0}}, {{number: 2, address: 10.1.2.0}}]}}
hosts:
  h1: {{switch: tor1, port: 1, vtep: 10.1.1.1, {h1}}}
  h2: {{switch: tor1, port: 2, vtep: 10.1.2.1, {h2}}}
endpoints:
"""
ENDPOINT = '  - {{name: {0}, tenant: red, mac: "{1}", ip: 10.0.0.{2}, host: {3}, interface: {0}}}\n'
End = tuple[str, Mac, str]
"""An endpoint's name, address and host."""
ENDS: tuple[End, ...] = (("red-a", A, "h1"), ("red-b", B, "h2"))
PAIR = "red.red-a.red-b"
OPTIONS: dict[str, Sequence[str]] = {
    # One poll: without samples nothing is decided, so that only who asks moves a pair.
    "collector": ("--interval", "3600"),
    "decider": ("--interval", "0.2", "--gone-after-s", "1", "--drain-s", "0.2", "--step-timeout-s", "30"),
    "switch-writer": ("--p4-dir", str(P4), "--audit-interval", "600"),
    "host-writer": ("--audit-interval", "600"),
}


class Services:
    """Started by :func:`running`; each may be ended and started again."""

    def __init__(
        self, directory: Path, url: str, tor: ServerOnly, h1: OvsMachine, h2: OvsMachine, ends: Sequence[End]
    ) -> None:
        self.url = url
        self.tor = tor
        self.h1, self.h2 = h1, h2
        self.inventory = str(directory / "network.yaml")
        self._directory = directory
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.options = dict(OPTIONS)
        self.shown: Callable[[str], Sequence[str]] = lambda who: ()
        """What a service, or a person at the command line, shows NATS."""
        self._ends = ends
        self.describe({"h1": h1.remote, "h2": h2.remote}, {})

    def describe(self, ovsdb: Mapping[str, str], openflow: Mapping[str, Mapping[str, str]]) -> None:
        """Write the inventory, with where each host's Open vSwitch is reached."""
        where = {host: f'ovsdb: "{at}", openflow: {json.dumps(openflow.get(host, {}))}' for host, at in ovsdb.items()}
        network = NETWORK.format(tor=self.tor.address, **where)
        ends = (ENDPOINT.format(name, mac, 1 + number, host) for number, (name, mac, host) in enumerate(self._ends))
        self.described = network + "".join(ends)
        Path(self.inventory).write_text(self.described)

    async def start(self, *names: str) -> None:
        """Returns when they are ready."""
        for name in names:
            self.spawn(name, *self.options[name])
        await self.until(lambda: all(self._ready(name).exists() for name in names), "services are ready", 60)

    def spawn(self, name: str, *options: str) -> None:
        """The same, and nobody waits until it is ready."""
        self._ready(name).unlink(missing_ok=True)
        command = [str(BIN / f"ezpath-{name}"), "--nats", self.url, "--inventory", self.inventory]
        command += ["--ready-file", str(self._ready(name)), *options, *self.shown(name)]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("EZPATH_")}
        with self._log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(command, stderr=log, env=clean)

    def end(self, *names: str, number: signal.Signals = signal.SIGTERM) -> None:
        for name in names:
            self.processes[name].send_signal(number)
        for name in names:
            self.processes.pop(name).wait(20)

    def memory_mib(self, name: str, what: str = "VmRSS") -> float:
        """What the process has in memory; with ``VmHWM``, the most that it ever had."""
        status = Path(f"/proc/{self.processes[name].pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith(f"{what}:")]
        return int(line.split()[1]) / 1024

    def log(self, name: str) -> str:
        return self._log(name).read_text(errors="replace")

    async def ezpath(self, *arguments: str, user: str = "operator", inventory: bool = True) -> tuple[int, str, str]:
        """The command line, to its end: exit status, standard output, standard error."""
        process = await asyncio.create_subprocess_exec(
            str(BIN / "ezpath"),
            *arguments,
            "--nats",
            self.url,
            *(("--inventory", self.inventory) if inventory else ()),
            *self.shown(user),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, out.decode(), err.decode()

    async def until(self, true: Callable[[], object], what: str, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            ended = [name for name, process in self.processes.items() if process.poll() is not None]
            assert not ended, f"{ended[0]} ended: {self.log(ended[0])[-2000:]}"
            assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
            await asyncio.sleep(0.05)

    def _ready(self, name: str) -> Path:
        return self._directory / f"{name}.ready"

    def _log(self, name: str) -> Path:
        return self._directory / f"{name}.log"


@asynccontextmanager
async def running(
    directory: Path,
    url: str,
    make_machine: Callable[[], OvsMachine],
    ends: Sequence[End] = ENDS,
    limits: Mapping[str, int] | None = None,
    prepare: Callable[[Services], None] = lambda services: None,
    tor: ServerOnly | None = None,
    **options: Sequence[str],
) -> AsyncIterator[Services]:
    """All of them started and ready; ``options`` in place of the usual ones, by service.

    ``ends``: the endpoints; ``limits``: entries that the ToR has room for, by table, which it tells nobody.
    ``prepare`` has them before they are started.
    """
    tor = tor or ServerOnly(directory, limits=limits)
    await tor.start()
    machines = {"h1": make_machine(), "h2": make_machine()}
    for name, _, host in ends:
        machines[host].plug("br-int", name)
    services = Services(directory, url, tor, machines["h1"], machines["h2"], ends)
    try:
        services.options |= options
        prepare(services)
        await services.start(*OPTIONS)
        yield services
    finally:
        for process in services.processes.values():
            process.kill()
            process.wait()
        await tor.stop()
