"""Work for the tunnels: lossless-check streams, iperf3, mice. Each runs in its containers and is bounded in time.

A stream's packets carry the number of the act they were sent in, so that loss can be told act by act, exactly:
what one end sent in an act against what the other end received of it, both after everything has come to rest.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ezpath.names import pair_id

from ezpath_lab import probe
from ezpath_lab.processes import WORKLOAD, Child, Processes
from ezpath_lab.shell import LabError
from ezpath_lab.topology import Topology

LIFE_S = 600.0
"""No workload outlives this, whatever becomes of the lab."""
_ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast all traffic of a lab is, and from what rate on a pair is to be offloaded."""

    stream_packets_s: float
    """Numbered packets a direction. Both directions together stay below 1 Mbit/s, where a pair counts as idle."""
    iperf_rate: str
    iperf_peak: str
    """What it may catch up with after a stall: nobody's buffers need to hold a burst."""
    enter_bps: float
    """The decider's ``--enter-bps``: above mice and streams, below iperf3."""
    watch_s: float
    """How long frames are compared: a few of every kind are to pass, and a large one is every hundredth of a stream."""


USUAL = Pace(stream_packets_s=300.0, iperf_rate="8M", iperf_peak="12M", enter_bps=5e6, watch_s=1.5)
"""A hole of a few milliseconds is seen. About 6,000 packets a second on the busier ToR."""
SLOW = Pace(stream_packets_s=100.0, iperf_rate="2M", iperf_peak="2500K", enter_bps=1.25e6, watch_s=4.0)
"""For switches that take a tenth of a millisecond for a packet. About 2,000 packets a second on the busier ToR."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two containers of one tenant that talk."""

    tenant: str
    a: str
    b: str

    @property
    def id(self) -> str:
        return pair_id(self.tenant, self.a, self.b)


@dataclass(slots=True)
class Tally:
    """Packets of one act, both directions together."""

    sent: int = 0
    received: int = 0
    duplicated: int = 0
    reordered: int = 0
    delay_us_p50: int = 0
    delay_us_p99: int = 0

    @property
    def lost(self) -> int:
        return self.sent - self.received

    def add(self, other: Tally) -> None:
        """Add the counts; of the delays the larger ones stay."""
        self.sent += other.sent
        self.received += other.received
        self.duplicated += other.duplicated
        self.reordered += other.reordered
        self.delay_us_p50 = max(self.delay_us_p50, other.delay_us_p50)
        self.delay_us_p99 = max(self.delay_us_p99, other.delay_us_p99)


@dataclass(slots=True)
class StreamResult:
    """What became of one pair's stream: packets by act, and what does not belong to an act."""

    pair: Pair
    acts: dict[int, Tally] = field(default_factory=dict)
    foreign: int = 0
    foreign_senders: tuple[str, ...] = ()
    refused: int = 0
    """Packets that a sender's own kernel did not take: not sent, and not lost."""
    socket_drops: int = 0
    """Of the lost ones, those that a receiver's kernel dropped for lack of room."""
    gaps: list[str] = field(default_factory=list)
    """Where packets are missing: how many, whose, and when they were sent (CLOCK_MONOTONIC, seconds)."""


class Workload:
    """Starts and stops traffic in the containers of ``topology``."""

    def __init__(self, topology: Topology, processes: Processes, pace: Pace = USUAL) -> None:
        self._topology = topology
        self._processes = processes
        self._pace = pace
        self._started = 0

    def _start(self, what: str, container: str, *argv: str, pipes: bool) -> Child:
        self._started += 1
        name = f"{what}-{container}-{self._started}"
        namespace = self._topology.container_namespace(container)
        return self._processes.start(name, *argv, rank=WORKLOAD, namespace=namespace, pipes=pipes)

    def _helper(self, role: str, container: str, *options: str) -> Child:
        argv = (sys.executable, "-m", "ezpath_lab.traffic", "--seconds", f"{LIFE_S:.0f}", role, *options)
        return self._start(role, container, *argv, pipes=True)

    # ---- streams

    def start_streams(self, pairs: Sequence[Pair]) -> Streams:
        """Numbered packets both ways between the containers of each pair. Raises LabError if they do not meet."""
        ends = {
            pair: tuple(
                self._helper(
                    *("stream", me, "--sender", f"{pair.id}>{me}", "--expect", f"{pair.id}>{peer}"),
                    *("--peer", self._topology.container(peer).ip, "--rate", str(self._pace.stream_packets_s)),
                    *("--port", str(self._port(pair))),
                )
                for me, peer in ((pair.a, pair.b), (pair.b, pair.a))
            )
            for pair in pairs
        }
        streams = Streams(self._processes, ends)
        streams.wait_met()
        return streams

    def _port(self, pair: Pair) -> int:
        return probe.port(self._topology.container(pair.a).ip, self._topology.container(pair.b).ip)

    # ---- iperf3

    def start_iperf(self, pair: Pair) -> Iperf:
        """A paced TCP flow from a to b."""
        server = self._start("iperf3-server", pair.b, "iperf3", "-s", "-1", "--forceflush", pipes=False)
        self._processes.wait_ready(server, lambda: "listening" in server.log.read_text(), "listening")
        client = self._start(
            *("iperf3", pair.a, "iperf3", "-c", self._topology.container(pair.b).ip, "-t", f"{LIFE_S:.0f}", "-J"),
            # Small blocks, and paced: the userspace datapath has two cores for everything, and no burst is needed.
            *("-b", self._pace.iperf_rate, "-l", "4K", "--fq-rate", self._pace.iperf_peak),
            pipes=False,
        )
        return Iperf(pair, self._processes, client, server)

    # ---- mice

    def start_mice(self, pair: Pair) -> Mice:
        """Short connections from a to b, far below what is worth a table entry."""
        server = self._helper("echo", pair.b)
        _ask(server)  # answers once it listens
        client = self._helper("mice", pair.a, "--peer", self._topology.container(pair.b).ip)
        return Mice(pair, self._processes, client, server)


