"""Looking at the wires: captures at several places at once, and what they say about one pair's frames.

Nothing of EZPath is asked here. The frames alone tell where a pair's traffic goes.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ezpath_lab.frames import Frame, differences
from ezpath_lab.processes import WORKLOAD, Processes
from ezpath_lab.shell import LabError
from ezpath_lab.topology import Topology
from ezpath_lab.workload import Pair


@dataclass(frozen=True, slots=True)
class Place:
    """An interface of a namespace."""

    namespace: str
    interface: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """One thing the frames show, or do not."""

    what: str
    ok: bool
    detail: str


Captures = Mapping[Place, Counter[Frame]]


class Watch:
    """Captures in the namespaces of ``topology``."""

    def __init__(self, topology: Topology, processes: Processes) -> None:
        self._topology = topology
        self._processes = processes
        self._runs = 0

    def host_link(self, container: str) -> Place:
        """The link between a container's host and its ToR, at the host."""
        return Place(self._topology.namespace(self._topology.container(container).host), "eth0")

    def fabric(self, container: str) -> Place:
        """The link between a container's ToR and the spine, at the spine."""
        host = self._topology.host(self._topology.container(container).host)
        return Place(self._topology.namespace(self._topology.spine), host.tor)

    def inside(self, container: str) -> Place:
        return Place(self._topology.container_namespace(container), "eth0")

    def places(self, pairs: Sequence[Pair]) -> tuple[Place, ...]:
        """Everywhere the frames of ``pairs`` may pass."""
        found = [
            place(end)
            for pair in pairs
            for end in (pair.a, pair.b)
            for place in (self.host_link, self.fabric, self.inside)
        ]
        return tuple(dict.fromkeys(found))

    def capture(self, places: Sequence[Place], seconds: float) -> Captures:
        """Count what passes ``places``, all at the same time, for ``seconds``. Raises :class:`LabError`."""
        self._runs += 1
        children = {
            place: self._processes.start(
                f"capture-{self._runs}-{place.namespace}-{place.interface}",
                *(sys.executable, "-m", "ezpath_lab.capture"),
                *("--interface", place.interface, "--seconds", str(seconds)),
                rank=WORKLOAD,
                namespace=place.namespace,
                pipes=True,
            )
            for place in places
        }
        captures = {}
        for place, child in children.items():
            try:
                said, _ = child.popen.communicate(timeout=seconds + 20)
            except subprocess.TimeoutExpired:
                raise LabError(f"{child.name} did not end. {child.log} ends:{child.tail()}") from None
            if child.popen.returncode != 0:
                raise LabError(f"{child.name}: status {child.popen.returncode}. {child.log} ends:{child.tail()}")
            captures[place] = _counter(said)
        self._processes.stop(*children.values())
        return captures

    # ---- what the frames of one pair say

    def overlay(self, pair: Pair, captures: Captures) -> list[Verdict]:
        """The pair goes from host to host in VXLAN, with the tenant's VNI and no tag."""
        vni = self._topology.vni_of(pair.a)
        verdicts = []
        for end, peer in ((pair.a, pair.b), (pair.b, pair.a)):
            mine, theirs = (self._topology.host(self._topology.container(c).host).address for c in (end, peer))
            probes = _probes(captures[self.host_link(end)], pair)
            wrong = [
                f for f in probes if f.shape != "vxlan" or f.vni != vni or {f.outer_src, f.outer_dst} != {mine, theirs}
            ]
            what = f"{pair.id}: host link of {end} carries VXLAN with VNI {vni} from host to host"
            verdicts.append(_verdict(what, probes, wrong))
        return verdicts

    def offloaded(self, pair: Pair, captures: Captures) -> list[Verdict]:
        """Tags and no VXLAN on the host links; on the fabric VXLAN from ToR to ToR, or nothing within a rack."""
        verdicts = []
        for end in (pair.a, pair.b):
            seen = captures[self.host_link(end)]
            probes = _probes(seen, pair)
            what = f"{pair.id}: host link of {end} carries tagged frames and no VXLAN of the pair"
            wrong = [f for f in self._frames(seen, pair) if f.shape != "tagged"]
            vids = sorted({frame.vid for frame in probes})
            if len(vids) > 1:
                wrong = list(probes)
            verdicts.append(_verdict(what, probes, wrong, f"VLAN {', '.join(map(str, vids))}"))
            verdicts.append(self._on_fabric(pair, end, captures))
        return verdicts

    def _on_fabric(self, pair: Pair, end: str, captures: Captures) -> Verdict:
        vni = self._topology.vni_of(pair.a)
        tors = [self._topology.host(self._topology.container(c).host).tor for c in (pair.a, pair.b)]
        frames = self._frames(captures[self.fabric(end)], pair)
        if tors[0] == tors[1]:
            count = sum(frames.values())
            return Verdict(
                f"{pair.id}: nothing of it leaves rack of {tors[0]}", not count, f"{count} frames on the fabric"
            )
        vteps = {self._topology.tor(tor).vtep for tor in tors}
        wrong = [f for f in frames if f.vni != vni or {f.outer_src, f.outer_dst} != vteps]
        probes = _probes(captures[self.fabric(end)], pair)
        what = f"{pair.id}: fabric at {self._topology.host(self._topology.container(end).host).tor} carries VXLAN"
        return _verdict(f"{what} with VNI {vni} from ToR to ToR", probes, wrong)

    def same_inside(self, pair: Pair, before: Captures, after: Captures) -> list[Verdict]:
        """The containers see the same frames on both ways, but for numbers and times."""
        verdicts = []
        for end in (pair.a, pair.b):
            one, other = (_probes(captures[self.inside(end)], pair) for captures in (before, after))
            changed = differences(one, other)
            shapes = {frame.shape for frame in (*one, *other)}
            ok = bool(one) and bool(other) and not changed and shapes == {"bare"}
            detail = f"{sum(one.values())} and {sum(other.values())} frames, {len({f.form for f in one})} forms"
            if not ok:
                detail += f"; different: {changed}, shapes {sorted(shapes)}"
            verdicts.append(Verdict(f"{pair.id}: {end} sees the same frames as on the overlay", ok, detail))
        return verdicts

    def _frames(self, seen: Counter[Frame], pair: Pair) -> Counter[Frame]:
        """All tenant frames of the pair, iperf3's too: by VNI or by stream; MACs alone do not tell tenants apart."""
        vni = self._topology.vni_of(pair.a)
        macs = {self._topology.container(end).mac for end in (pair.a, pair.b)}
        return Counter(
            {
                frame: count
                for frame, count in seen.items()
                if (frame.shape == "vxlan" and frame.vni == vni and {frame.src, frame.dst} == macs)
                or frame.stream.startswith(f"{pair.id}>")
            }
        )


def _probes(seen: Counter[Frame], pair: Pair) -> Counter[Frame]:
    return Counter({frame: count for frame, count in seen.items() if frame.stream.startswith(f"{pair.id}>")})


def _verdict(what: str, probes: Counter[Frame], wrong: Sequence[Frame], more: str = "") -> Verdict:
    directions = {frame.stream for frame in probes}
    detail = f"{sum(probes.values())} probe frames, {len(directions)} directions" + (f", {more}" if more else "")
    if wrong:
        detail += f"; not so: {wrong[0]}"
    return Verdict(what, len(directions) == 2 and not wrong, detail)


def _counter(said: str) -> Counter[Frame]:
    counts: Counter[Frame] = Counter()
    for entry in json.loads(said):
        count = entry.pop("count")
        counts[Frame(**entry)] = count
    return counts
