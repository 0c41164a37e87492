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


@dataclass(frozen=True, slots=True)
class Rest:
    """``vid`` on ``host``'s link is for ``tenant`` alone before ``until``."""

    host: HostName
    vid: VlanId
    tenant: Tenant
    until: float
    """Seconds; infinite for as long as it is in use."""


@dataclass(frozen=True, slots=True)
class Tags:
    """Who keeps which tag from whom: an index over all sagas."""

    by_host: PMap[HostName, Mapping[tuple[VlanId, PairId], Rest]] = field(default_factory=PMap)

    def moved(self, pair: PairId, before: Iterable[Rest], after: Iterable[Rest]) -> Tags:
        """``pair`` kept ``before`` from others, and now keeps ``after``."""
        if before == after:
            return self
        by_host = self.by_host
        hosts = {rest.host for rest in (*before, *after)}
        for host in sorted(hosts):
            uses = {key: rest for key, rest in by_host.get(host, {}).items() if key[1] != pair}
            for rest in sorted((rest for rest in after if rest.host == host), key=lambda rest: rest.until):
                uses[(rest.vid, pair)] = rest
            by_host = by_host.put(host, uses)
        return Tags(by_host)

    def allocate(self, host: HostName, tenant: Tenant, now: float, numbers: range) -> VlanId | None:
        """The tag of ``tenant`` on ``host``, one of ``numbers``, or None where all are taken or at rest."""
        mine: set[VlanId] = set()
        others: set[VlanId] = set()
        for (vid, _), rest in self.by_host.get(host, {}).items():
            if rest.until == IN_USE and rest.tenant == tenant:
                return vid
            if rest.until > now:
                (mine if rest.tenant == tenant else others).add(vid)
        free = (VlanId(number) for number in numbers if number not in others)
        return min((vid for vid in mine - others if vid in numbers), default=None) or next(free, None)


def merged(rests: Iterable[Rest], now: float) -> tuple[Rest, ...]:
    """Each tag once, with the longest rest; those that are over are left out."""
    longest: dict[tuple[HostName, VlanId, Tenant], Rest] = {}
    for rest in rests:
        key = (rest.host, rest.vid, rest.tenant)
        if rest.until > now and (key not in longest or rest.until > longest[key].until):
            longest[key] = rest
    return tuple(longest[key] for key in sorted(longest))
