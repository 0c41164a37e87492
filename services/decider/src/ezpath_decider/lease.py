"""Who leads which shard: what one decider makes of the leases that it sees, and what it does about them.

Pure: what the bucket holds and the time by this machine's steady clock go in, writes come out. Each lease is renewed by
its holder; one that somebody has watched for a while without a renewal is free. No two machines' clocks are compared.
A lease is politeness: that a leader which was slow to notice does no harm is the fence's doing (``ledger.py``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple
from zlib import crc32

BEAT_S = 1.0
"""How often a lease is renewed, and the others are looked at, seconds."""
TTL_S = 4.0
"""A lease that was seen for so long without a renewal is free, seconds."""
BLIND_S = 2.5
"""Whoever has not looked for so long knows nothing about what was renewed meanwhile, seconds."""
PATIENCE_S = 2 * BEAT_S
"""A free lease is taken by the one who has the fewest; after this time by anybody, seconds."""
BURIED_S = 60.0
"""The name of a decider that has not been heard of for so long is removed, seconds."""

Found = Mapping[str, tuple[bytes, int]]
"""The bucket: key to value and revision."""


@dataclass(frozen=True, slots=True)
class Lease:
    """What stands under ``shard.<number>``. Nobody's, where ``holder`` is empty."""

    holder: str
    epoch: int
    process: str = ""
    """Which process the holder is, for those on the same machine."""


class Write(NamedTuple):
    """Put ``value`` under ``key`` if that is still at ``revision``; None removes it."""

    key: str
    value: bytes | None
    revision: int | None
    lease: Lease | None = None
    """What is then held, or given up where its holder is empty."""


@dataclass(slots=True)
class Seen:
    """One key, as it was when it last changed before our eyes."""

    value: bytes
    revision: int
    since: float
    renewals: int = 0


