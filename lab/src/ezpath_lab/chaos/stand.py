"""The lab as chaos has it: services behind gates and with clocks of their own, NATS on small disks of its own.

Imperative shell around :mod:`ezpath_lab.lab`. What it starts it can kill and start again, by name.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from ezpath_lab import net, ovs_host
from ezpath_lab.chaos.buses import ALONE, Servers
from ezpath_lab.chaos.clocks import Clocks
from ezpath_lab.chaos.gates import Gate, to_unix
from ezpath_lab.lab import Lab
from ezpath_lab.processes import BUS, SERVICE, TOR, Child, accepts
from ezpath_lab.shell import LabError, attempt, program
from ezpath_lab.topology import tor_socket

READY_S = 60.0
NEVER_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Timing:
    """The sagas' own times, short, so that many fit in: still longer than any frame of this lab is under way."""

    drain_s: float = 1.0
    quarantine_s: float = 3.0
    step_timeout_s: float = 10.0
    audit_s: float = 2.0


def services_of(deciders: int) -> tuple[str, ...]:
    """All services of a stand, in the order they are started."""
    return ("switch-writer", "host-writer", *_deciders(deciders), "collector")


def _deciders(count: int) -> tuple[str, ...]:
    return tuple("decider" if number == 1 else f"decider-{number}" for number in range(1, count + 1))


