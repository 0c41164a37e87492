"""Table entries as people write them: short names, addresses as text."""

from __future__ import annotations

from collections.abc import Mapping

from ezpath_tor.plane import ActionCall, DataPlane, Lpm
from p4rt.p4info import MatchKind
from packet.frames import ip, mac

from p4rt import P4Info, TableEntry

Value = int | str
"""A number, a MAC address or an IPv4 address."""


def number(value: Value) -> int:
    if isinstance(value, int):
        return value
    return int.from_bytes(mac(value), "big") if ":" in value else ip(value)


def entry(table: str, match: Mapping[str, Value | tuple[Value, int]], action: str, **params: Value) -> TableEntry:
    """``entry("route", {"prefix": ("10.1.0.0", 16)}, "next_hop", port=10, src=ROUTER, dst=SPINE_MAC)``."""
    return TableEntry(
        table,
        {name: (number(one[0]), one[1]) if isinstance(one, tuple) else number(one) for name, one in match.items()},
        action,
        {name: number(value) for name, value in params.items()},
    )


def default(table: str, action: str, **params: Value) -> TableEntry:
    """The action of a table where nothing matches."""
    return TableEntry(table, {}, action, {name: number(value) for name, value in params.items()}, default=True)


def insert(plane: DataPlane, info: P4Info, wanted: TableEntry) -> None:
    """Straight into a data plane, without a server between."""
    table, action = info.tables[wanted.table], info.actions[wanted.action]
    key: list[int | Lpm] = []
    for field in table.fields:
        value = wanted.match.get(field.name, (0, 0))
        if field.kind is MatchKind.LPM:
            assert isinstance(value, tuple)
            key.append(Lpm(*value))
        else:
            assert isinstance(value, int)
            key.append(value)
    params = tuple(wanted.params[param.name] for param in action.params)
    plane.insert(table.name, tuple(key), ActionCall(action.name, params))
