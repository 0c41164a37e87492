"""``programs/matches.p4`` as something to ask: queries on the wire, and the same search in Python."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from ezpath_tor.keys import priority_of
from ezpath_tor.plane import ActionCall, Key, Lpm, Priority, Range, Ternary
from packet.calculator import DST, SRC, Calculator
from packet.frames import ethernet

QUERY = 0x4D41
ACL, OPTIONALS, CONSTANT, INITIAL, MASKED, MASKED_PREFIX, HIT_OR_MISS = range(1, 8)
M16, M128 = (1 << 16) - 1, (1 << 128) - 1
ANY, ANY_PORT, ANY_PREFIX = Ternary(0, 0), Range(0, M16), Lpm(0, 0)
MISS = (0, 0xDEAD)


@dataclass(frozen=True, slots=True)
class Query:
    """The header ``query_t`` up to its answer."""

    which: int
    a: int = 0
    b: int = 0
    c: int = 0
    w: int = 0

    def pack(self) -> bytes:
        return struct.pack("!BHHI", self.which, self.a, self.b, self.c) + self.w.to_bytes(16, "big")


def answer(value: int, check: int | None = None) -> ActionCall:
    return ActionCall("Ask.answer", (value, value if check is None else check))


class Asked:
    """The running program, and what was put into its tables."""

    def __init__(self, running: Calculator) -> None:
        self.plane = running.plane
        self.running = running
        self.entries: dict[tuple[str, Key], ActionCall] = {}

    def insert(self, table: str, key: Key, call: ActionCall) -> None:
        self.plane.insert(f"Ask.{table}", key, call)
        self.entries[table, key] = call

    def delete(self, table: str, key: Key) -> None:
        self.plane.delete(f"Ask.{table}", key)
        del self.entries[table, key]

    def ask(self, query: Query, behind: bytes = b"") -> tuple[int, int]:
        """The answer, and what is beside it to check it with."""
        sent = query.pack()
        [frame] = self.running.frames(ethernet(DST, SRC, QUERY, sent + bytes(4) + behind))
        assert frame[14 : 14 + len(sent)] == sent
        value, check = struct.unpack_from("!HH", frame, 14 + len(sent))
        return value, check


def matches(key: Key, query: Query) -> bool:
    a, b, c, w, _ = key
    assert isinstance(a, Ternary) and isinstance(b, Range) and isinstance(c, Lpm) and isinstance(w, Ternary)
    return (
        query.a & a.mask == a.value
        and b.low <= query.b <= b.high
        and query.c >> (32 - c.prefix_len) == c.value >> (32 - c.prefix_len)
        and query.w & w.mask == w.value
    )


def some_key(source: random.Random, priority: int) -> Key:
    mask = source.choice((0, M16, 0xFF00, 0x00FF, 0x8001, 0x0FF0))
    wide = source.choice((0, 0, M128, 0xFFFF << 112, 0xF))
    length = source.choice((0, 8, 16, 32))
    low, high = sorted((source.getrandbits(4) << 8, source.getrandbits(16)))
    return (
        Ternary(source.choice((0x1234, 0x8001, 0x12FF)) & mask, mask),
        source.choice((ANY_PORT, Range(low, high), Range(443, 443))),
        Lpm(0x0A010203 >> (32 - length) << (32 - length), length),
        Ternary((0xFE80 << 112 | 5) & wide, wide),
        Priority(priority),
    )


def near(source: random.Random, key: Key) -> Query:
    """A query that matches the entry in most of its fields."""
    a, b, c, w, _ = key
    assert isinstance(a, Ternary) and isinstance(b, Range) and isinstance(c, Lpm) and isinstance(w, Ternary)
    query = Query(
        ACL,
        source.getrandbits(16) & ~a.mask | a.value,
        source.randint(b.low, b.high),
        c.value | source.getrandbits(32 - c.prefix_len) if c.prefix_len < 32 else c.value,
        source.getrandbits(128) & ~w.mask | w.value,
    )
    return (
        query if source.random() < 0.8 else Query(ACL, query.a ^ 1 << source.randrange(16), query.b, query.c, query.w)
    )


def expected(entries: dict[Key, int], query: Query) -> tuple[int, int]:
    """What the best of all entries that match answers. No two of them have the same priority."""
    best = max((key for key in entries if matches(key, query)), key=priority_of, default=None)
    return MISS if best is None else (entries[best], entries[best])
