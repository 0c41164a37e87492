"""What the simulated data centre's flows send, second by second. Pure, from a seed.

Sessions begin on pairs by popularity, last for heavy-tailed times and send at rates of their own; a flow's traffic is
the sum of its sessions. On top: a day's rise and fall, unrest within a session, and containers that are started anew
elsewhere and take their traffic along.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from ezpath_decider.columns import F32, F64, I32, U64, Indices
from ezpath_decider.directory import Directory, pair_keys
from ezpath_decider.sim.network import Calls

LONGEST_S = 3600.0
SMALL, LARGE = 150.0, 1200.0
"""Mean bytes of a packet of flows that ask and answer, and of those that carry data."""
ASKING = 0.4
"""Part of the flows that ask and answer."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How traffic behaves. Times in seconds."""

    arrivals: Literal["poisson", "heavy"] = "poisson"
    """``heavy``: sessions come in trains of a Pareto-distributed length, all on one flow."""
    sessions: float = 0.3
    """That begin each second, for each container."""
    lasting_s: float = 60.0
    """Mean of a session; its tail is Pareto's with ``tail``."""
    tail: float = 1.5
    unrest: float = 0.3
    """Standard deviation over mean of what a flow sends in one round, beside what its sessions say."""
    diurnal: float = 0.5
    """Part by which load rises and falls over a day; tenants have their own hours."""
    day_s: float = 600.0
    churn: float = 0.0003
    """Part of the containers that are started anew elsewhere each second."""
    train: float = 1.5
    """Of ``heavy`` arrivals: the tail of a train's length."""


@dataclass(frozen=True, slots=True, eq=False)
class Second:
    """What each flow sent in one interval; flows that sent nothing are left out."""

    flows: U64
    packets: F32
    octets: F32


class Source(Protocol):
    """Where a simulation's traffic comes from."""

    directory: Directory

    def all_flows(self) -> U64:
        """Every flow there could be at the start."""
        ...

    def next(self) -> Second:
        """One interval after the other."""
        ...