class Leases:
    """One decider's view. :meth:`look` at the bucket every beat, and say what was :meth:`written`."""

    def __init__(self, me: str, shards: int, process: str = "", is_gone: Callable[[str], bool] = lambda _: False):
        self.me = me
        self._numbers = range(shards)
        self._process = process
        self._is_gone = is_gone
        self._held: dict[int, int] = {}
        self._least: dict[int, int] = {}
        self._seen: dict[str, Seen] = {}
        self._free_since: dict[int, float] = {}
        self._looked = float("-inf")

    @property
    def held(self) -> Mapping[int, int]:
        """Shards that are ours, and the epoch of each."""
        return self._held

    def look(self, found: Found, now: float) -> list[Write]:
        """What to write, now that the bucket holds ``found``. Afterwards :attr:`held` has no lease that was lost."""
        self._observe(found, now)
        leases = {number: self._lease(number) for number in self._numbers}
        for number, epoch in list(self._held.items()):
            lease = leases[number]
            if lease is not None and (lease.holder, lease.epoch) != (self.me, epoch):
                del self._held[number]
        free = sorted(number for number in self._numbers if number not in self._held and self._is_free(number, now))
        self._free_since = {number: self._free_since.get(number, now) for number in free}
        surplus = None if free else self._surplus(leases, now)
        return [
            Write(_name(self.me), self._process.encode(), self._revision(_name(self.me))),
            *(self._give_up(n, e) if n == surplus else self._claim(n, e) for n, e in sorted(self._held.items())),
            *self._taken(free, leases, now),
            *self._burials(now),
        ]

    def written(self, write: Write, revision: int, now: float) -> None:
        """``write`` is done."""
        if write.value is None:
            self._seen.pop(write.key, None)
            return
        self._seen[write.key] = Seen(write.value, revision, now, 1)
        if write.lease is not None:
            number = int(write.key.partition(".")[2])
            if write.lease.holder:
                self._held[number] = write.lease.epoch
            else:
                self._held.pop(number, None)

    def deposed(self, number: int, epoch: int) -> None:
        """The fence says that somebody of ``epoch`` leads, whatever the lease says: next time of a later one."""
        self._held.pop(number, None)
        self._least[number] = max(self._least.get(number, 0), epoch)

    def leading(self, found: Found, now: float) -> list[str]:
        """Who leads, as far as this can be seen: a lease has to be watched for a while to be known as left."""
        self._observe(found, now)
        leases = ((number, self._lease(number)) for number in self._numbers)
        return sorted(
            {lease.holder for number, lease in leases if lease is not None and not self._is_free(number, now)}
        )

    def farewell(self) -> list[Write]:
        """Give everything up."""
        given_up = [self._give_up(number, epoch) for number, epoch in sorted(self._held.items())]
        name = _name(self.me)
        return [*given_up, *([Write(name, None, self._revision(name))] if name in self._seen else [])]

    # ---- looking ------------------------------------------------------------

    def _observe(self, found: Found, now: float) -> None:
        if now - self._looked > BLIND_S:
            for known in self._seen.values():
                known.since = now
        self._looked = now
        for key, (value, revision) in found.items():
            seen = self._seen.get(key)
            if seen is None:
                self._seen[key] = Seen(value, revision, now)
            elif seen.revision != revision:
                self._seen[key] = Seen(value, revision, now, seen.renewals + 1)
        for key in [key for key in self._seen if key not in found]:
            if key.startswith("shard."):
                # The server lost its store. Whoever held it may write it again, as long as a lease lasts.
                self._seen[key].revision = 0
            else:
                del self._seen[key]

    def _lease(self, number: int) -> Lease | None:
        seen = self._seen.get(_key(number))
        return _read(seen.value) if seen is not None else None

    def _revision(self, key: str) -> int | None:
        seen = self._seen.get(key)
        return seen.revision or None if seen is not None else None

    def _is_free(self, number: int, now: float) -> bool:
        """Nobody leads it: it was never held, was given up, or its holder is gone. Ours without our knowing is free."""
        seen = self._seen.get(_key(number))
        if seen is None:
            return True
        lease = _read(seen.value)
        return lease.holder in ("", self.me) or now - seen.since >= TTL_S or self._is_gone(lease.process)

    def _others(self, now: float, renewals: int = 0) -> list[str]:
        """Other deciders that are alive, as far as we see."""
        return [
            key.removeprefix("decider.")
            for key, seen in self._seen.items()
            if key.startswith("decider.") and key != _name(self.me)
            if now - seen.since < TTL_S and seen.renewals >= renewals and not self._is_gone(seen.value.decode())
        ]

    # ---- what follows -------------------------------------------------------

    def _taken(self, free: list[int], leases: Mapping[int, Lease | None], now: float) -> Iterator[Write]:
        """Those free leases that are ours to take: the one who leads the fewest takes the next."""
        counts = Counter(dict.fromkeys((self.me, *self._others(now)), 0))
        for number, lease in leases.items():
            holder = self.me if number in self._held else lease.holder if lease is not None else ""
            if number not in free and holder in counts:
                counts[holder] += 1
        for number in free:
            taker = min(counts, key=lambda name: (counts[name], _rank(number, name)))
            counts[taker] += 1
            if taker == self.me or now - self._free_since[number] >= PATIENCE_S:
                lease = leases[number]
                epoch = max(lease.epoch if lease is not None else 0, self._least.get(number, 0)) + 1
                yield self._claim(number, epoch)

    def _surplus(self, leases: Mapping[int, Lease | None], now: float) -> int | None:
        """One to give up, where somebody who is surely alive leads two less."""
        holders = Counter(lease.holder for lease in leases.values() if lease is not None)
        fewest = min((holders[name] for name in self._others(now, renewals=1)), default=len(self._held))
        return max(self._held) if len(self._held) - fewest >= 2 else None

    def _burials(self, now: float) -> Iterator[Write]:
        for key, seen in self._seen.items():
            if key.startswith("decider.") and key != _name(self.me) and now - seen.since >= BURIED_S:
                yield Write(key, None, seen.revision)

    def _claim(self, number: int, epoch: int) -> Write:
        return self._lease_write(number, Lease(self.me, epoch, self._process))

    def _give_up(self, number: int, epoch: int) -> Write:
        return self._lease_write(number, Lease("", epoch))

    def _lease_write(self, number: int, lease: Lease) -> Write:
        value = json.dumps(asdict(lease)).encode()
        return Write(_key(number), value, self._revision(_key(number)), lease)


def _key(number: int) -> str:
    return f"shard.{number}"


def _name(decider: str) -> str:
    return f"decider.{decider}"


def _rank(number: int, name: str) -> int:
    """Among equals, another one first for each shard."""
    return crc32(f"{number}/{name}".encode())


def _read(value: bytes) -> Lease:
    """What cannot be read is nobody's."""
    try:
        raw = json.loads(value)
        return Lease(str(raw["holder"]), int(raw["epoch"]), str(raw.get("process", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Lease("", 0)
