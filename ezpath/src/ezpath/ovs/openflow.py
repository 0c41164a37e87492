"""The part of OpenFlow 1.4 that changing our own rules takes, as bytes.

Bundles of flow mods, rules by their cookie, and a monitor of what others do. Pure. A rule in ovs-ofctl's words
becomes the bytes that Open vSwitch itself would send for it, so that a rule that is read back is compared byte for
byte. What is not among the words that our rules use is for ovs-ofctl.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from ezpath.ovs.flows import Flow

VERSION = 5
HEADER = struct.Struct("!BBHI")
"""Version, type, length of the whole message, transaction."""
LONGEST = 65535

_MOD = struct.Struct("!QQBBHHHIIIHH")
_BUNDLE = struct.Struct("!IHH")
_MULTIPART = struct.Struct("!HHI")
_STATS_REQUEST = struct.Struct("!B3xII4xQQ")
_STATS = struct.Struct("!HBxIIHHHHHxxQQQ")
_TLV = struct.Struct("!HH")
_NO_BUFFER = _ANY = 0xFFFFFFFF
_ALL_TABLES, _ALL_BITS = 0xFF, 2**64 - 1
_FLOW_STATS, _FLOW_MONITOR = 1, 16
_MORE = 1
_INITIAL_AND_CHANGES = 15
_MONITOR = struct.Struct("!IIIHBB")
_UPDATE = struct.Struct("!HHBBHHH4xQ")
_ATOMIC_AND_ORDERED = 3
_CHECK_OVERLAP = 2


class Type(IntEnum):
    """Of a message."""

    HELLO = 0
    ERROR = 1
    ECHO_REQUEST = 2
    ECHO_REPLY = 3
    FLOW_MOD = 14
    MULTIPART_REQUEST = 18
    MULTIPART_REPLY = 19
    BARRIER_REQUEST = 20
    BARRIER_REPLY = 21
    BUNDLE_CONTROL = 33
    BUNDLE_ADD = 34


class Command(IntEnum):
    """What a flow mod does."""

    ADD = 0
    MODIFY_STRICT = 2
    DELETE_STRICT = 4


class Bundle(IntEnum):
    """What is asked about a bundle, and answered by the number that follows."""

    OPEN = 0
    COMMIT = 4
    DISCARD = 6


class Unspoken(ValueError):
    """A rule with words in it that are not among those of our rules."""


# ---- to Open vSwitch


def message(kind: Type, xid: int, body: bytes = b"") -> bytes:
    """A whole message."""
    return HEADER.pack(VERSION, kind, HEADER.size + len(body), xid) + body


def hello(xid: int) -> bytes:
    """We speak version 1.4 and no other."""
    return message(Type.HELLO, xid, _TLV.pack(1, 8) + struct.pack("!I", 1 << VERSION))


@dataclass(frozen=True, slots=True)
class Mod:
    """One step of a bundle."""

    command: Command
    flow: Flow
    alone: bool = False
    """To be refused where another rule of its priority overlaps it."""


def marked(flow: Flow) -> tuple[Mod, ...]:
    """For the beginning of a bundle: refused, all of it, where another rule overlaps ``flow``; else nothing stays."""
    return Mod(Command.ADD, flow, alone=True), Mod(Command.DELETE_STRICT, flow)


def bundle(mods: Sequence[Mod], number: int, first_xid: int) -> bytes:
    """Opens a bundle and fills it; messages are numbered from ``first_xid`` on: open, mods, and a barrier.

    Open vSwitch looks at each mod when it comes, and leaves out what it refuses: when the barrier is answered, and no
    mod was refused, :func:`commit` it. Raises :class:`Unspoken`.
    """
    parts = [_bundle_control(Bundle.OPEN, number, first_xid)]
    add = _BUNDLE.pack(number, 0, _ATOMIC_AND_ORDERED)
    for xid, mod in enumerate(mods, first_xid + 1):
        parts.append(message(Type.BUNDLE_ADD, xid, add + _flow_mod(mod, xid)))
    parts.append(message(Type.BARRIER_REQUEST, first_xid + len(mods) + 1))
    return b"".join(parts)


def commit(number: int, xid: int) -> bytes:
    """Carries out a bundle, all of it or nothing."""
    return _bundle_control(Bundle.COMMIT, number, xid)


def discard(number: int, xid: int) -> bytes:
    """Forgets a bundle."""
    return _bundle_control(Bundle.DISCARD, number, xid)


def touch(flow: Flow, xid: int) -> bytes:
    """Changes a rule to itself, by no bundle: nothing changes where it is not there, or not as it says."""
    return _flow_mod(Mod(Command.MODIFY_STRICT, flow), xid)


def rules_with_cookie(cookie: int, xid: int) -> bytes:
    """Asks for all rules that have exactly this cookie; Open vSwitch finds them without looking at the others."""
    asked = _STATS_REQUEST.pack(_ALL_TABLES, _ANY, _ANY, cookie, _ALL_BITS) + _match(b"")
    return message(Type.MULTIPART_REQUEST, xid, _MULTIPART.pack(_FLOW_STATS, 0, 0) + asked)


def watch(xid: int) -> bytes:
    """Asks for all rules of table 0, and to be told of each change from now on; of our own ones only that they were."""
    asked = _MONITOR.pack(1, _ANY, _ANY, _INITIAL_AND_CHANGES, 0, 0) + _match(b"")
    return message(Type.MULTIPART_REQUEST, xid, _MULTIPART.pack(_FLOW_MONITOR, 0, 0) + asked)


def _bundle_control(what: Bundle, number: int, xid: int) -> bytes:
    return message(Type.BUNDLE_CONTROL, xid, _BUNDLE.pack(number, what, _ATOMIC_AND_ORDERED))


def _flow_mod(mod: Mod, xid: int) -> bytes:
    flow, command = mod.flow, mod.command
    adds = command is Command.ADD
    head = _MOD.pack(
        flow.cookie,
        0 if adds else _ALL_BITS,
        flow.table,
        command,
        0,
        0,
        flow.priority,
        _NO_BUFFER,
        _ANY,
        _ANY,
        _CHECK_OVERLAP if mod.alone else 0,
        0,
    )
    instructions = b"" if command is Command.DELETE_STRICT else _instructions(flow.actions)
    return message(Type.FLOW_MOD, xid, head + _matching(flow.match) + instructions)


# ---- from Open vSwitch


@dataclass(frozen=True, slots=True)
class Found:
    """A rule as it is in a table: what makes it this rule, and its match and instructions as bytes."""

    table: int
    priority: int
    cookie: int
    does: bytes


def found_of(flow: Flow) -> Found:
    """What is found where ``flow`` stands. Raises :class:`Unspoken`."""
    return Found(flow.table, flow.priority, flow.cookie, _matching(flow.match) + _instructions(flow.actions))


def found_in(body: bytes) -> list[Found]:
    """The rules in a multipart reply."""
    kind, _, _ = _MULTIPART.unpack_from(body)
    if kind != _FLOW_STATS:
        raise ValueError(f"an answer of kind {kind}, where rules were asked for")
    return list(_rules(memoryview(body)[_MULTIPART.size :]))


def _rules(rest: memoryview) -> Iterator[Found]:
    while rest:
        if len(rest) < _STATS.size or _TLV.unpack_from(rest)[0] < _STATS.size:
            raise ValueError(f"a rule that is too short, {len(rest)} bytes from the end")
        length, table, _, _, priority, _, _, _, _, cookie, _, _ = _STATS.unpack_from(rest)
        yield Found(table, priority, cookie, bytes(rest[_STATS.size : length]))
        rest = rest[length:]


class Event(IntEnum):
    """What a monitor tells."""

    INITIAL = 0
    ADDED = 1
    REMOVED = 2
    MODIFIED = 3
    OWN = 4
    PAUSED = 5
    RESUMED = 6


@dataclass(frozen=True, slots=True)
class Change:
    """What became of a rule; for events that are about none, all zeros."""

    event: Event
    priority: int = 0
    cookie: int = 0
    match: bytes = b""


def match_of(flow: Flow) -> bytes:
    """As in :attr:`Change.match`. Raises :class:`Unspoken`."""
    return _matching(flow.match)


def has_more(body: bytes) -> bool:
    """Whether more of a multipart reply follows in another message."""
    return bool(_MULTIPART.unpack_from(body)[1] & _MORE)


def is_of_monitor(body: bytes) -> bool:
    """Whether a multipart reply is a monitor's."""
    return int(_MULTIPART.unpack_from(body)[0]) == _FLOW_MONITOR


