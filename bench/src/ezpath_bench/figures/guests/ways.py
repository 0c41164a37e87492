"""Unix sockets that lead to a host's Open vSwitch: ``python -m ezpath_bench.figures.guests.ways PATH=WAY …``.

Services reach a host's Open vSwitch by sockets in the file system; a guest's are in another kernel, a machine's is far.
A way is ADDRESS:PORT, or ``!`` and a command that gets each connection as its standard input and output.
"""

from __future__ import annotations

import asyncio
import shlex
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from ezpath_lab.relay import relay


def by_command(words: tuple[str, ...]) -> str:
    """A way for the command line."""
    return f"!{shlex.join(words)}"


async def serve(ways: Mapping[Path, str]) -> None:
    """Until cancelled."""
    async with asyncio.TaskGroup() as group:
        for path, way in ways.items():
            if way.startswith("!"):
                group.create_task(_hand_over(path, shlex.split(way[1:])))
            else:
                address, _, port = way.rpartition(":")
                group.create_task(relay(path, int(port), address))


async def _hand_over(path: Path, words: list[str]) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.setblocking(False)
        running = set[asyncio.subprocess.Process]()
        try:
            while True:
                connection, _ = await asyncio.get_running_loop().sock_accept(listening)
                with connection:
                    connection.setblocking(True)
                    end = connection.fileno()
                    running.add(await asyncio.create_subprocess_exec(*words, stdin=end, stdout=end))
                running = {each for each in running if each.returncode is None}
        finally:
            for each in running:
                if each.returncode is None:
                    each.kill()


if __name__ == "__main__":
    asyncio.run(serve({Path(path): way for path, _, way in (word.partition("=") for word in sys.argv[1:])}))
