"""The programs of ``tor/examples`` as a P4 developer runs them: ``ezpath-tor`` as a process, entries over P4Runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from packet.wire import Captured, Wires
from tor_server import WholeTor

from p4rt import Client, P4Info, TableEntry, Update

EXAMPLES = Path(__file__).parents[2] / "tor" / "examples"
PORTS = {1: "p1", 2: "p2", 10: "p10"}
_SENTINEL_TYPE = 0x88B5


class Example:
    """A switch on real wires, with no program yet."""

    def __init__(self, name: str, wires: Wires, tor: WholeTor) -> None:
        self.info = P4Info.load(EXAMPLES / f"{name}.p4info.txtpb")
        self.config = (EXAMPLES / f"{name}.json").read_bytes()
        self.wires = wires
        self.tor = tor

    @asynccontextmanager
    async def loaded(self, *entries: TableEntry) -> AsyncIterator[Client]:
        """The program, fresh, with these entries."""
        self.wires.drain()
        async with Client(self.tor.address, self.tor.device_id) as client:
            await client.become_primary(1)
            await client.set_pipeline(self.info, self.config, cookie=1)
            assert await client.write([Update.insert(entry) for entry in entries]) == []
            yield client

    def sends(self, port: int, *frames: bytes, wait_s: float = 0.05) -> dict[int, list[bytes]]:
        """What comes out of which port when ``frames`` go into ``port``, one after the other."""
        out: dict[int, list[bytes]] = {}
        for frame in frames:
            self.wires.far[port].send(frame)
            self._collect(out, wait_s)
        return out

    def _collect(self, out: dict[int, list[bytes]], wait_s: float) -> None:
        """The program runs in the sender's own system call: what comes out is there, or a moment later."""
        found = self.wires.drain()
        if not found:
            found = self._patient(wait_s)
        for port, frames in found.items():
            out.setdefault(port, []).extend(frame.data for frame in frames)

    def _patient(self, wait_s: float) -> dict[int, list[Captured]]:
        for number, port in self.wires.far.items():
            frame = port.receive(wait_s / len(self.wires.far))
            if frame is not None:
                return {number: [frame]}
        return {}


@contextmanager
def running(name: str, directory: Path) -> Iterator[Example]:
    """``ezpath-tor`` on ports 1, 2 and 10, for one of the examples."""
    with Wires(PORTS, name=name.replace("_", "")) as wires:
        tor = WholeTor(directory, wires.switch)
        try:
            asyncio.run(tor.start())
            yield Example(name, wires, tor)
        finally:
            asyncio.run(tor.stop())
