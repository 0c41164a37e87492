"""Unix sockets that lead to a guest's Open vSwitch: ``python -m ezpath_bench.figures.guests.ways PATH=ADDRESS:PORT …``.

Services reach a host's Open vSwitch by sockets in the file system. A guest's are in another kernel.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from ezpath_lab.relay import relay


async def serve(ways: list[str]) -> None:
    async with asyncio.TaskGroup() as group:
        for way in ways:
            path, _, there = way.partition("=")
            address, _, port = there.rpartition(":")
            group.create_task(relay(Path(path), int(port), address))


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1:]))
