"""What one of several members makes of the leases that it sees, and what it does about them.

Pure: what the bucket holds and the time by this machine's steady clock go in, writes come out. A lease says who has a
thing, and changes only when that does. What is renewed is each member's own key, one for all that it has: a member
that somebody has watched for a while without a renewal is gone, and what it has is free. No two machines' clocks are
compared. A lease is politeness: that a holder which was slow to notice does no harm is the fence's doing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from ezpath.leases.sharing import Who, eligible, share

BURIED_S = 60.0
"""The name of a member that has not been heard of for so long is removed, seconds."""

PASSED_OVER_S = 30.0
"""Who did not take what was his is passed over for so long, and each time for twice as long, seconds.

He may have been slow once: if it were for ever, shares would stay uneven. Or he may know nothing of the thing, which
then is nobody's each time that it is left to him.
"""
PASSED_OVER_AT_MOST_S = 3600.0

Found = Mapping[str, tuple[bytes, int]]
"""The bucket: key to value and revision."""


@dataclass(frozen=True, slots=True)
class Space:
    """Where the keys of one kind of lease are: ``<things>.<thing>`` and ``<members>.<member>``."""

    things: str
    members: str

    def lease(self, thing: str) -> str:
        return f"{self.things}.{thing}"

    def member(self, name: str) -> str:
        return f"{self.members}.{name}"


DECIDERS = Space("shard", "decider")
COLLECTORS = Space("poll", "collector")
SWITCH_WRITERS = Space("switch", "switch-writer")
HOST_WRITERS = Space("host", "host-writer")


@dataclass(frozen=True, slots=True)
class Timing:
    beat_s: float = 1.0
    """How often a member renews, and looks at the others, seconds."""
    ttl_s: float = 4.0
    """A member that was seen for so long without a renewal is gone, seconds."""

    @property
    def blind_s(self) -> float:
        """Whoever has not looked for so long knows nothing about what was renewed meanwhile, seconds."""
        return (self.beat_s + self.ttl_s) / 2

    @property
    def patience_s(self) -> float:
        """What is free is taken by the one whose turn it is; after this time by anybody, seconds."""
        return 2 * self.beat_s


@dataclass(frozen=True, slots=True)
class Member:
    """What stands under a member's name."""

    process: str = ""
    """Which process it is, for those on the same machine."""
    rack: str = ""
    only: tuple[str, ...] = ()
    """The things that it can have; empty: any."""
    left: bool = False
    """It has said goodbye: nobody need wait for it."""

    def to_json(self) -> bytes:
        return json.dumps({name: value for name, value in asdict(self).items() if value}).encode()


@dataclass(frozen=True, slots=True)
class Lease:
    """What stands under a thing's name. Nobody's, where ``holder`` is empty."""

    holder: str
    epoch: int

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()


class Write(NamedTuple):
    """Put ``value`` under ``key`` if that is still at ``revision``; None removes it."""

    key: str
    value: bytes | None
    revision: int | None
    thing: str | None = None
    """What it is the lease of."""
    lease: Lease | None = None
    """What is then held, or given up where its holder is empty."""

    @property
    def gives_up(self) -> str | None:
        return self.thing if self.lease is not None and not self.lease.holder else None


@dataclass(slots=True)
class _Seen:
    """One key, as it was when it last changed before our eyes."""

    value: bytes
    revision: int
    since: float
    renewals: int = 0
    lease: Lease | None = None
    """What :attr:`value` says, read once: hundreds of them are looked at several times a second."""


class _PassedOver(NamedTuple):
    """One thing is not left to one member, for a while."""

    until: float
    seconds: float


@dataclass(slots=True)
class _Shared:
    """What was last worked out, for as long as nothing changes."""

    of: tuple[object, ...] = ()
    owners: dict[str, str] = field(default_factory=dict)