class Stand:
    """Made of a lab that is not up yet."""

    def __init__(self, lab: Lab, deciders: int, timing: Timing, servers: tuple[str, ...] = ALONE) -> None:
        self.lab = lab
        self.timing = timing
        self.clocks = Clocks(lab.state.directory / "clocks")
        self.gates: dict[str, Gate] = {}
        """By service: in front of NATS."""
        self.tor_gates: dict[str, Gate] = {}
        """By switch: in front of it, for its writer."""
        self.options: dict[str, tuple[str, ...]] = {}
        self.deciders = _deciders(deciders)
        self.services = services_of(deciders)
        self.bus = Servers(lab, servers, self._until)
        self._ports: dict[str, int] = {}
        self._p4_dir = Path("p4")

    # ---- coming up

    async def up(self, p4_dir: Path) -> None:
        """Racks, ToRs, overlay, NATS and services. Raises :class:`LabError`."""
        lab = self.lab
        self._p4_dir = await asyncio.to_thread(lab.up, p4_dir)
        await asyncio.to_thread(self._steady)
        self.clocks.build()
        self._inventory()
        await self.bus.up()
        for tor in lab.topology.tors:
            gate = self.tor_gates[tor.name] = Gate(to_unix(tor_socket(lab.state.run_dir, tor.name)))
            await gate.listen_unix(self._gate_socket(tor.name))
        self._options()
        for service in self.services:
            gate = self.gates[service] = Gate(self.bus.way)
            self._ports[service] = await gate.listen_tcp()
        lab.let_services_start()
        for service in self.services:
            await self.start(service)

    def _steady(self) -> None:
        """What is not EZPath's must not lose a packet by itself, and a ToR without its program must not forward."""
        topology = self.lab.topology
        scripts = {topology.namespace(tor.name): "echo 0 > /proc/sys/net/ipv4/ip_forward" for tor in topology.tors}
        for container in topology.containers:
            others = [other for other in topology.of_tenant(container.tenant) if other != container]
            scripts[topology.container_namespace(container.name)] = "; ".join(
                f"ip neighbour replace {other.ip} lladdr {other.mac} dev eth0 nud permanent" for other in others
            )
        net.each(scripts)

    def _inventory(self) -> None:
        """The writer's own: it reaches each switch through its gate."""
        document = yaml.safe_load(self.lab.inventory_file.read_text())
        for name, switch in document["switches"].items():
            switch["address"] = f"unix:{self._gate_socket(name)}"
        self._writers_inventory.write_text(yaml.safe_dump(document, sort_keys=False))

    @property
    def _writers_inventory(self) -> Path:
        return self.lab.state.run_dir / "inventory-writer.yaml"

    def _gate_socket(self, tor: str) -> Path:
        return self.lab.state.run_dir / f"{tor}-gate.sock"

    def _options(self) -> None:
        timing = self.timing
        audit = ("--audit-interval", str(timing.audit_s))
        self.options["switch-writer"] = ("--p4-dir", str(self._p4_dir), *audit)
        self.options["host-writer"] = audit
        self.options["collector"] = ("--interval", "5")
        for decider in self.deciders:
            # Nothing is to be decided but what the harness asks for: no rounds.
            self.options[decider] = (
                *("--interval", str(NEVER_S), "--enter-bps", "1e12", "--exit-bps", "1e-3"),
                *("--step-timeout-s", str(timing.step_timeout_s), "--drain-s", str(timing.drain_s)),
                *("--quarantine-s", str(timing.quarantine_s), "--shards", str(len(self.deciders))),
            )

    # ---- services

    async def start(self, service: str) -> None:
        """Start it, and wait until it says that it is ready."""
        child = self.spawn(service)
        if not await self.ready(service, READY_S):
            raise LabError(f"{service}: not ready after {READY_S:.0f} s. {child.log} ends:{child.tail()}")

    async def ready(self, service: str, timeout_s: float) -> bool:
        """Whether it says that it is ready, within so long. Raises :class:`LabError` where it has ended."""
        child = self.lab.processes.named(service)
        if child is None:
            raise LabError(f"{service} does not run")
        deadline = time.monotonic() + timeout_s
        while not self._ready_file(service).exists():
            if child.popen.poll() is not None:
                raise LabError(f"{service} ended with status {child.popen.poll()}. {child.log} ends:{child.tail()}")
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.03)
        return True

    def spawn(self, service: str) -> Child:
        """Start it, and do not wait."""
        lab = self.lab
        self._ready_file(service).unlink(missing_ok=True)
        kind = "decider" if service in self.deciders else service
        inventory = self._writers_inventory if service == "switch-writer" else lab.inventory_file
        return lab.processes.start(
            service,
            *(program(f"ezpath-{kind}"), "--nats", f"nats://127.0.0.1:{self._ports[service]}"),
            *("--inventory", str(inventory), "--ready-file", str(self._ready_file(service))),
            *self.options[service],
            rank=SERVICE,
            env=self.clocks.environment(service),
        )

    def _ready_file(self, service: str) -> Path:
        return self.lab.state.run_dir / f"{service}.ready"

    def kill(self, name: str) -> None:
        """SIGKILL to a process of the lab, whatever it is doing."""
        child = self.lab.processes.named(name)
        if child is None:
            raise LabError(f"{name} was to be killed and does not run. See {self.lab.state.directory / 'log'}")
        status = child.popen.poll()
        if status is not None and child.record.rank != BUS:
            raise LabError(f"{name} was to be killed and had ended with status {status}. Its log ends:{child.tail()}")
        child.popen.send_signal(signal.SIGKILL)
        self.lab.processes.stop(child)

    def runs(self, name: str) -> bool:
        child = self.lab.processes.named(name)
        return child is not None and child.popen.poll() is None

    def died(self) -> list[str]:
        """Processes that nobody killed and that have ended."""
        children = [*self.lab.processes.running(SERVICE), *self.lab.processes.running(TOR)]
        return [f"{child.name} (status {child.popen.poll()})" for child in children if child.popen.poll() is not None]

    async def _until(self, child: Child, ready: Callable[[], Awaitable[bool]], what: str, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not await ready():
            if child.popen.poll() is not None:
                raise LabError(
                    f"{child.name} ended with status {child.popen.poll()} before {what}. "
                    f"{child.log} ends:{child.tail()}"
                )
            if time.monotonic() > deadline:
                raise LabError(f"{child.name}: not {what} after {timeout_s:.0f} s. {child.log} ends:{child.tail()}")
            await asyncio.sleep(0.03)

    # ---- NATS

    @property
    def nats(self) -> str:
        return self.bus.urls

    # ---- ToRs and hosts

    async def start_tor(self, name: str, *, empty: bool) -> None:
        """``empty``: as a switch that was switched off; else it goes on with what is on its ports."""
        lab = self.lab
        tor = lab.topology.tor(name)
        words: Sequence[str] = lab.kind.command(lab.topology, tor, lab.state.run_dir, ())
        child = lab.processes.start(
            name,
            *words,
            *(("--empty",) if empty else ()),
            rank=TOR,
            namespace=lab.topology.namespace(name),
        )
        # Ready when it answers: the socket of the one before may still lie there.
        socket = tor_socket(lab.state.run_dir, name)

        async def listens() -> bool:
            return accepts(socket)

        await self._until(child, listens, "listening", READY_S)

    async def restart_ovs(self, host: str, down_s: float) -> None:
        """ovs-vswitchd is killed and started, and its operator puts the overlay's flows back."""
        ovs = self.lab.hosts[host]
        self.kill(ovs.vswitchd.name)
        await asyncio.sleep(down_s)
        child = ovs_host.start_daemon(self.lab.topology, ovs.host, self.lab.state.run_dir, self.lab.processes)
        self.lab.hosts[host] = ovs = replace(ovs, vswitchd=child)
        await asyncio.to_thread(ovs_host.bring_up, self.lab.topology, ovs, self.lab.state.datapath)

    def ezpath_diff(self) -> list[str]:
        """What ``ezpath diff`` has to say; nothing where it sees no difference."""
        argv = (program("ezpath"), "diff", "--nats", self.nats, "--inventory", str(self.lab.inventory_file))
        done = attempt(*argv)
        return [] if done.returncode == 0 else [f"ezpath diff: {(done.stdout + done.stderr).strip()}"]

    async def close(self) -> None:
        for gate in (*self.gates.values(), *self.tor_gates.values()):
            await gate.close()
