"""OpenFlow rules as values, in ovs-ofctl's own words: which are ours, are two the same, and how they are changed.

Pure. Ours carry a cookie whose upper 16 bits are ``0xe25a``; rules without it are never touched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from zlib import crc32

from ovs.flow.ofp import OFPFlow

from ezpath.names import Vni

COOKIE = 0xE25A_0000_0000_0000
COOKIE_MASK = 0xFFFF_0000_0000_0000
PRIORITY = 58082
"""Above what controllers and operators use in table 0; an unusual number, so that nobody's rule equals one of ours."""
GUARD_PRIORITY = PRIORITY - 1


class Role(IntEnum):
    """What a rule of ours is for: bits 40-47 of its cookie."""

    GUARD = 1
    RECEIVE = 2
    SEND = 3


def cookie(role: Role, vni: Vni | None = None, match: str = "") -> int:
    """``0xe25a`` · role (8 bits) · mark (16 bits) · VNI (24 bits, 0 for none): a dump tells whose rule it is.

    The mark is a hash of the rule's match: Open vSwitch finds rules by their cookie at once, however many there are.
    """
    mark = crc32(match.encode()) & 0xFFFF if match else 0
    return COOKIE | role << 40 | mark << 24 | (vni or 0)


@dataclass(frozen=True, slots=True)
class Flow:
    """One rule. ``match`` and ``actions`` in ovs-ofctl's syntax; ``match`` without priority, "" for any frame."""

    cookie: int
    priority: int
    match: str
    actions: str
    table: int = 0

    @property
    def ours(self) -> bool:
        return self.cookie & COOKIE_MASK == COOKIE

    @property
    def role(self) -> Role | None:
        """None for a rule that is not ours, or of a role that this version does not know."""
        try:
            return Role(self.cookie >> 40 & 0xFF) if self.ours else None
        except ValueError:
            return None

    @property
    def vni(self) -> Vni:
        return Vni(self.cookie & 0xFFFFFF)

    @property
    def place(self) -> Place:
        """Two rules of the same place cannot stand side by side: the later replaces the earlier."""
        return (self.table, self.priority, _meaning(self.match))

    def same(self, other: Flow) -> bool:
        """Whether they mean the same, however they are spelled."""
        return (
            self.cookie == other.cookie
            and self.place == other.place
            and (
                self.actions == other.actions or _meaning_of_actions(self.actions) == _meaning_of_actions(other.actions)
            )
        )

    def __str__(self) -> str:
        parts = [f"cookie={self.cookie:#x}", f"table={self.table}", f"priority={self.priority}"]
        return ",".join([*parts, *([self.match] if self.match else []), f"actions={self.actions}"])


Place = tuple[int, int, str]


def parse_dump(text: str) -> list[Flow]:
    """The rules in what ``ovs-ofctl dump-flows`` printed."""
    return [_parse_line(line) for line in text.splitlines() if " actions=" in line]


def add_line(flow: Flow) -> str:
    """The line of a bundle that adds ``flow``, or puts it in the place of one with the same match."""
    return f"add {flow}"


def delete_line(flow: Flow) -> str:
    """The line of a bundle that deletes ``flow`` and nothing else, and only while it carries its cookie."""
    match = f",{flow.match}" if flow.match else ""
    return f"delete_strict cookie={flow.cookie:#x}/-1,table={flow.table},priority={flow.priority}{match}"


def touch_line(flow: Flow) -> str:
    """The line of a bundle that changes ``flow`` to itself: counters stay, and the datapath is revalidated."""
    match = f",{flow.match}" if flow.match else ""
    cookie = f"cookie={flow.cookie:#x}/-1"
    return f"modify_strict {cookie},table={flow.table},priority={flow.priority}{match},actions={flow.actions}"


@dataclass(frozen=True, slots=True)
class Change:
    """What turns one set of rules into another."""

    adds: tuple[Flow, ...] = ()
    deletes: tuple[Flow, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.adds or self.deletes)

    @property
    def lines(self) -> list[str]:
        """As a bundle. Deletes first: a rule that is replaced is deleted and added in one transaction."""
        return [*(delete_line(flow) for flow in self.deletes), *(add_line(flow) for flow in self.adds)]


