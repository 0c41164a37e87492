"""What the explorer says when an invariant falls."""

from __future__ import annotations


class Broken(AssertionError):
    """``invariant`` fell: how, and on which way."""

    def __init__(self, invariant: str, what: str, way: list[str] | None = None) -> None:
        super().__init__(f"{invariant}: {what}" + "".join(f"\n  {line}" for line in way or []))
        self.invariant = invariant
        self.what = what
