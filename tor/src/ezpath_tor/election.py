"""Which controller may write: the rules of P4Runtime's arbitration (specification, section 5), and no I/O.

The primary is the connected controller with the highest election id the switch has ever seen. When it leaves,
there is no primary until a controller stands again with an id at least as high: backups are told, and act.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

import grpc

from ezpath_tor.faults import Fault, invalid

MAX_CONTROLLERS = 16
"""Streams open at once."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a controller is told: its status, and the highest election id seen (``None``: no primary yet)."""

    code: grpc.StatusCode
    message: str
    highest: int | None


_M = TypeVar("_M", bound=Hashable)


class Election(Generic[_M]):
    """The controllers of one device. A member is whatever tells one stream from another."""

    def __init__(self, highest: int | None = None) -> None:
        """``highest``: the highest election id seen before."""
        self._ids: dict[_M, int | None] = {}
        self._primary: _M | None = None
        self._highest = highest

    @property
    def highest(self) -> int | None:
        """The highest election id ever seen."""
        return self._highest

    @property
    def members(self) -> list[_M]:
        """All connected controllers."""
        return list(self._ids)

    @property
    def primary(self) -> _M | None:
        """The one that may write."""
        return self._primary

    def may_write(self, election_id: int | None) -> bool:
        """A request that carries this election id comes from the primary."""
        return election_id is not None and self._primary is not None and self._ids[self._primary] == election_id

    def stand(self, member: _M, election_id: int | None) -> list[_M]:
        """``member`` arrives, or changes its election id. Returns who has to be told, ``member`` last.

        Raises :class:`Fault`; then the member's stream is to be ended, and :meth:`leave` called.
        """
        if member not in self._ids and len(self._ids) >= MAX_CONTROLLERS:
            raise Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_CONTROLLERS} controllers are connected already")
        for other, taken in self._ids.items():
            if election_id is not None and taken == election_id and other != member:
                raise invalid(f"Election id already exists: another controller uses {election_id}")
        self._ids[member] = election_id
        if election_id is not None and (self._highest is None or election_id >= self._highest):
            self._highest, self._primary = election_id, member
            return self._everyone(member)
        if self._primary == member:  # it stepped down
            self._primary = None
            return self._everyone(member)
        return [member]

    def leave(self, member: _M) -> list[_M]:
        """``member`` is gone. Returns who has to be told. Idempotent."""
        self._ids.pop(member, None)
        if self._primary != member:
            return []
        self._primary = None
        return self.members

    def notice(self, member: _M) -> Notice:
        """What ``member`` is to be told now."""
        if self._primary == member:
            return Notice(grpc.StatusCode.OK, "is primary", self._highest)
        if self._primary is not None:
            return Notice(grpc.StatusCode.ALREADY_EXISTS, "is backup", self._highest)
        return Notice(grpc.StatusCode.NOT_FOUND, "is backup, and there is no primary", self._highest)

    def _everyone(self, last: _M) -> list[_M]:
        return [member for member in self._ids if member != last] + [last]