def difference(wanted: Iterable[Flow], present: Iterable[Flow]) -> Change:
    """What is missing of ``wanted``, and what is in ``present`` (all of them ours) and not wanted."""
    target: Mapping[Place, Flow] = {flow.place: flow for flow in wanted}
    there: Mapping[Place, Flow] = {flow.place: flow for flow in present}
    adds = tuple(flow for place, flow in target.items() if place not in there or not there[place].same(flow))
    deletes = tuple(flow for place, flow in there.items() if place not in target or not target[place].same(flow))
    return Change(adds, deletes)


_COOKIE = re.compile(r"\bcookie=(0x[0-9a-f]+)")
_TABLE = re.compile(r"\btable=(\d+)")
_PRIORITY = re.compile(r"(?:^|,)priority=(\d+)")
DEFAULT_PRIORITY = 32768
"""What ovs-ofctl leaves out."""


@lru_cache(maxsize=32768)
def _parse_line(line: str) -> Flow:
    """A bridge is looked at again and again, and nearly all of its rules are those of the time before."""
    head, _, actions = line.strip().partition(" actions=")
    *info, match = head.split(" ")
    if match.endswith(",") or match.startswith("cookie="):
        info, match = [*info, match], ""  # a rule for any frame, at the default priority
    prefix = " ".join(info)
    number, table, priority = _COOKIE.search(prefix), _TABLE.search(prefix), _PRIORITY.search(match)
    if number is None:
        raise ValueError(f"not a line of ovs-ofctl dump-flows: {line.strip()!r}")
    return Flow(
        cookie=int(number.group(1), 16),
        priority=int(priority.group(1)) if priority else DEFAULT_PRIORITY,
        match=_PRIORITY.sub("", match).lstrip(","),
        actions=actions,
        table=int(table.group(1)) if table else 0,
    )


_USUAL = re.compile(
    r"in_port=(?P<in_port>0|[1-9]\d*)"
    r"(?:,(?P<untagged>vlan_tci=0x0000/0x1fff)|,dl_vlan=(?P<dl_vlan>0|[1-9]\d*))?"
    r"(?:,dl_src=(?P<dl_src>[\da-f]{2}(?::[\da-f]{2}){5}))?"
    r"(?:,dl_dst=(?P<dl_dst>[\da-f]{2}(?::[\da-f]{2}){5}))?"
)
"""The matches of our rules as we and Open vSwitch spell them."""


@lru_cache(maxsize=65536)
def _meaning(match: str) -> str:
    """A spelling that all spellings of one match share. One that the parser does not know stands for itself."""
    return _usual_meaning(match) or _parsed_meaning(match)


def _usual_meaning(match: str) -> str:
    """What :func:`_parsed_meaning` gives, without parsing, which takes 0.2 ms; "" for unusual ones."""
    found = _USUAL.fullmatch(match)
    if found is None:
        return ""
    parts = []
    for name in ("dl_dst", "dl_src"):
        if found[name]:
            octets = ":".join(f"{int(octet, 16):x}" for octet in found[name].split(":"))
            parts.append(f"{name}=EthMask('{octets}')")
    parts += [f"dl_vlan={found['dl_vlan']}"] if found["dl_vlan"] else []
    parts.append(f"in_port={found['in_port']}")
    parts += ["vlan_tci=Mask16('0x0/0x1fff')"] if found["untagged"] else []
    return ",".join(parts)


def _parsed_meaning(match: str) -> str:
    try:
        fields = OFPFlow(f"cookie=0x0, priority=0,{match} actions=drop").match
    except (ValueError, AttributeError):
        return match
    return ",".join(sorted(f"{name}={value!r}" for name, value in fields.items() if name != "priority"))


@lru_cache(maxsize=65536)
def _meaning_of_actions(actions: str) -> str:
    try:
        return repr(OFPFlow(f"cookie=0x0, priority=0 actions={actions}").actions)
    except (ValueError, AttributeError):
        return actions
