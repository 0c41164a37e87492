"""The document in, pieces out: what has to be written where one target's document changes. Pure.

New items go to the head. When that is full, they move on to a part together; what is not wanted any more is taken out
of the piece where it is. So one changed item writes the head and one part at most, both of bounded size, and many that
come together share a piece, and mostly go together.

Pieces are written in the order in which :meth:`Filing.change` gives them, the head behind its parts: an item that moves
is in both for a moment, never in neither. Only a part that KV has lost comes behind the head: until it is there nobody
believes what was there, and then it has all that is wanted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from ezpath.desired.pieces import Piece, key_of, to_json

HEAD_MOST = 64
"""Items in the head."""
PART_MOST = 128
"""Items in a part. With those of a head, some 20 kB: what one changed item writes at most, but for the head's list."""


class Filing:
    """Which item of one target and shard is in which piece. Items are known by their text."""

    def __init__(self, target: str, shard: int) -> None:
        self._target = target
        self._shard = shard
        self._generation = 0
        self._head: dict[str, None] = {}
        self._parts: list[dict[str, None]] = []
        self._written: list[int] = []
        """Each part's generation."""
        self._part_of: dict[str, int] = {}
        self._spoilt: set[int] = set()
        """Parts that are to be written in any case: what KV has there is not what is here."""

    @classmethod
    def found(cls, target: str, shard: int, pieces: Mapping[int | None, Piece[Any]]) -> Filing:
        """As somebody left it: pieces with texts for items. Some may be missing, and some may not fit together."""
        self = cls(target, shard)
        head: Piece[Any] = pieces.get(None) or Piece(0, frozenset())
        self._generation = head.generation
        parts = {part: piece for part, piece in pieces.items() if part is not None}
        for part in range(max([len(head.parts) - 1, *parts]) + 1):
            piece = parts.get(part)
            asked = head.parts[part] if part < len(head.parts) else 0
            self._parts.append({})
            self._written.append(piece.generation if piece else 0)
            if piece is None or piece.generation < asked:
                self._spoilt.add(part)
            for text in sorted(piece.items) if piece else ():
                if self._part_of.setdefault(text, part) == part:
                    self._parts[part][text] = None
                else:
                    self._spoilt.add(part)
        self._head = {text: None for text in sorted(head.items) if text not in self._part_of}
        return self

    @property
    def texts(self) -> Iterator[str]:
        """All that is filed."""
        yield from self._head
        yield from self._part_of

    def to(self, generation: int, wanted: Collection[str]) -> dict[str, bytes]:
        """What has to be written so that it is ``wanted`` and nothing else."""
        there = set(self.texts)
        return self.change(generation, [text for text in wanted if text not in there], there.difference(wanted))

    def change(self, generation: int, come: Iterable[str], gone: Iterable[str]) -> dict[str, bytes]:
        """What has to be written, by key and in order, where these items come and go. Perhaps it is there."""
        spoilt, self._spoilt = self._spoilt, set()
        changed: set[int] = set()
        for text in gone:
            self._head.pop(text, None)
            part = self._part_of.pop(text, None)
            if part is not None:
                del self._parts[part][text]
                changed.add(part)
        self._head |= {text: None for text in come if text not in self._part_of}
        while len(self._head) > HEAD_MOST:
            changed.add(self._move_on())
        self._generation = generation
        for part in changed | spoilt:
            self._written[part] = generation
        return self._pieces(sorted(changed - spoilt), sorted(spoilt))

    def lost(self) -> None:
        """The store may have lost every piece: with the next change all are written, each item where it was."""
        self._spoilt |= set(range(len(self._parts)))

    def _pieces(self, before: Iterable[int], behind: Iterable[int]) -> dict[str, bytes]:
        """The head, and parts in front of it and behind it."""
        head = {key_of(self._target, self._shard): to_json(self._generation, self._head, self._written)}
        return self._some(before) | head | self._some(behind)

    def _some(self, parts: Iterable[int]) -> dict[str, bytes]:
        return {
            key_of(self._target, self._shard, part): to_json(self._written[part], self._parts[part]) for part in parts
        }

    def _move_on(self) -> int:
        """Those that have been in the head for longest go to a part that has room. Returns which."""
        going = list(islice(self._head, HEAD_MOST))
        sizes = [len(part) for part in self._parts]
        part = sizes.index(min(sizes)) if sizes else 0
        if not sizes or sizes[part] + len(going) > PART_MOST:
            part = len(self._parts)
            self._parts.append({})
            self._written.append(0)
        for text in going:
            del self._head[text]
            self._parts[part][text] = None
            self._part_of[text] = part
        return part
