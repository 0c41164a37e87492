"""A file that is read again when it has changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

LOOK_EVERY_S = 0.5
Version = tuple[int, int, int] | None


async def changes(path: Path, version: Version, every_s: float = LOOK_EVERY_S) -> AsyncIterator[None]:
    """Once for each time that the file at ``path`` is another one than ``version``, or was written to and then let be.

    It looks rather than listens: inotify does not see what changes on network file systems and behind the symbolic
    links of a Kubernetes ConfigMap.
    """
    before = version
    while True:
        await asyncio.sleep(every_s)
        now = look(path)
        # Half a file may be a good one with fewer endpoints: who still writes is waited for.
        if now != version and now == before:
            version = now
            yield
        before = now


def look(path: Path) -> Version:
    """What changes when the file does; None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
