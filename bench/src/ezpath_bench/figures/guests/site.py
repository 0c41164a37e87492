"""Two guests, the cables between their racks, and EZPath around them: brought up once, wired as each mode wants it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from ezpath_lab.shell import in_namespace, run

from ezpath_bench.dataplane.measure import program_times_counted
from ezpath_bench.dataplane.paths import Workshop, veth
from ezpath_bench.figures.guests import network, oncache, plan, tree
from ezpath_bench.figures.guests.host import CpuSeconds, Host
from ezpath_bench.figures.guests.plan import SIDES, Side
from ezpath_bench.figures.guests.services import Services
from ezpath_bench.figures.guests.uml import Guest, Nic

NICS = 4
FABRIC_MTU = 1600
_CABLE = Path(__file__).with_name("cable.c")
_CACHE = Path(__file__).with_name("oncache.c")
_LISTEN_S = 10.0


class Site:
    """Brought up by :meth:`up`; ``stack`` takes it down."""

    def __init__(self, workshop: Workshop, stack: ExitStack) -> None:
        self._workshop = workshop
        self._stack = stack
        self._wiring = ""
        self._segmentation = ""
        self.tells_softirqs = False
        self._cached = False
        self.namespace = workshop.namespace(stack, "figures", "wire")
        self.guests: dict[Side, Host] = {}
        self.services = Services(workshop.folder, workshop.p4, stack)

    def up(self, say: Callable[[str], None]) -> None:
        """Raises LabError."""
        self._prepare(say)
        self._stack.enter_context(program_times_counted())
        tors = {side: self._rack(side) for side in SIDES}
        veth((tors[SIDES[0]], "fabric"), (tors[SIDES[1]], "fabric"), FABRIC_MTU)
        for side in SIDES:
            self.guests[side] = self._host(side)
        for side, host in self.guests.items():
            for script in plan.set_up(side):
                host.run(script)
            self._cabled(side, host)
        self.select("overlay")
        say("hosts are up")
        self.services.start(self.namespace, tors, {side: self._ways(side) for side in SIDES})
        self.services.move("offload", "ezpath")
        say("EZPath is up, and has a pair on its switches")

    def select(self, mode: str, segmentation: str = "nic") -> None:
        """Wire the racks, and set the cards, as ``mode`` wants it."""
        wiring = "tors" if self.has_tors(mode) else "ideal"
        if wiring != self._wiring:
            (self._through_tors if wiring == "tors" else self._ideal)()
            self._wiring = wiring
        if segmentation != self._segmentation:
            for guest in self.guests.values():
                guest.run(plan.segmentation(segmentation == "nic"))
            self._segmentation = segmentation
        cached = mode == oncache.KIND
        if cached != self._cached:
            for side in SIDES:
                self.guests[side].run(self._cache(side) if cached else oncache.detached(side))
            self._cached = cached

    def has_tors(self, mode: str) -> bool:
        return mode.endswith("-tors")

    def network(self, mode: str) -> str:
        """Whose addresses and namespace ``mode``'s programs have."""
        return mode.removesuffix("-tors")

    def cpu(self) -> list[CpuSeconds]:
        """Of both guests, since they were booted, seen from outside."""
        return [self.guests[side].cpu_seconds() for side in SIDES]

    def tell_softirqs(self, on: bool) -> None:
        """From now on, or no more. What it slows down is not to be measured meanwhile."""
        self.tells_softirqs = on
        for host in self.guests.values():
            host.tell_softirqs(on)

    def tor_seconds(self) -> float:
        """What the ToRs' programs have run, which the kernel books to whoever sent the frame."""
        return sum(tor.program_time()[0] for tor in self.services.tors) * 1e-9

    def wait_for_listener(self, side: Side, where: str, port: int) -> None:
        """Raises LabError where nobody listens there in time."""
        ask = plan.inside(
            where, f"sh -c 'for i in $(seq 200); do ss -Hltn | grep -q :{port} && exit 0; sleep 0.05; done; exit 1'"
        )
        self.guests[side].run(ask, _LISTEN_S + 5)

    # ---- what is different from one kind of host to another --------------------

    def _prepare(self, say: Callable[[str], None]) -> None:
        """Raises LabError where this kind of host cannot be had."""
        tree.make(say)
        self._in("ip", "addr", "add", f"{plan.MANAGEMENT}.9/24", "dev", "lo")

    def _host(self, side: Side) -> Host:
        nics = [Nic(side.tap(nic), side.mac(nic)) for nic in range(NICS)]
        guest = Guest(side.name, self.namespace, nics, self._workshop.folder, side.number, "1G")
        return self._stack.enter_context(guest)

    def _wire(self, side: Side, nic: int) -> None:
        """Make the end outside of a host's card."""
        self._in("ip", "tuntap", "add", "dev", side.tap(nic), "mode", "tap", "vnet_hdr")

    def _cabled(self, side: Side, host: Host) -> None:
        """What is left to do of cables when a host is up and set up."""
        self._in("ip", "route", "add", side.management, "dev", side.tap(3), "src", f"{plan.MANAGEMENT}.9")
        self._attach(side.tap(2), "pass", side.peer.tap(2))
        self._untag(host)

    def _ways(self, side: Side) -> dict[str, str]:
        """To each of Open vSwitch's sockets: see ways.py."""
        return {name: f"{side.management}:{port}" for name, port in plan.SOCKETS.items()}

    # ---- cables --------------------------------------------------------------

    def _ideal(self) -> None:
        """The ideal switch: a cable, and the tag of the one rack made the tag of the other."""
        for side in SIDES:
            self._attach(side.tap(0), "pass", side.peer.tap(0))
            self._attach(side.tap(1), "tag", side.peer.tap(0), vid=side.peer.vid)
            self.guests[side].run(plan.next_hop(side, side.peer.mac(0)))

    def _through_tors(self) -> None:
        """Each rack's own ToR, which is told all it knows by the services."""
        for side in SIDES:
            self._attach(side.tap(0), "pass", f"tor{side.number}")
            self._attach(side.tap(1), "tag", f"tor{side.number}", vid=side.vid)
            self.guests[side].run(plan.next_hop(side, network.tor_mac(side)))

    def _rack(self, side: Side) -> str:
        """Taps, and the link to the ToR, whose namespace is returned."""
        for nic in range(NICS):
            tap = side.tap(nic)
            self._wire(side, nic)
            self._in("ip", "link", "set", tap, "mtu", str(FABRIC_MTU), "up")
            self._in("tc", "qdisc", "add", "dev", tap, "clsact")
        tor = self._workshop.namespace(self._stack, "figures", network.switch(side))
        veth((self.namespace, f"tor{side.number}"), (tor, "host"), FABRIC_MTU)
        self._in("tc", "qdisc", "add", "dev", f"tor{side.number}", "clsact")
        self._attach(f"tor{side.number}", "pass", side.tap(0))
        return tor

    def _cache(self, side: Side) -> str:
        host = self.guests[side]
        index = _index(host, "vec0")
        compiled = self._workshop.bpf(str(_CACHE.with_suffix("")), f"oncache-{index}", UPLINK=index, VNI=plan.VNI)
        return oncache.attached(side, host.share(compiled, "oncache.o"))

    def _untag(self, guest: Host) -> None:
        index = _index(guest, "vec1")
        made = guest.share(self._compiled(f"untag-{index}", WAY_OUT=index, VID=0), "cable.o")
        guest.run(f"tc qdisc add dev vec0 clsact; tc filter add dev vec0 egress bpf da obj {made} sec untag")

    def _attach(self, interface: str, section: str, way_out: str, vid: int = 0) -> None:
        [link] = json.loads(self._in("ip", "-json", "link", "show", "dev", way_out))
        index = int(link["ifindex"])
        made = self._compiled(f"cable-{index}-{vid}", WAY_OUT=index, VID=vid)
        what = ("bpf", "da", "obj", str(made), "sec", section)
        self._in("tc", "filter", "replace", "dev", interface, "ingress", "pref", "1", "handle", "1", *what)

    def _compiled(self, name: str, **defines: int) -> Path:
        return self._workshop.bpf(str(_CABLE.with_suffix("")), name, **defines)

    def _in(self, *argv: str) -> str:
        return run(*in_namespace(self.namespace, *argv))


def _index(host: Host, interface: str) -> int:
    return int(host.run(f"cat /sys/class/net/{interface}/ifindex"))
