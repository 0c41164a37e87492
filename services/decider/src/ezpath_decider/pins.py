"""The operator's lists and pauses, as columns: who is always on the switches, who never, who stays where it is.

Pure. A pattern names flows: ``tenant.endpoint.endpoint``, in any order of the endpoints, ``*`` and ``?`` in each part.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import translate
from functools import cached_property

import numpy as np
from ezpath.names import PairId

from ezpath_decider.candidates import Rules
from ezpath_decider.columns import U64, Mask
from ezpath_decider.directory import Directory, ends

PATTERN = re.compile(r"[A-Za-z0-9_*?-]+\.[A-Za-z0-9_*?-]+\.[A-Za-z0-9_*?-]+")


@dataclass(frozen=True, slots=True)
class Lists:
    """Patterns. ``allow``: where there are any, nobody else may be on the switches. ``deny`` outdoes the others."""

    always: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paused:
    """Where nothing is moved until an operator says so."""

    everywhere: bool = False
    racks: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Pins:
    """Lists and pauses for one directory."""

    directory: Directory
    lists: Lists = field(default_factory=Lists)
    paused: Paused = field(default_factory=Paused)

    def rules(self, flows: U64) -> Rules:
        """By flow."""
        denied = self._listed(self._patterns.deny, flows)
        barred = denied | ~self._listed(self._patterns.allow, flows) if self.lists.allow else denied
        return Rules(self._listed(self._patterns.always, flows) & ~barred, barred, self._held(flows))

    def pauses_of(self, flow: int) -> tuple[str, ...]:
        """What holds a flow, in words; nothing for one that may be moved."""
        directory, paused = self.directory, self.paused
        both = (flow >> 32, flow & 0xFFFFFFFF)
        racks = {directory.racks[directory.switch_rack[directory.switch[end]]] for end in both} & paused.racks
        tenants = {directory.tenants[directory.tenant[end]] for end in both} & paused.tenants
        named = [*(f"rack {name}" for name in sorted(racks)), *(f"tenant {name}" for name in sorted(tenants))]
        return ("everywhere", *named) if paused.everywhere else tuple(named)

    @cached_property
    def always_flows(self) -> U64:
        """The flows that the list ``always`` names outright, without ``*`` or ``?``: wanted even if never seen."""
        named = (self.directory.pair_key(PairId(text)) for text in self.lists.always if not set("*?") & set(text))
        return np.array([key for key in named if key is not None], np.uint64)

    @cached_property
    def _patterns(self) -> _Patterns:
        return _Patterns(*(tuple(_Pattern.of(text, self.directory) for text in each) for each in self._texts))

    @property
    def _texts(self) -> tuple[tuple[str, ...], ...]:
        return self.lists.always, self.lists.allow, self.lists.deny

    @staticmethod
    def _listed(patterns: Iterable[_Pattern], flows: U64) -> Mask:
        listed = np.zeros(len(flows), np.bool_)
        for pattern in patterns:
            listed |= pattern.matches(flows)
        return listed

    def _held(self, flows: U64) -> Mask:
        if self.paused.everywhere:
            return np.ones(len(flows), np.bool_)
        if not self.paused.racks and not self.paused.tenants:
            return np.zeros(len(flows), np.bool_)
        directory = self.directory
        racks = _named(directory.racks, self.paused.racks)[directory.switch_rack[directory.switch]]
        held = racks | _named(directory.tenants, self.paused.tenants)[directory.tenant]
        one, other = ends(flows)
        either: Mask = held[one] | held[other]
        return either


@dataclass(frozen=True, slots=True)
class _Patterns:
    always: tuple[_Pattern, ...]
    allow: tuple[_Pattern, ...]
    deny: tuple[_Pattern, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Pattern:
    """Which endpoints each half of a pattern fits; the tenant is in both."""

    one: Mask
    other: Mask

    @classmethod
    def of(cls, text: str, directory: Directory) -> _Pattern:
        tenant, one, other = text.split(".")
        theirs = _fitting(directory.tenants, tenant)[directory.tenant]
        return cls(theirs & _fitting(directory.names, one), theirs & _fitting(directory.names, other))

    def matches(self, flows: U64) -> Mask:
        one, other = ends(flows)
        either: Mask = (self.one[one] & self.other[other]) | (self.one[other] & self.other[one])
        return either


def _fitting(names: Sequence[str], pattern: str) -> Mask:
    if pattern == "*":
        return np.ones(len(names), np.bool_)
    fits = re.compile(translate(pattern)).match
    return np.fromiter((fits(name) is not None for name in names), np.bool_, len(names))


def _named(names: Sequence[str], wanted: frozenset[str]) -> Mask:
    return np.fromiter((name in wanted for name in names), np.bool_, len(names))