class Streams:
    """The running streams of several pairs."""

    def __init__(self, processes: Processes, ends: Mapping[Pair, tuple[Child, ...]]) -> None:
        self._processes = processes
        self._ends = ends

    def wait_met(self, timeout_s: float = 10.0) -> None:
        """Until every receiver has heard its sender. Raises :class:`LabError`."""
        deadline = time.monotonic() + timeout_s
        waiting = [child for ends in self._ends.values() for child in ends]
        while waiting := [child for child in waiting if not _ask(child)["met"]]:
            if time.monotonic() > deadline:
                names = ", ".join(child.name for child in waiting)
                raise LabError(f"{names}: nothing heard of the peer in {timeout_s:.0f} s. Does the overlay work?")
            time.sleep(0.1)

    def act(self, number: int) -> None:
        """What is sent from now on belongs to act ``number``."""
        for ends in self._ends.values():
            for child in ends:
                _tell(child, f"act {number}")

    def delay_us(self, pair: Pair, act: int) -> tuple[int, int]:
        """One-way delay of ``act`` so far, p50 and p99 in microseconds, the worse direction of the pair."""
        reports = [_ask(child)["received"].get(str(act), {}) for child in self._ends[pair]]
        p50 = max(report.get("delay_us_p50", 0) for report in reports)
        return p50, max(report.get("delay_us_p99", 0) for report in reports)

    def finish(self, grace_s: float = 1.0) -> list[StreamResult]:
        """Stop sending, wait ``grace_s`` for what is under way, count, and stop."""
        children = [child for ends in self._ends.values() for child in ends]
        for child in children:
            _tell(child, "hush")
        time.sleep(grace_s)
        results = [tallies(pair, [_ask(child) for child in ends]) for pair, ends in self._ends.items()]
        self._processes.stop(*children)
        return results


def tallies(pair: Pair, reports: Sequence[dict[str, Any]]) -> StreamResult:
    """Put the two ends' reports together: what each sent against what the other received."""
    result = StreamResult(pair)
    for sender, receiver in (reports, reports[::-1]):
        for act in sorted({*map(int, sender["sent"]), *map(int, receiver["received"])}):
            got = receiver["received"].get(str(act), {})
            tally = Tally(
                sent=sender["sent"].get(str(act), 0),
                received=got.get("received", 0),
                duplicated=got.get("duplicated", 0),
                reordered=got.get("reordered", 0),
                delay_us_p50=got.get("delay_us_p50", 0),
                delay_us_p99=got.get("delay_us_p99", 0),
            )
            result.acts.setdefault(act, Tally()).add(tally)
        result.foreign += receiver["foreign"]
        result.foreign_senders += tuple(receiver["foreign_senders"])
        result.refused += sender["refused"]
        result.socket_drops += receiver["socket_drops"]
        result.gaps += [
            f"{gap['last'] - gap['first'] + 1} of {sender['sender']} "
            f"sent between {gap['after_ns'] / 1e9:.3f} and {gap['before_ns'] / 1e9:.3f}"
            for gap in receiver["gaps"]
        ]
    return result


class Iperf:
    """One running iperf3."""

    def __init__(self, pair: Pair, processes: Processes, client: Child, server: Child) -> None:
        self.pair = pair
        self._processes = processes
        self._client, self._server = client, server

    def stop(self) -> dict[str, float]:
        """End it; returns its mean rate (bits/s), seconds and retransmitted segments. Raises :class:`LabError`."""
        if self._client.popen.poll() is not None:
            raise LabError(f"iperf3 of {self.pair.id} ended by itself. {self._client.log} ends:{self._client.tail()}")
        self._processes.stop(self._client)
        self._processes.stop(self._server)
        try:
            total = json.loads(self._client.log.read_text())["end"]["sum_sent"]
        except (ValueError, KeyError) as error:
            raise LabError(f"iperf3 of {self.pair.id}: no result ({error}). See {self._client.log}") from None
        return {key: float(total[key]) for key in ("bits_per_second", "seconds", "retransmits")}


class Mice:
    """Running short flows."""

    def __init__(self, pair: Pair, processes: Processes, client: Child, server: Child) -> None:
        self.pair = pair
        self._processes = processes
        self._client, self._server = client, server

    def stop(self) -> tuple[int, int, list[str]]:
        """End them; returns connections completed, failed, and why."""
        report = _ask(self._client)
        self._processes.stop(self._client, self._server)
        return int(report["completed"]), int(report["failed"]), list(report["reasons"])


def _tell(child: Child, command: str) -> None:
    assert child.popen.stdin is not None
    try:
        child.popen.stdin.write(command + "\n")
        child.popen.stdin.flush()
    except BrokenPipeError:
        raise LabError(f"{child.name} has ended. {child.log} ends:{child.tail()}") from None


def _ask(child: Child) -> dict[str, Any]:
    _tell(child, "report")
    assert child.popen.stdout is not None
    if not select.select((child.popen.stdout.fileno(),), (), (), _ANSWER_S)[0]:
        raise LabError(f"{child.name} was asked for its counts and said nothing in {_ANSWER_S:.0f} s")
    line = child.popen.stdout.readline()
    if not line:
        raise LabError(f"{child.name} has ended. {child.log} ends:{child.tail()}")
    answer: dict[str, Any] = json.loads(line)
    return answer
