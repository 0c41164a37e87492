"""Where a switch or an Open vSwitch listens, as certificates name it. Pure."""

from __future__ import annotations

import re


def addresses(remote: str) -> tuple[str, ...]:
    """The host of ``10.0.0.1:9559``, ``ssl:10.0.0.1:6640`` or ``[::1]:9559``; none of a Unix socket."""
    if remote.startswith("unix:"):
        return ()
    found = re.fullmatch(r"(?:\w+:)?(\[[^\]]+\]|[^:\[\]]+):\d+", remote)
    return (found[1].strip("[]"),) if found else ()
