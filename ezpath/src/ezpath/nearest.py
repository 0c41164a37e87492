"""Did you mean …? The right name nearest to a wrong one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

ALIKE = 0.6


def nearest(wrong: str, right: Iterable[str], alike: float = ALIKE) -> str | None:
    """None where nothing is near."""
    found = get_close_matches(wrong, list(right), 1, alike)
    return found[0] if found else None


def meant(wrong: str, right: Iterable[str]) -> str:
    """A sentence for it, or none."""
    found = nearest(wrong, right)
    return f"Is {found} meant? " if found else ""
