"""A unix socket that leads to a TCP port of this namespace: ``python -m ezpath_lab.relay --listen PATH --port N``.

BMv2's Thrift port is TCP and nothing else, in the namespace of its ToR. All that services outside reach of a lab are
sockets in the file system, so here is one for it. Standard library only.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from pathlib import Path


async def relay(path: Path, port: int, address: str = "127.0.0.1") -> None:
    """Serve ``path`` until cancelled."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await asyncio.open_connection(address, port)
        except OSError:  # nobody listens (yet): the caller sees the connection end, and tries again
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, there_writer), _pass_on(there_reader, writer))

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        await server.serve_forever()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction, until its end; what ends one ends the other."""
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


def main() -> None:
    """The command line, for :mod:`ezpath_lab.bmv2`."""
    parser = argparse.ArgumentParser(prog="python -m ezpath_lab.relay")
    parser.add_argument("--listen", type=Path, required=True, metavar="PATH")
    parser.add_argument("--port", type=int, required=True)
    arguments = parser.parse_args()
    asyncio.run(relay(arguments.listen, arguments.port))


if __name__ == "__main__":
    main()
