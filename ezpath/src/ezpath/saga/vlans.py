"""Which VLAN id a tenant gets on a host's link, so that a late frame never reaches another tenant (I3).

Pure. A tenant has one tag on a host for all its pairs there. A tag that was given back rests until its last frames must
have arrived; meanwhile only the tenant that had it may have it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ezpath.names import HostName, PairId, Tenant, VlanId
from ezpath.saga.pmap import PMap

IN_USE = float("inf")
NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Rest:
    """``vid`` on ``host``'s link is for ``tenant`` alone before ``until``."""

    host: HostName
    vid: VlanId
    tenant: Tenant
    until: float
    """Seconds; infinite for as long as it is in use."""


@dataclass(frozen=True, slots=True)
class Uses:
    """Who keeps one tag on one host from whom: for each pair its longest rest, and what they come to together."""

    by_pair: PMap[PairId, Rest] = field(default_factory=PMap)
    users: Mapping[Tenant, int] = field(default_factory=dict)
    """How many of a tenant's pairs use it."""
    until: Mapping[Tenant, float] = field(default_factory=dict)
    """The longest of a tenant's rests."""

    def moved(self, pair: PairId, rest: Rest | None) -> Uses:
        """``pair`` keeps it for as long as ``rest`` says, or no longer."""
        before = self.by_pair.get(pair)
        by_pair = self.by_pair.without(pair) if rest is None else self.by_pair.put(pair, rest)
        users, until = dict(self.users), dict(self.until)
        if before is not None and before.until == IN_USE:
            users[before.tenant] -= 1
        elif before is not None and before.until >= until[before.tenant]:
            rests = (r.until for r in by_pair.values() if r.tenant == before.tenant and r.until != IN_USE)
            until[before.tenant] = max(rests, default=NEVER)
        if rest is not None and rest.until == IN_USE:
            users[rest.tenant] = users.get(rest.tenant, 0) + 1
        elif rest is not None:
            until[rest.tenant] = max(rest.until, until.get(rest.tenant, NEVER))
        return Uses(by_pair, {t: n for t, n in users.items() if n}, {t: u for t, u in until.items() if u != NEVER})

    def taken(self, tenant: Tenant, now: float) -> bool:
        """Some pair of ``tenant`` uses it, or it rests for that."""
        return bool(self.users.get(tenant)) or self.until.get(tenant, NEVER) > now

    def taken_but_for(self, tenant: Tenant, now: float) -> bool:
        """The same of any other tenant."""
        return any(self.taken(other, now) for other in {*self.users, *self.until} - {tenant})


@dataclass(frozen=True, slots=True)
class Tags:
    """Who keeps which tag from whom: an index over all sagas."""

    by_host: PMap[HostName, Mapping[VlanId, Uses]] = field(default_factory=PMap)

    def moved(self, pair: PairId, before: Iterable[Rest], after: Iterable[Rest]) -> Tags:
        """``pair`` kept ``before`` from others, and now keeps ``after``."""
        if before == after:
            return self
        by_host, was, is_now = self.by_host, _longest(before), _longest(after)
        for host, vid in sorted({*was, *is_now}):
            rest = is_now.get((host, vid))
            if was.get((host, vid)) == rest:
                continue
            here = dict(by_host.get(host, {}))
            here[vid] = here.get(vid, Uses()).moved(pair, rest)
            if not here[vid].by_pair:
                del here[vid]
            by_host = by_host.put(host, here)
        return Tags(by_host)

    def allocate(self, host: HostName, tenant: Tenant, now: float, numbers: range) -> VlanId | None:
        """The tag of ``tenant`` on ``host``, one of ``numbers``, or None where all are taken or at rest."""
        here = self.by_host.get(host, {})
        for vid, uses in here.items():
            if uses.users.get(tenant):
                return vid
        mine = {vid for vid, uses in here.items() if uses.taken(tenant, now)}
        others = {vid for vid, uses in here.items() if uses.taken_but_for(tenant, now)}
        free = (VlanId(number) for number in numbers if number not in others)
        return min((vid for vid in mine - others if vid in numbers), default=None) or next(free, None)


def _longest(rests: Iterable[Rest]) -> dict[tuple[HostName, VlanId], Rest]:
    """Of each tag the longest rest; whose it is in use is as long as can be."""
    return {(rest.host, rest.vid): rest for rest in sorted(rests, key=lambda rest: rest.until)}


def merged(rests: Iterable[Rest], now: float) -> tuple[Rest, ...]:
    """Each tag once, with the longest rest; those that are over are left out."""
    longest: dict[tuple[HostName, VlanId, Tenant], Rest] = {}
    for rest in rests:
        key = (rest.host, rest.vid, rest.tenant)
        if rest.until > now and (key not in longest or rest.until > longest[key].until):
            longest[key] = rest
    return tuple(longest[key] for key in sorted(longest))
