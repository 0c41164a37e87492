"""Pieces in, the document out: what one shard wants of one target, as a reader sees it. Pure.

Pieces are written one after the other, and come one after the other. A reader never takes half of a change for a
document: it believes a head only when it has all parts that the head stands on, each at least that new. A part that is
newer than the head may have what the head does not know of yet, or lack what is not wanted any more: that is the
document of a moment later, and as true.
"""

from __future__ import annotations

from typing import Generic

from ezpath.desired.document import Desired, I
from ezpath.desired.pieces import Piece


class Assembly(Generic[I]):
    """:meth:`enter` what is there, :meth:`remove` what is gone; ``document`` is what it comes to."""

    def __init__(self) -> None:
        self._head: Piece[I] | None = None
        self._newer: Piece[I] | None = None
        """A head that cannot be believed yet."""
        self._parts: dict[int, Piece[I]] = {}
        self._counted: dict[int | None, frozenset[I]] = {}
        self._items: dict[I, int] = {}
        """In how many pieces each is: in two, while it goes from the head to a part."""

    @property
    def document(self) -> Desired[I] | None:
        """The newest that can be believed; None before the first. Its items go on with the parts that come."""
        return None if self._head is None else Desired(self._head.generation, self._items.keys())

    @property
    def whole(self) -> bool:
        """The document is the newest that is known of, and all of it is there."""
        return self._newer is None and not self.missing

    @property
    def missing(self) -> list[int]:
        """Parts without which the newest head cannot be believed."""
        head = self._newer or self._head
        return [] if head is None else self._lacks(head)

    def enter(self, part: int | None, piece: Piece[I]) -> None:
        """``piece`` is what there is now; ``part`` is None for the head."""
        if part is None:
            self._forget_another_life(piece)
            self._newer = piece
        else:
            self._parts[part] = piece
            if part in self._counted:
                self._count(part, piece.items)
        self._believe()

    def remove(self, part: int | None) -> None:
        """It is not there any more. Whoever has a document of before keeps it as it was."""
        if part is None:
            self._head = self._newer = None
        else:
            self._parts.pop(part, None)

    def _believe(self) -> None:
        """The newest head, if all that it stands on is there."""
        head = self._newer
        if head is None or self._lacks(head):
            return
        self._head, self._newer = head, None
        self._count(None, head.items)
        listed = range(len(head.parts))
        for part in listed:
            self._count(part, self._parts[part].items)
        for part in [part for part in self._counted if part is not None and part not in listed]:
            self._count(part, frozenset())
            del self._counted[part]

    def _lacks(self, head: Piece[I]) -> list[int]:
        return [
            part
            for part, generation in enumerate(head.parts)
            if part not in self._parts or self._parts[part].generation < generation
        ]

    def _forget_another_life(self, head: Piece[I]) -> None:
        """Generations only grow. Where they do not, all began anew, and parts that are ahead are of the life before."""
        if self._head is not None and head.generation < self._head.generation:
            self._parts = {part: piece for part, piece in self._parts.items() if piece.generation <= head.generation}

    def _count(self, part: int | None, items: frozenset[I]) -> None:
        before = self._counted.get(part, frozenset())
        if items is before:
            return
        self._counted[part] = items
        for item in items - before:
            self._items[item] = self._items.get(item, 0) + 1
        for item in before - items:
            self._items[item] -= 1
            if not self._items[item]:
                del self._items[item]