@dataclass(slots=True, eq=False)
class Traffic:
    """Synthetic traffic."""

    directory: Directory
    calls: Calls
    tenant: I32
    """Of each container."""
    shape: Shape
    interval_s: float
    rng: np.random.Generator
    place: Indices = field(init=False)
    """Where each container is: its endpoint's number."""
    moved: int = 0
    """Containers started anew so far."""
    _free: dict[int, list[int]] = field(init=False)
    _popular: F64 = field(init=False)
    _phase: F64 = field(init=False)
    _level: F64 = field(init=False)
    """Packets a second of the sessions that last through this interval."""
    _ends: dict[int, list[tuple[Indices, F64, F64]]] = field(default_factory=lambda: defaultdict(list))
    """By interval: flow, rate, and the part of the interval after which a session ends."""
    _octets: F64 = field(init=False)
    _interval: int = 0

    def __post_init__(self) -> None:
        containers, calls, rng = len(self.tenant), self.calls, self.rng
        self.place = np.arange(containers)
        free: dict[int, list[int]] = defaultdict(list)
        for place in range(containers, len(self.directory.names)):
            free[int(self.directory.tenant[place])].append(place)
        self._free = free
        self._popular = np.cumsum(calls.weight)
        self._phase = rng.random(len(self.directory.tenants))
        self._level = np.zeros(len(calls.caller))
        self._octets = np.where(rng.random(len(calls.caller)) < ASKING, SMALL, LARGE)
        self._begin_in_the_middle()

    def all_flows(self) -> U64:
        """Of containers that call each other from one host to another, where they began."""
        one, other = self.calls.caller.astype(np.int32), self.calls.callee.astype(np.int32)
        apart = self.directory.host[one] != self.directory.host[other]
        return pair_keys(one[apart], other[apart])

    def next(self) -> Second:
        """The next interval."""
        self._move()
        sent = self._level * self.interval_s
        self._arrive(sent)
        for flows, rates, parts in self._ends.pop(self._interval, ()):
            np.add.at(sent, flows, -rates * (1 - parts) * self.interval_s)
            np.add.at(self._level, flows, -rates)
        self._interval += 1
        active = np.flatnonzero(sent >= 1)
        packets = sent[active]
        if self.shape.unrest:
            calm = 1 / self.shape.unrest**2
            packets = np.rint(packets * self.rng.gamma(calm, 1 / calm, len(packets)))
        one, other = self.place[self.calls.caller[active]], self.place[self.calls.callee[active]]
        # Endpoints of one host talk without any tunnel.
        apart = (self.directory.host[one] != self.directory.host[other]) & (packets >= 1)
        keys = pair_keys(one[apart].astype(np.int32), other[apart].astype(np.int32))
        packets, octets = packets[apart], packets[apart] * self._octets[active[apart]]
        return Second(keys, packets.astype(np.float32), octets.astype(np.float32))

    def _arrive(self, sent: F64) -> None:
        """Sessions that begin in this interval."""
        shape = self.shape
        mean = shape.sessions * len(self.tenant) * self.interval_s * (1 + shape.diurnal)
        trains = mean if shape.arrivals == "poisson" else mean * (shape.train - 1) / shape.train
        flows = self._popular_flows(self.rng.poisson(trains))
        if shape.arrivals == "heavy":
            lengths = np.minimum(np.floor(self.rng.pareto(shape.train, len(flows)) + 1), 1000).astype(np.intp)
            flows = np.repeat(flows, lengths)
        rates, lasting = self._rates(len(flows)), self._lasting(len(flows))
        begins = self.rng.random(len(flows)) * self.interval_s
        ends = begins + lasting
        np.add.at(sent, flows, rates * (self.interval_s - begins))
        np.add.at(self._level, flows, rates)
        self._note_ends(flows, rates, ends)

    def _begin_in_the_middle(self) -> None:
        """The sessions that are there at the start, as in the long run: the longer, the likelier to be met."""
        shape = self.shape
        expected = shape.sessions * len(self.tenant) * shape.lasting_s * (1 + shape.diurnal)
        flows = self._popular_flows(self.rng.poisson(expected))
        pool = self._lasting(max(1000, len(flows) // 4))
        met = np.searchsorted(np.cumsum(pool) / pool.sum(), self.rng.random(len(flows)))
        left = pool[np.minimum(met, len(pool) - 1)] * self.rng.random(len(flows))
        rates = self._rates(len(flows))
        np.add.at(self._level, flows, rates)
        self._note_ends(flows, rates, left)

    def _popular_flows(self, how_many: int) -> Indices:
        """By popularity, thinned by the hour of each tenant."""
        drawn = self.rng.random(how_many) * self._popular[-1]
        flows = np.minimum(np.searchsorted(self._popular, drawn), len(self._popular) - 1)
        shape, tenant = self.shape, self.tenant[self.calls.caller[flows]]
        hour = self._interval * self.interval_s / shape.day_s + self._phase[tenant]
        load = (1 + shape.diurnal * np.sin(2 * np.pi * hour)) / (1 + shape.diurnal)
        thinned: Indices = flows[self.rng.random(len(flows)) < load]
        return thinned

    def _rates(self, how_many: int) -> F64:
        """Packets a second of sessions."""
        return self.rng.lognormal(2.5, 1.0, how_many)

    def _lasting(self, how_many: int) -> F64:
        tail = self.shape.tail
        least = self.shape.lasting_s * (tail - 1) / tail
        return np.minimum((self.rng.pareto(tail, how_many) + 1) * least, LONGEST_S)

    def _note_ends(self, flows: Indices, rates: F64, ends: F64) -> None:
        """``ends``: seconds from the start of this interval."""
        interval, parts = np.divmod(ends / self.interval_s, 1.0)
        order = np.argsort(interval, kind="stable")
        numbers, firsts = np.unique(interval[order], return_index=True)
        for number, here in zip(numbers, np.split(order, firsts[1:]), strict=True):
            self._ends[self._interval + int(number)].append((flows[here], rates[here], parts[here]))

    def _move(self) -> None:
        """Containers that end here begin at a free place of their tenant."""
        due = self.rng.poisson(self.shape.churn * len(self.tenant) * self.interval_s)
        for container in self.rng.integers(0, len(self.tenant), due):
            free = self._free[int(self.tenant[container])]
            if free:
                # the place that has rested longest: it is somebody else's address by then
                place, self.place[container] = int(self.place[container]), free.pop(0)
                free.append(place)
                self.moved += 1