def changes_in(body: bytes) -> Iterator[Change]:
    """What a monitor's reply tells."""
    rest = memoryview(body)[_MULTIPART.size :]
    while rest:
        length, event = _TLV.unpack_from(rest)
        if length < _TLV.size:
            raise ValueError(f"an update of {length} bytes")
        if event >= Event.OWN:
            yield Change(Event(event))
        else:
            _, _, _, _, _, _, priority, cookie = _UPDATE.unpack_from(rest)
            size = _TLV.unpack_from(rest, _UPDATE.size)[1]
            match = bytes(rest[_UPDATE.size : _UPDATE.size + size + -size % 8])
            yield Change(Event(event), priority, cookie, match)
        rest = rest[length:]


# ---- words to bytes


def _oxm(field: int, value: bytes) -> bytes:
    return struct.pack("!HBB", 0x8000, field << 1, len(value)) + value


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _vid(number: int) -> bytes:
    return _oxm(6, number.to_bytes(2, "big"))


_FIELDS: Mapping[str, Callable[[str], bytes]] = {
    # In the order in which Open vSwitch writes them.
    "in_port": lambda value: _oxm(0, int(value).to_bytes(4, "big")),
    "dl_src": lambda value: _oxm(4, _mac(value)),
    "dl_dst": lambda value: _oxm(3, _mac(value)),
    "dl_vlan": lambda value: _vid(0x1000 | int(value)),
    "vlan_tci": lambda value: _untagged(value),
}


