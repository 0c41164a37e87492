"""What makes bytes no event of ours, and the checks on fields that types alone do not make. Pure."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ezpath.items import Item

_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MAC_FIELDS = ("mac", "src", "dst")
_IPV4_FIELDS = ("local_vtep", "vtep")


MOST_OF_A_REASON = 400


class MalformedEvent(ValueError):
    """Bytes that are no event of ours. The message says what is wrong with them, in one line and not a long one."""

    def __init__(self, reason: str) -> None:
        super().__init__(brief(reason))


def brief(reason: str) -> str:
    """One line of bounded length: a reason may quote what came in, and that may be anything, of any size."""
    cut = reason if len(reason) <= MOST_OF_A_REASON else f"{reason[:MOST_OF_A_REASON]}…"
    return "".join(letter if letter.isprintable() else "?" for letter in cut)


def json_object(data: bytes | str, parse_constant: Callable[[str], Any] | None = None) -> dict[str, Any]:
    """``parse_constant``: as :func:`json.loads` has it. Raises :class:`MalformedEvent`."""
    try:
        found = json.loads(data, parse_constant=parse_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedEvent(f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise MalformedEvent(f"not a JSON object but {type(found).__name__}")
    return found


# Who says something says it again and again. What is refused is not remembered, so that all of this has a bound.


@lru_cache(maxsize=65536)
def check_name(field: str, value: str) -> None:
    """One token of a subject. Raises :class:`MalformedEvent`."""
    if not _NAME.fullmatch(value):
        raise MalformedEvent(f"{field}: {value[:80]!r} is no name")


@lru_cache(maxsize=65536)
def check_pair(field: str, value: str) -> None:
    """``tenant.a.b``. Raises :class:`MalformedEvent`."""
    parts = value.split(".")
    if len(parts) != 3 or not all(_NAME.fullmatch(part) for part in parts):
        raise MalformedEvent(f"{field}: {value[:200]!r} is no pair: tenant.endpoint.endpoint is wanted")


@lru_cache(maxsize=4096)
def check_target(field: str, value: str) -> None:
    """``switch:NAME`` or ``host:NAME``. Raises :class:`MalformedEvent`."""
    kind, _, name = value.partition(":")
    if kind not in ("switch", "host"):
        raise MalformedEvent(f"{field}: {value[:80]!r} is neither switch:NAME nor host:NAME")
    check_name(field, name)


@lru_cache(maxsize=65536)
def check_item(item: Item) -> None:
    """Addresses are addresses, a VNI has 24 bits and a tag 12; whether a port is one is for the target to say.

    Raises MalformedEvent.
    """
    if not 0 <= item.vni < 2**24:
        raise MalformedEvent(f"{item.kind}.vni: {item.vni} has more than 24 bits")
    if not 0 <= getattr(item, "vid", 0) < 2**12:
        raise MalformedEvent(f"{item.kind}.vid: {getattr(item, 'vid', 0)} has more than 12 bits")
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
