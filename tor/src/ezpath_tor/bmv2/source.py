"""Where in the P4 program an element of the JSON comes from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ezpath_tor.bmv2.language import Source

NOWHERE = Source()


def source_of(element: Mapping[str, Any], otherwise: Source = NOWHERE) -> Source:
    """The element's P4 line, or ``otherwise`` where the compiler did not note one."""
    info = element.get("source_info")
    if not info:
        return otherwise
    return Source(info["filename"], info["line"], info.get("source_fragment", ""))
