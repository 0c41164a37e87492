"""A flow as a person names it, found in the directory, or what is wrong with the name and what is near it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from ezpath_decider.directory import Directory

NEAR = 5
MOST_COMPARED = 5000
"""Looking for what is near takes a while for each name: of more names only those that begin alike are compared."""


class UnknownFlow(ValueError):
    """No flow is called so. ``near`` has what may have been meant."""

    def __init__(self, message: str, near: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.near = tuple(near)


def find_flow(text: str, directory: Directory) -> int:
    """The key of ``tenant.a.b`` or ``a.b``, in any order of the endpoints. Raises :class:`UnknownFlow`."""
    parts = text.split(".")
    if len(parts) == 3:
        tenant, one, other = parts
        if tenant not in directory.tenants:
            raise UnknownFlow(f"there is no tenant {tenant}", near(tenant, directory.tenants))
        return _key(tenant, one, other, directory)
    if len(parts) != 2:
        raise UnknownFlow(f"{text!r} names no flow: give tenant.endpoint.endpoint, or the two endpoints")
    one, other = parts
    tenants = [name for name in directory.tenants if all(directory.number(name, end) is not None for end in parts)]
    if len(tenants) == 1:
        return _key(tenants[0], one, other, directory)
    if tenants:
        full = [f"{tenant}.{one}.{other}" for tenant in tenants[:NEAR]]
        raise UnknownFlow(f"{len(tenants)} tenants have both {one} and {other}", full)
    for end in parts:
        if not any(directory.number(tenant, end) is not None for tenant in directory.tenants):
            raise UnknownFlow(f"no tenant has an endpoint {end}", near(end, directory.names))
    raise UnknownFlow(f"{one} and {other} belong to different tenants: there is no flow between them")


def _key(tenant: str, one: str, other: str, directory: Directory) -> int:
    ends = []
    for end in (one, other):
        number = directory.number(tenant, end)
        if number is None:
            theirs = (
                name
                for name, owner in zip(directory.names, directory.tenant, strict=True)
                if directory.tenants[owner] == tenant
            )
            raise UnknownFlow(f"tenant {tenant} has no endpoint {end}", near(end, theirs))
        ends.append(number)
    if ends[0] == ends[1]:
        raise UnknownFlow(f"{one} twice is no flow: give two endpoints")
    return min(ends) << 32 | max(ends)


def near(name: str, names: Iterable[str]) -> list[str]:
    """What may have been meant by ``name``."""
    pool = list(dict.fromkeys(names))
    if len(pool) > MOST_COMPARED:
        pool = [each for each in pool if each[:3] == name[:3]][:MOST_COMPARED]
    return get_close_matches(name, pool, NEAR)
