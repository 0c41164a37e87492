"""All documents of one shard, and the pieces of them that a batch has to write. Pure.

What each piece has is known from the start of a term on, for nobody else writes them: only what changes is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ezpath.desired import Filing, Piece, place_of, texts_from_json
from ezpath.saga import Want


class Cabinet:
    """Made empty, or as somebody left it."""

    def __init__(self, shard: int) -> None:
        self._shard = shard
        self._filings: dict[str, Filing] = {}

    @classmethod
    def found(cls, shard: int, values: Mapping[str, bytes]) -> Cabinet:
        """``values``: all that the bucket has, of other shards too. What cannot be understood is as if it were not."""
        pieces: dict[str, dict[int | None, Piece[Any]]] = {}
        for key, value in values.items():
            try:
                place, piece = place_of(key), texts_from_json(value)
            except ValueError:
                continue
            if place.shard == shard:
                pieces.setdefault(":".join(key.split(".")[:2]), {})[place.part] = piece
        self = cls(shard)
        self._filings = {target: Filing.found(target, shard, found) for target, found in pieces.items()}
        return self

    def lost(self) -> None:
        """The store may have lost all of it: whatever is filed next is written whole."""
        for filing in self._filings.values():
            filing.lost()

    def file(self, wants: Iterable[Want]) -> dict[str, bytes]:
        """What has to be written, by key and in order."""
        pieces: dict[str, bytes] = {}
        for want in wants:
            filing = self._filings.setdefault(want.target, Filing(want.target, self._shard))
            wanted = want.holds.names(want.target)
            if want.touched is None:
                pieces |= filing.to(want.generation, wanted)
            else:
                come = [name for name in sorted(want.touched) if name in wanted]
                gone = [name for name in sorted(want.touched) if name not in wanted]
                pieces |= filing.change(want.generation, come, gone)
        return pieces
