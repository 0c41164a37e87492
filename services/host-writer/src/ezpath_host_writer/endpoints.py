"""Which endpoints a host's rules may need, while they come and go. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ezpath.inventory import Endpoint
from ezpath.items import HostItem, SendRule
from ezpath.names import Mac, Vni


def needed(now: Iterable[Endpoint], before: Iterable[Endpoint], items: Iterable[HostItem]) -> tuple[Endpoint, ...]:
    """Those that are there ``now``; and those of ``before`` that ``items`` still speak of, until they are taken off.

    A rule stays right as long as its port does, whatever the inventory says: the decider takes it off in order. But
    an interface that is somebody else's now is not given to the endpoint that had it.
    """
    here = tuple(now)
    addresses, interfaces = {_address(each) for each in here}, {each.interface for each in here}
    spoken_of = {_subject(item) for item in items} - addresses
    return (*here, *(each for each in before if _address(each) in spoken_of and each.interface not in interfaces))


def _address(endpoint: Endpoint) -> tuple[Vni, Mac]:
    return endpoint.vni, endpoint.mac


def _subject(item: HostItem) -> tuple[Vni, Mac]:
    """The endpoint on this host that a rule is for."""
    return item.vni, item.src if isinstance(item, SendRule) else item.mac
