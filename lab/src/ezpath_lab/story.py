"""The main job, told once on real packets: overlay, offload, proof on the wire, rollback, revert, overlay again.

Each act is a method. An act states what it saw as checks; only what makes going on pointless is raised.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ezpath.bus import Access
from ezpath.drops import reason_of
from ezpath.events import FlowsSnapshot, JsonEvent

from ezpath_lab import drops, overlay
from ezpath_lab.counters import receive_rates
from ezpath_lab.feed import Feed
from ezpath_lab.lab import SERVICES, Lab
from ezpath_lab.processes import SERVICE
from ezpath_lab.results import Check, Results
from ezpath_lab.screen import Screen
from ezpath_lab.shell import LabError
from ezpath_lab.tors import Limit
from ezpath_lab.watch import Captures, Verdict, Watch
from ezpath_lab.workload import Iperf, Mice, Pair, Streams, Workload

BUSY = (Pair("red", "red-11", "red-21"), Pair("blue", "blue-11", "blue-21"), Pair("red", "red-11", "red-12"))
"""Two tenants across the racks, with the same addresses on the same hosts, and a pair within one rack."""
LATE = Pair("red", "red-12", "red-22")
"""Comes when tor2 is full."""
MICE = (Pair("red", "red-m11", "red-m21"), Pair("blue", "blue-m12", "blue-m22"))
TABLE = "EzIngress.tunnel.endpoint"
LIMITS = (Limit("tor2", TABLE, 4),)
"""tor2 holds what the two pairs across the racks need, both ends of each, and not one more."""
_ACTS = ("overlay", "offload", "on the switch", "rollback", "revert", "overlay again", "without EZPath")


@dataclass(frozen=True, slots=True)
class Plan:
    """How the story is to be told."""

    services: str
    """``spawn``, or ``external``: somebody else runs NATS and the services."""
    seconds: float
    """Of steady traffic before and after the offload."""
    patience_s: float = 80.0
    """For each thing EZPath is waited for: time for a second attempt, should a busy machine spoil the first."""


@dataclass(slots=True)
class Story:
    """One telling. ``results`` grows with every act."""

    lab: Lab
    plan: Plan
    screen: Screen
    service_options: Mapping[str, Sequence[str]] = field(default_factory=dict)
    results: Results = field(default_factory=Results)
    _workload: Workload = field(init=False)
    _streams: Streams | None = None
    _iperfs: list[Iperf] = field(default_factory=list)
    _mice: list[Mice] = field(default_factory=list)
    _feed: Feed | None = None
    _drops: dict[str, int] = field(default_factory=dict)
    _before: Captures = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._workload = Workload(self.lab.topology, self.lab.processes, self.lab.kind.pace)

    def tell(self) -> None:
        """All acts in order. Raises :class:`LabError` where the story cannot go on; packets are counted even then."""
        try:
            for act in (
                self.overlay_works,
                self.ezpath_starts,
                self.traffic_on_overlay,
                self.offload,
                self.proof_on_the_wire,
                self.rollback,
                self.revert,
                self.ezpath_stops,
            ):
                act()
                self.lab.processes.check_alive()
        except LabError:
            if self._streams is not None:
                self.count()
            raise
        else:
            self.count()
        finally:
            if self._feed is not None:
                self._feed.close()

    # ---- acts

    def overlay_works(self) -> None:
        self.screen.act("The overlay, before EZPath starts")
        overlay.warm_up(self.lab.topology)
        self._check_overlay("before EZPath")

    def ezpath_starts(self) -> None:
        self.screen.act("EZPath starts")
        if self.plan.services == "spawn":
            self.screen.say(f"nats-server at {self.lab.start_bus()}")
        self._feed = Feed(self._access(), self._on_event)
        self._feed.start()
        # Not before: loading a ToR's program would have got in the way of the overlay that was just looked at.
        self.lab.let_services_start()
        if self.plan.services == "spawn":
            for service in SERVICES:
                began = time.monotonic()
                self.lab.start_service(service, *self.service_options.get(service, ()))
                self.screen.say(f"{service} ready after {time.monotonic() - began:.1f} s")
        else:
            self.screen.say(f"services run elsewhere; waiting for word of them at {self.lab.state.nats}")
        patience_s = self.plan.patience_s * (1 if self.plan.services == "spawn" else 2)
        # A switch has samples only when it has its program; loading that interrupts it, so it has to be over.
        sampled = self._feed.wait_sampled({tor.name for tor in self.lab.topology.tors}, patience_s)
        self._need(sampled, "EZPath is there: every ToR has its program, and its registers are read")
        snapshot = self._feed.wait(FlowsSnapshot, lambda _: True, patience_s)
        self._need(snapshot is not None, "EZPath is there: the decider publishes flows")
        # The switches got their program a moment ago: neighbours are learned anew before anything is counted.
        overlay.warm_up(self.lab.topology)
        self._check_overlay("with EZPath")

    def _access(self) -> Access:
        url, trust = self.lab.state.nats, self.lab.trust
        return Access(url) if trust is None else trust.access(url, "viewer")

    def traffic_on_overlay(self) -> None:
        self.screen.act("Traffic on the overlay: numbered packets of every pair both ways, and mice")
        self._begin(0)
        self._drops = self._drop_counters()
        self._mice = [self._workload.start_mice(pair) for pair in MICE]
        self._streams = self._workload.start_streams((*BUSY, LATE))
        self._settle(1.0)
        watch = Watch(self.lab.topology, self.lab.processes)
        self._before = watch.capture(watch.places(BUSY), self.lab.kind.pace.watch_s)
        for pair in BUSY:
            self._verdicts(watch.overlay(pair, self._before))
        self.screen.say("Flows that EZPath sees:")
        self.screen.flows(self._snapshot())

    def offload(self) -> None:
        self._begin(1)
        self.screen.act("iperf3 in three pairs: flows become worth a table entry")
        self._iperfs = [self._workload.start_iperf(pair) for pair in BUSY]
        self._settle(1.0)
        before = self._rates("overlay", seconds=1.5)
        for pair in BUSY:
            outcome = self._news().outcome(pair.id, "active", self.plan.patience_s)
            self._need(outcome is not None, f"{pair.id} is offloaded")
            if outcome is not None:
                self.results.decision_to_active_ms.append(outcome.took_ms)
        self._settle(0.5)
        self._begin(2)
        self._settle(max(0.0, self.plan.seconds - 2.0))
        after = self._rates("switch", seconds=2.0)
        for pair in BUSY:
            self.screen.say(f"{pair.id}: {before[pair] / 1e6:.2f} Mbit/s before, {after[pair] / 1e6:.2f} Mbit/s after")
        self.screen.say(self._why_no_speed_up())

    def proof_on_the_wire(self) -> None:
        self.screen.act("Proof on the wire, with tunnels offloaded")
        watch = Watch(self.lab.topology, self.lab.processes)
        captures = watch.capture(watch.places(BUSY), self.lab.kind.pace.watch_s)
        for pair in BUSY:
            self._verdicts(watch.offloaded(pair, captures))
            self._verdicts(watch.same_inside(pair, self._before, captures))
        snapshot = self._snapshot()
        self.screen.flows(snapshot)
        where = {str(flow.pair): str(flow.where) for flow in snapshot.flows}
        self._check("EZPath says so too", all(where.get(pair.id) == "switch" for pair in BUSY), str(where))
        mice = {pair.id: where.get(pair.id, "not seen") for pair in MICE}
        self._check("mice stay on the overlay", all(place == "overlay" for place in mice.values()), str(mice))

    def rollback(self) -> None:
        self._begin(3)
        limit = LIMITS[0]
        self.screen.act(f"A failure: {limit.tor} has no room left ({limit}), and {LATE.id} becomes busy")
        iperf = self._workload.start_iperf(LATE)
        outcome = self._news().outcome(LATE.id, "rolled-back", self.plan.patience_s)
        reason = outcome.reason if outcome is not None else "no outcome"
        self.results.rollback_reason = reason
        named = limit.tor in reason and self.lab.kind.says_full in reason
        self._check(f"{LATE.id} is rolled back, with the switch's own reason", outcome is not None and named, reason)
        self._settle(1.0)
        watch = Watch(self.lab.topology, self.lab.processes)
        captures = watch.capture(watch.places([LATE, BUSY[2]]), seconds=1.0)
        self._verdicts(watch.overlay(LATE, captures))
        # The pair within the rack shares an entry with the one that failed: it must not have lost it.
        self._verdicts(watch.offloaded(BUSY[2], captures))
        self._iperf_ended(iperf)

    def revert(self) -> None:
        self._begin(4)
        self.screen.act("iperf3 ends: pairs become idle and go back to the overlay")
        for iperf in self._iperfs:
            self._iperf_ended(iperf)
        for pair in BUSY:
            outcome = self._news().outcome(pair.id, "reverted", self.plan.patience_s)
            self._need(outcome is not None, f"{pair.id} is back on the overlay")
        self._settle(0.5)
        self._begin(5)
        watch = Watch(self.lab.topology, self.lab.processes)
        captures = watch.capture(watch.places(BUSY), seconds=1.0)
        for pair in BUSY:
            self._verdicts(watch.overlay(pair, captures))

    def ezpath_stops(self) -> None:
        if self.plan.services != "spawn":
            self.screen.act("EZPath's services run elsewhere and are left running")
            return
        self._begin(6)
        self.screen.act("EZPath stops; the overlay goes on")
        stubborn = self.lab.processes.stop_rank(SERVICE)
        self._check("the services stop when asked to", not stubborn, ", ".join(stubborn))
        self._check_overlay("after EZPath")
        left = [flow for ovs in self.lab.hosts.values() for flow in ovs.foreign_flows()]
        self._check("no flow of EZPath is left that carries traffic", not left, "; ".join(left[:3]))

    def count(self) -> None:
        """Stop the traffic and count packets, act by act."""
        self.screen.act("Counting")
        for mice in self._mice:
            completed, failed, reasons = mice.stop()
            detail = f"{completed} completed, {failed} failed" + (f": {reasons[0]}" if reasons else "")
            self._check(f"mice of {mice.pair.id}: every connection right", completed > 0 and not failed, detail)
        assert self._streams is not None
        self.results.streams = self._streams.finish()
        for act, name in self.results.acts.items():
            tally = self.results.tally(act)
            detail = f"{tally.sent} sent, {tally.lost} lost, {tally.duplicated} duplicated, {tally.reordered} reordered"
            self._check(f"no packet lost: {name}", tally.sent > 0 and not tally.lost and not tally.duplicated, detail)
        self.results.gaps = [gap for stream in self.results.streams for gap in stream.gaps]
        for gap in self.results.gaps:
            self.screen.warn(f"missing: {gap}")
        self.results.drops = drops.grown(self._drops, self._drop_counters())
        for name, count in self.results.drops.items():
            self.screen.say(f"drop counter {name}: {count}")
        foreign = {name for stream in self.results.streams for name in stream.foreign_senders}
        self._check("no packet of another tenant or pair received", not foreign, ", ".join(sorted(foreign)))

    # ---- helpers

    def _drop_counters(self) -> dict[str, int]:
        found = drops.counters(self.lab.topology, self.lab.hosts)
        for switch, reasons in self._news().tor_drops.items():
            found |= {f"{switch} {reason_of(int(number))}": n for number, n in reasons.items()}
        return found

    def _begin(self, act: int) -> None:
        """What the streams send from now on is counted for ``act``."""
        self.results.acts[act] = _ACTS[act]
        if self._streams is not None:
            self._streams.act(act)

    def _settle(self, seconds: float) -> None:
        time.sleep(seconds)

    def _news(self) -> Feed:
        assert self._feed is not None
        return self._feed

    def _snapshot(self) -> FlowsSnapshot:
        began = time.time()
        snapshot = self._news().wait(FlowsSnapshot, lambda s: s.at >= began, self.plan.patience_s)
        if snapshot is None:
            raise LabError("the decider no longer publishes flows. See the services' logs")
        return snapshot

    def _on_event(self, event: JsonEvent) -> None:
        self.screen.event(event)

    def _rates(self, where: str, seconds: float) -> dict[Pair, float]:
        namespaces = {pair: self.lab.topology.container_namespace(pair.b) for pair in BUSY}
        rates = receive_rates(list(namespaces.values()), seconds)
        found = {pair: rates[namespace] for pair, namespace in namespaces.items()}
        for pair, rate in found.items():
            self.results.rates_bps.setdefault(pair.id, {})[where] = round(rate)
        return found

    def _why_no_speed_up(self) -> str:
        if self.lab.state.datapath == "netdev":
            return (
                "No speed-up is claimed here: this kernel has no openvswitch module, and in OVS's userspace datapath "
                "a VLAN tag costs what VXLAN costs. iperf3 is held to a fixed rate."
            )
        return "No speed-up is claimed here: iperf3 is held to a fixed rate."

    def _iperf_ended(self, iperf: Iperf) -> None:
        result = iperf.stop()
        self.screen.say(
            f"iperf3 {iperf.pair.id}: {result['bits_per_second'] / 1e6:.2f} Mbit/s over {result['seconds']:.0f} s, "
            f"{result['retransmits']:.0f} segments retransmitted"
        )

    def _check_overlay(self, when: str) -> None:
        for check in (overlay.check_reachable, overlay.check_isolated):
            self._add(check(self.lab.topology, when))

    def _verdicts(self, verdicts: Sequence[Verdict]) -> None:
        for verdict in verdicts:
            self._add(Check(verdict.what, verdict.ok, verdict.detail))

    def _check(self, name: str, ok: bool, detail: str = "") -> None:
        self._add(Check(name, ok, detail))

    def _need(self, ok: bool, name: str) -> None:
        """A check without which the rest makes no sense."""
        self._check(name, ok)
        if not ok:
            self.lab.processes.check_alive()
            raise LabError(f"not so: {name}. The services' logs are in {self.lab.state.directory / 'log'}")

    def _add(self, check: Check) -> None:
        self.results.checks.append(check)
        self.screen.check(check)