class Leases:
    """One member's view. :meth:`look` at the bucket every beat, and say what was :meth:`written`."""

    def __init__(
        self,
        me: str,
        things: Mapping[str, str] | Collection[str],
        space: Space,
        *,
        member: Member | None = None,
        timing: Timing | None = None,
        is_gone: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """``things``: all that there are to have, with the rack that each is in."""
        self.me = me
        self.space = space
        self.timing = timing or Timing()
        self._things = dict(things) if isinstance(things, Mapping) else dict.fromkeys(things, "")
        self._member = member or Member()
        self._is_gone = is_gone
        self._held: dict[str, int] = {}
        self._least: dict[str, int] = {}
        self._leases: dict[str, _Seen] = {}
        self._members: dict[str, _Seen] = {}
        self._free_since: dict[str, float] = {}
        self._passed_over: dict[tuple[str, str], _PassedOver] = {}
        self._shared = {True: _Shared(), False: _Shared()}
        self._looked = self._renewed = float("-inf")

    @property
    def held(self) -> Mapping[str, int]:
        """What is ours, and the epoch of each."""
        return self._held

    def certain(self, now: float) -> bool:
        """Nobody can have taken what is ours: it was renewed less than a lease's time ago."""
        return now - self._renewed < self.timing.ttl_s

    def look(self, found: Found, now: float) -> list[Write]:
        """What to write, now that the bucket holds ``found``. Afterwards :attr:`held` has nothing that was lost."""
        self._observe(found, now)
        leases = {thing: self._lease(thing) for thing in self._things}
        for thing, epoch in list(self._held.items()):
            lease = leases[thing]
            if lease is not None and (lease.holder, lease.epoch) != (self.me, epoch):
                del self._held[thing]
        others = self._others(now)
        free = sorted(thing for thing in self._things if thing not in self._held and self._is_free(thing, others))
        self._free_since = {thing: self._free_since.get(thing, now) for thing in free}
        self._forget_passed_over(leases, others)
        return [
            *self._renewal(now),
            *self._surplus(leases, others, now),
            *self._rewritten(),
            *self._taken(free, leases, others, now),
            *self._burials(now),
        ]

    def written(self, write: Write, revision: int, now: float) -> None:
        """``write`` is done."""
        if write.thing is None:
            name = write.key.removeprefix(self.space.member(""))
            if write.value is None:
                self._members.pop(name, None)
                return
            self._members[name] = _Seen(write.value, revision, now, 1)
            self._renewed = self._looked  # before it was sent: whoever sees it has seen it later
        elif write.value is not None and write.lease is not None:
            self._leases[write.thing] = _Seen(write.value, revision, now)
            if write.lease.holder:
                self._held[write.thing] = write.lease.epoch
            else:
                self._held.pop(write.thing, None)

    def deposed(self, thing: str, epoch: int) -> None:
        """The fence says that somebody of ``epoch`` has it, whatever the lease says: next time of a later one."""
        self._held.pop(thing, None)
        self._least[thing] = max(self._least.get(thing, 0), epoch)

    def holding(self, found: Found, now: float) -> list[str]:
        """Who has anything, as far as this can be seen: a member has to be watched for a while to be known as gone."""
        self._observe(found, now)
        others = self._others(now)
        leases = {thing: self._lease(thing) for thing in self._things}
        return sorted({lease.holder for lease in leases.values() if lease is not None and lease.holder in others})

    def farewell(self) -> list[Write]:
        """Give everything up."""
        given_up = [self._lease_write(thing, Lease("", epoch)) for thing, epoch in sorted(self._held.items())]
        if self.me not in self._members:
            return given_up
        return [*given_up, self._member_write(self.me, Member(left=True).to_json())]

    # ---- looking ------------------------------------------------------------

    def _observe(self, found: Found, now: float) -> None:
        first, blind = self._looked == float("-inf"), now - self._looked > self.timing.blind_s
        if blind:
            for known in self._members.values():
                known.since = now
        self._looked = now
        for seen, prefix in ((self._leases, self.space.lease("")), (self._members, self.space.member(""))):
            here = {key.removeprefix(prefix): entry for key, entry in found.items() if key.startswith(prefix)}
            for name, (value, revision) in here.items():
                known_one = seen.get(name)
                if known_one is None:
                    # What comes while we watch is alive; what was there before may have been for long.
                    seen[name] = _Seen(value, revision, now, 0 if first or blind else 1)
                elif known_one.revision != revision:
                    seen[name] = _Seen(value, revision, now, known_one.renewals + 1)
            for name in seen.keys() - here.keys():
                # The server lost its store. Whoever held it may write it again, as long as a lease lasts.
                seen[name].revision = 0

    def _lease(self, thing: str) -> Lease | None:
        seen = self._leases.get(thing)
        if seen is None:
            return None
        if seen.lease is None:
            seen.lease = _read_lease(seen.value)
        return seen.lease

    def _is_free(self, thing: str, others: Mapping[str, tuple[Member, bool]]) -> bool:
        """Nobody has it: it was never held, was given up, or its holder is gone. Ours without our knowing is free."""
        lease = self._lease(thing)
        return lease is None or lease.holder not in others

    def _others(self, now: float) -> dict[str, tuple[Member, bool]]:
        """Other members that are alive, as far as we see, and whether that is sure."""
        found = {}
        for name, seen in self._members.items():
            if name == self.me or now - seen.since >= self.timing.ttl_s:
                continue
            member = _read_member(seen.value)
            if not member.left and not self._is_gone(member.process):
                found[name] = member, seen.renewals >= 1
        return found

    # ---- what follows -------------------------------------------------------

    def _renewal(self, now: float) -> Iterator[Write]:
        if now - self._renewed >= self.timing.beat_s / 2:
            yield self._member_write(self.me, self._member.to_json())

    def _owners(
        self, leases: Mapping[str, Lease | None], others: Mapping[str, tuple[Member, bool]], now: float, *, sure: bool
    ) -> dict[str, str]:
        """Who ought to have what, of those that are alive (``sure``: beyond doubt)."""
        members = {self.me: Who(self._member.rack, frozenset(self._member.only))}
        members |= {
            name: Who(member.rack, frozenset(member.only))
            for name, (member, is_sure) in others.items()
            if is_sure or not sure
        }
        holders = {thing: lease.holder for thing, lease in leases.items() if lease is not None and lease.holder}
        holders |= dict.fromkeys(self._held, self.me)
        unwilling = {pair for pair, passed in self._passed_over.items() if now < passed.until}
        before, of = self._shared[sure], (members, holders, unwilling)
        if before.of != of:
            before.of, before.owners = of, share(eligible(self._things, members, unwilling), holders)
        return before.owners

    def _surplus(
        self, leases: Mapping[str, Lease | None], others: Mapping[str, tuple[Member, bool]], now: float
    ) -> Iterator[Write]:
        """What we have, and somebody who is surely alive ought to have."""
        owners = self._owners(leases, others, now, sure=True)
        for thing, epoch in sorted(self._held.items()):
            if owners.get(thing, self.me) != self.me:
                yield self._lease_write(thing, Lease("", epoch))

    def _rewritten(self) -> Iterator[Write]:
        """What we have, and the server has lost."""
        for thing, epoch in sorted(self._held.items()):
            if not self._revision(self._leases, thing):
                yield self._lease_write(thing, Lease(self.me, epoch))

    def _taken(
        self,
        free: Collection[str],
        leases: Mapping[str, Lease | None],
        others: Mapping[str, tuple[Member, bool]],
        now: float,
    ) -> Iterator[Write]:
        """Those free things that are ours to take."""
        owners = self._owners(leases, others, now, sure=False)
        for thing in free:
            owner = owners.get(thing)
            if owner is None or (self._member.only and thing not in self._member.only):
                continue
            if owner != self.me:
                if now - self._free_since[thing] < self.timing.patience_s:
                    continue
                self._pass_over(thing, owner, now)
            lease = leases[thing]
            epoch = max(lease.epoch if lease is not None else 0, self._least.get(thing, 0)) + 1
            yield self._lease_write(thing, Lease(self.me, epoch))

    def _pass_over(self, thing: str, member: str, now: float) -> None:
        before = self._passed_over.get((thing, member))
        seconds = PASSED_OVER_S if before is None else min(2 * before.seconds, PASSED_OVER_AT_MOST_S)
        self._passed_over[thing, member] = _PassedOver(now + seconds, seconds)

    def _forget_passed_over(
        self, leases: Mapping[str, Lease | None], others: Mapping[str, tuple[Member, bool]]
    ) -> None:
        """Who has gone may come back another, and who took it after all was only slow."""
        for thing, member in list(self._passed_over):
            lease = leases.get(thing)
            if member not in others or (lease is not None and lease.holder == member):
                del self._passed_over[thing, member]

    def _burials(self, now: float) -> Iterator[Write]:
        for name, seen in list(self._members.items()):
            if name == self.me or now - seen.since < BURIED_S:
                continue
            if seen.revision:
                yield self._member_write(name, None)
            else:
                del self._members[name]

    def _lease_write(self, thing: str, lease: Lease) -> Write:
        return Write(self.space.lease(thing), lease.to_json(), self._revision(self._leases, thing), thing, lease)

    def _member_write(self, name: str, value: bytes | None) -> Write:
        return Write(self.space.member(name), value, self._revision(self._members, name))

    @staticmethod
    def _revision(seen: Mapping[str, _Seen], name: str) -> int | None:
        known = seen.get(name)
        return known.revision or None if known is not None else None


def _read_lease(value: bytes) -> Lease:
    """What cannot be read is nobody's."""
    try:
        raw = json.loads(value)
        return Lease(str(raw["holder"]), int(raw["epoch"]))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Lease("", 0)


def _read_member(value: bytes) -> Member:
    """What cannot be read is somebody of whom nothing is known."""
    try:
        raw = json.loads(value)
        return Member(
            str(raw.get("process", "")),
            str(raw.get("rack", "")),
            tuple(str(name) for name in raw.get("only", ())),
            bool(raw.get("left", False)),
        )
    except (ValueError, TypeError, AttributeError):
        return Member()
