"""What makes bytes no event of ours, and the checks on fields that types alone do not make. Pure."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from ezpath.items import Item

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MAC_FIELDS = ("mac", "src", "dst")
_IPV4_FIELDS = ("local_vtep", "vtep")


class MalformedEvent(ValueError):
    """Bytes that are no event of ours. The message says what is wrong with them, in one line."""


def check_name(field: str, value: str) -> None:
    """One token of a subject. Raises :class:`MalformedEvent`."""
    if not _NAME.fullmatch(value):
        raise MalformedEvent(f"{field}: {value[:80]!r} is no name")


def check_pair(field: str, value: str) -> None:
    """``tenant.a.b``. Raises :class:`MalformedEvent`."""
    parts = value.split(".")
    if len(parts) != 3 or not all(_NAME.fullmatch(part) for part in parts):
        raise MalformedEvent(f"{field}: {value[:200]!r} is no pair: tenant.endpoint.endpoint is wanted")


def check_target(field: str, value: str) -> None:
    """``switch:NAME`` or ``host:NAME``. Raises :class:`MalformedEvent`."""
    kind, _, name = value.partition(":")
    if kind not in ("switch", "host"):
        raise MalformedEvent(f"{field}: {value[:80]!r} is neither switch:NAME nor host:NAME")
    check_name(field, name)


def check_item(item: Item) -> None:
    """Addresses are addresses; whether numbers fit the program is for the target to say. Raises MalformedEvent."""
    for field in _MAC_FIELDS:
        value = getattr(item, field, None)
        if value is not None and not _MAC.fullmatch(value):
            raise MalformedEvent(f"{item.kind}.{field}: {value[:80]!r} is no MAC address")
    for field in _IPV4_FIELDS:
        value = getattr(item, field, None)
        if value is not None and not _is_ipv4(value):
            raise MalformedEvent(f"{item.kind}.{field}: {value[:80]!r} is no IPv4 address")


@lru_cache(maxsize=4096)
def _is_ipv4(value: str) -> bool:
    try:
        ipaddress.IPv4Address(value)
    except ValueError:
        return False
    return True