def _untagged(value: str) -> bytes:
    if value != "0x0000/0x1fff":
        raise Unspoken(f"vlan_tci={value}")
    return _vid(0)


def _matching(text: str) -> bytes:
    given = dict(part.partition("=")[::2] for part in text.split(",")) if text else {}
    if unknown := given.keys() - _FIELDS.keys():
        raise Unspoken(f"{', '.join(sorted(unknown))} in {text}")
    return _match(b"".join(encode(given[name]) for name, encode in _FIELDS.items() if name in given))


def _match(fields: bytes) -> bytes:
    return _padded(_TLV.pack(1, _TLV.size + len(fields)) + fields)


@lru_cache(maxsize=16384)
def _instructions(text: str) -> bytes:
    if text == "drop":
        return b""
    actions = b"".join(map(_action, text.split(",")))
    return _TLV.pack(4, 8 + len(actions)) + bytes(4) + actions


def _action(text: str) -> bytes:
    name, _, value = text.partition(":")
    match name:
        case "output":
            return struct.pack("!HHIH6x", 0, 16, int(value), 0)
        case "push_vlan":
            return struct.pack("!HHH2x", 17, 8, int(value, 16))
        case "pop_vlan":
            return struct.pack("!HH4x", 18, 8)
        case "set_field" if value.endswith("->vlan_vid"):
            field = _vid(int(value.removesuffix("->vlan_vid")))
            padded = _padded(bytes(4) + field)
            return _TLV.pack(25, len(padded)) + padded[4:]
        case _:
            raise Unspoken(text)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)
