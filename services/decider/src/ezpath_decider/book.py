"""The table entries that flows need on their two ToRs, numbered: what a flow costs, and what it shares with others.

Pure. It says in columns what ``ezpath.saga.plan`` says of one pair; a test holds the two together. On each of its ToRs
a flow needs both endpoints in ``endpoint`` and its host's tag in ``tenant_tag``; flows of one endpoint, or of one host
and tenant, share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ezpath_decider.columns import I32, NOWHERE, U64, KeyIndex, Rows, column
from ezpath_decider.directory import HALF, LOW, Directory, ends

TABLES = ("endpoint", "tenant_tag")
"""The P4 tables that flows need entries in."""
ENDPOINT, TAG = 0, 1
PLACES = 6
"""At most so many entries a flow: two endpoints on each ToR, a tag on each."""
AT_HOME = 4
"""The first of them are on the endpoints' own ToRs."""
NONE = 0
"""The number of no entry: stands where a flow needs fewer."""

Numbers = npt.NDArray[np.integer[Any]]
"""Entry numbers: one row a flow, :data:`PLACES` wide."""


@dataclass(slots=True)
class _Remotes(Rows):
    """Entries for endpoints of other racks, in the order they were first asked for."""

    key: U64 = column(np.uint64)
    """Switch and endpoint."""


@dataclass(slots=True)
class Book:
    """Numbers entries once and for all: 0 is none, then each endpoint at home, each tag, and remotes as they come."""

    directory: Directory
    switch: I32 = field(init=False)
    """Of each entry. With :attr:`table` and :attr:`tenant`: NOWHERE for none."""
    table: I32 = field(init=False)
    tenant: I32 = field(init=False)
    _remotes: _Remotes = field(default_factory=_Remotes)
    _index: KeyIndex = field(default_factory=KeyIndex)
    _pools: dict[int, I32] = field(default_factory=dict)
    _first_tag: int = 0
    _first_remote: int = 0

    def __post_init__(self) -> None:
        directory = self.directory
        endpoints = len(directory.names)
        tags = int(directory.tag.max()) + 1 if endpoints else 0
        self._first_tag, self._first_remote = 1 + endpoints, 1 + endpoints + tags
        one_of_tag = np.zeros(tags, np.intp)
        one_of_tag[directory.tag] = np.arange(endpoints)
        nobody = np.full(1, NOWHERE, np.int32)
        self.switch = np.concatenate([nobody, directory.switch, directory.switch[one_of_tag]])
        self.tenant = np.concatenate([nobody, directory.tenant, directory.tenant[one_of_tag]])
        self.table = np.concatenate([nobody, np.full(endpoints, ENDPOINT, np.int32), np.full(tags, TAG, np.int32)])

    def __len__(self) -> int:
        return len(self.switch)

    @property
    def bytes(self) -> int:
        """Memory in use."""
        columns = (self.switch, self.table, self.tenant, *self._pools.values())
        return sum(column.nbytes for column in columns) + self._remotes.bytes + self._index.bytes

    def entries(self, flows: U64) -> Numbers:
        """The entries of each flow. Columns: the ends at home, their tags, and each end on the other's switch."""
        directory = self.directory
        one, other = ends(flows)
        here, there = directory.switch[one], directory.switch[other]
        apart = np.flatnonzero(here != there)
        needed = _columns(PLACES, len(flows))
        needed[:, :AT_HOME] = self.entries_at_home(flows)
        needed[apart, 4] = self._remote(here[apart], other[apart])
        needed[apart, 5] = self._remote(there[apart], one[apart])
        return needed

    def entries_at_home(self, flows: U64) -> Numbers:
        """The first :data:`AT_HOME` columns of :meth:`entries`: those that need no looking up."""
        one, other = ends(flows)
        needed, tag = _columns(AT_HOME, len(flows)), self.directory.tag
        needed[:, 0], needed[:, 1] = 1 + one, 1 + other
        needed[:, 2], needed[:, 3] = self._first_tag + tag[one], self._first_tag + tag[other]
        return needed

    def pools(self, kind: int) -> I32:
        """What each entry counts towards: its table (0), its switch (1), its tenant there (2). Of none: NOWHERE."""
        if kind == 1:
            return self.switch
        kept = self._pools.get(kind)
        if kept is None or len(kept) < len(self):
            parts, part = (len(TABLES), self.table) if kind == 0 else (len(self.directory.tenants), self.tenant)
            kept = self._pools[kind] = self.switch * np.int32(parts) + part
            kept[NONE] = NOWHERE
        return kept

    def _remote(self, switches: I32, endpoints: npt.NDArray[np.intp]) -> I32:
        """The number of each endpoint's entry on another rack's switch."""
        keys = switches.astype(np.uint64) << HALF | endpoints.astype(np.uint64)
        rows = self._index.find(keys, self._remotes.key[: self._remotes.count])
        missing = np.unique(keys[rows == NOWHERE])
        if len(missing):
            new = self._remotes.add(len(missing))
            self._remotes.key[new] = missing
            self._index.add(missing, new, self._remotes.key[: self._remotes.count])
            at = (missing & LOW).astype(np.intp)
            self.switch = np.concatenate([self.switch, (missing >> HALF).astype(np.int32)])
            self.tenant = np.concatenate([self.tenant, self.directory.tenant[at]])
            self.table = np.concatenate([self.table, np.full(len(missing), ENDPOINT, np.int32)])
            rows = self._index.find(keys, self._remotes.key[: self._remotes.count])
        return (self._first_remote + rows).astype(np.int32)


def _columns(width: int, rows: int) -> npt.NDArray[np.int32]:
    """Blank entry numbers, each place's together in memory: what is asked of all flows is asked place by place."""
    return np.full((rows, width), NONE, np.int32, order="F")
