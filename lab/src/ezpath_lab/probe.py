"""The lossless-check packets: what is in one, and what a receiver makes of those it gets.

Pure, and free of imports beyond the standard library: it runs in every container of the lab.
"""

from __future__ import annotations

import itertools
import math
import struct
from dataclasses import dataclass, field

SMALL_BYTES = 64
LARGE_BYTES = 1422
"""With UDP and IPv4 headers a full 1450-byte packet."""
LARGE_EVERY = 100
"""Every so many packets a large one."""
_HEADER = struct.Struct("!4sBBQQ")
_MAGIC, _HELLO = b"EZPk", b"EZPh"
VARYING = slice(4, 22)
"""Bytes of the payload that differ from packet to packet: act, name's length, number, time."""


def port(one: str, other: str) -> int:
    """The UDP port of the stream between two IPv4 addresses.

    Tenants with the same addresses use the same ports: a packet that leaks from one to the other is received, and
    counted as foreign.
    """
    first, second = sorted(int(address.rpartition(".")[2]) for address in (one, other))
    return 5000 + first * 200 + second


@dataclass(frozen=True, slots=True)
class Probe:
    """One packet. ``sender`` says whose it is: ``tenant.a.b>sender``."""

    sender: str
    act: int
    sequence: int
    sent_ns: int
    """CLOCK_MONOTONIC, which all namespaces of one machine share."""
    hello: bool = False


def encode(probe: Probe) -> bytes:
    """The payload of one packet: 64 bytes, or 1422 for every hundredth."""
    name = probe.sender.encode()
    magic = _HELLO if probe.hello else _MAGIC
    head = _HEADER.pack(magic, probe.act, len(name), probe.sequence, probe.sent_ns) + name
    large = probe.sequence % LARGE_EVERY == LARGE_EVERY - 1 and not probe.hello
    return head.ljust(LARGE_BYTES if large else SMALL_BYTES, b".")


def decode(payload: bytes) -> Probe | None:
    """The probe in ``payload``, or None where it is something else (or cut off inside the name)."""
    if len(payload) < _HEADER.size:
        return None
    magic, act, length, sequence, sent_ns = _HEADER.unpack_from(payload)
    name = payload[_HEADER.size : _HEADER.size + length]
    if magic not in (_MAGIC, _HELLO) or len(name) != length:
        return None
    return Probe(name.decode("ascii", "replace"), act, sequence, sent_ns, magic == _HELLO)


@dataclass(slots=True)
class ActCount:
    """What one receiver got of one act."""

    received: int = 0
    duplicated: int = 0
    reordered: int = 0
    delays_us: list[int] = field(default_factory=list)
    """From the sender's clock reading to the receiver's, one for each packet."""


@dataclass(slots=True)
class Receiver:
    """Counts the packets of one expected sender; whatever else arrives on its port is foreign."""

    expected: str
    acts: dict[int, ActCount] = field(default_factory=dict)
    foreign: int = 0
    foreign_senders: set[str] = field(default_factory=set)
    _highest: int = -1
    _seen: dict[int, int] = field(default_factory=dict)
    """Number to the time it was sent, nanoseconds."""

    def gaps(self) -> list[Gap]:
        """What is missing so far."""
        return gaps(self._seen)

    def take(self, payload: bytes, now_ns: int) -> Probe | None:
        """Count one received packet, and return it where it is of the expected sender."""
        probe = decode(payload)
        if probe is None or probe.sender != self.expected:
            self.foreign += 1
            self.foreign_senders.add(probe.sender if probe else "unknown")
            return None
        if probe.hello:
            return probe
        count = self.acts.setdefault(probe.act, ActCount())
        if probe.sequence in self._seen:
            count.duplicated += 1
            return probe
        self._seen[probe.sequence] = probe.sent_ns
        count.received += 1
        count.delays_us.append(max(0, now_ns - probe.sent_ns) // 1000)
        if probe.sequence < self._highest:
            count.reordered += 1
        self._highest = max(self._highest, probe.sequence)
        return probe


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers missing in a row, and when the packets before and after them were sent (CLOCK_MONOTONIC, ns)."""

    first: int
    last: int
    after_ns: int
    before_ns: int


def gaps(seen: dict[int, int]) -> list[Gap]:
    """What is missing between the lowest and the highest number of ``seen``, number to time sent."""
    numbers = sorted(seen)
    return [
        Gap(one + 1, other - 1, seen[one], seen[other]) for one, other in itertools.pairwise(numbers) if other - one > 1
    ]


def percentile(values: list[int], percent: float) -> int:
    """The smallest of ``values`` that at least ``percent`` of them do not exceed; 0 for none."""
    if not values:
        return 0
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]
