"""Two hosts that are no guests, cabled as guests are: cells of this machine, or of two machines."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ezpath_lab.shell import LabError, in_namespace, run

from ezpath_bench.dataplane.paths import Workshop
from ezpath_bench.figures.cells.cell import Cell
from ezpath_bench.figures.cells.machines import Machine, Machines
from ezpath_bench.figures.guests import plan
from ezpath_bench.figures.guests.host import CpuSeconds, Host
from ezpath_bench.figures.guests.plan import SIDES, Side
from ezpath_bench.figures.guests.site import NICS, Site
from ezpath_bench.figures.guests.ways import by_command

_PROGRAMS = (
    *("ovs-vswitchd", "ovsdb-server", "iperf3", "sockperf", "socat"),
    *("tc", "bpftool", "ethtool", "python3", "nsenter"),
)
_RUN = "/run/openvswitch"


class _Cells(Site):
    """What both kinds have in common: no management network, and cards that segment tagged frames by themselves."""

    def _ways(self, side: Side) -> dict[str, str]:
        cell = self.guests[side]
        assert isinstance(cell, Cell)
        return {name: by_command(cell.way(f"{_RUN}/{name}")) for name in plan.SOCKETS}

    def _entered(self, cell: Cell) -> Cell:
        """It runs, and has what it needs."""
        self._stack.enter_context(cell)
        missing = cell.run(f"for p in {' '.join(_PROGRAMS)}; do command -v $p >/dev/null || echo $p; done").split()
        if missing:
            raise LabError(f"host {cell.name} has no {', '.join(missing)}. Install what they belong to there")
        return cell


class Namespaces(_Cells):
    """(a): hosts in one kernel, this one, which has Open vSwitch's module."""

    def cpu(self) -> list[CpuSeconds]:
        """One kernel keeps one account: of the whole machine, ToRs and bench included."""
        return [self.guests[SIDES[0]].cpu_seconds()]

    def _prepare(self, say: Callable[[str], None]) -> None:
        refused = why_not()
        if refused:
            raise LabError(refused)

    def _wire(self, side: Side, nic: int) -> None:
        outside = ("ip", "link", "add", side.tap(nic), "type", "veth", "peer", "name", _far(side, nic))
        run(*in_namespace(self.namespace, *outside, "address", side.mac(nic)))

    def _host(self, side: Side) -> Host:
        cards = {_far(side, nic): f"vec{nic}" for nic in range(NICS)}
        return self._entered(Cell(side.name, cards, self.namespace))

    def _cabled(self, side: Side, host: Host) -> None:
        self._attach(side.tap(2), "pass", side.peer.tap(2))

    def _ideal(self) -> None:
        """A cable as between guests, and the tag exchanged on it."""
        for side in SIDES:
            self._attach(side.tap(0), "retag", side.peer.tap(0), vid=side.peer.vid)
            self.guests[side].run(plan.next_hop(side, side.peer.mac(0)))


class Remote(_Cells):
    """(c): machines of their own. What is between them is theirs: a wire, or a switch that lets tags through."""

    def __init__(self, workshop: Workshop, stack: ExitStack, machines: Machines) -> None:
        super().__init__(workshop, stack)
        self._machines = dict(zip(SIDES, machines.machines, strict=True))
        self._options = machines.options(str(workshop.folder))
        # one tag on either side, for nothing between the racks exchanges it
        self.services.vids = (plan.VIDS[0], plan.VIDS[0])

    def _prepare(self, say: Callable[[str], None]) -> None:
        for machine in self._machines.values():
            say(f"reaching {machine.ssh}")

    def _wire(self, side: Side, nic: int) -> None:
        # the software ToRs carry nothing here: they are what the switch-writer writes to
        peer = ("peer", "name", _far(side, nic))
        run(*in_namespace(self.namespace, "ip", "link", "add", side.tap(nic), "type", "veth", *peer))

    def _host(self, side: Side) -> Host:
        machine = self._machines[side]
        cell = self._entered(Cell(side.name, machine.cards(), reach=self._reach(machine)))
        cell.run("[ -d /sys/module/openvswitch ] || modprobe openvswitch")
        cell.run("\n".join(f"ip link set vec{nic} address {side.mac(nic)}" for nic in (0, 2)))
        cell.run("for card in vec1 vec3; do ip link add $card type veth peer name far-$card; done")
        return cell

    def _cabled(self, side: Side, host: Host) -> None:
        """Nothing: the cables are there."""

    def _ideal(self) -> None:
        for side in SIDES:
            self.guests[side].run(plan.next_hop(side, side.peer.mac(0)))

    def _through_tors(self) -> None:
        raise LabError("there are no software ToRs between machines. Leave the modes out that end in -tors")

    def _reach(self, machine: Machine) -> tuple[str, ...]:
        return ("ssh", *self._options, machine.ssh, *(("sudo", "-n") if machine.sudo else ()))


def why_not(modules: Path = Path("/sys/module")) -> str:
    """Why this kernel's namespaces cannot be hosts; "" where they can."""
    if (modules / "openvswitch").exists():
        return ""
    try:
        run("modprobe", "openvswitch")
    except LabError as error:
        return (
            f"this kernel has no openvswitch module ({error}), so namespaces would have no overlay to compare with. "
            "Use --hosts guests"
        )
    return ""


def _far(side: Side, nic: int) -> str:
    return f"{side.tap(nic)}p"
