"""The programs of ``tor/examples`` as a P4 developer runs them: a switch as a process, entries over P4Runtime.

The switch is ``ezpath-tor`` and, where it is installed, BMv2's ``simple_switch_grpc``: a program has to mean the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from bmv2 import Bmv2, need_bmv2
from packet.wire import Captured, Wires
from tor_server import WholeTor

from p4rt import Client, P4Info, TableEntry, Update

EXAMPLES = Path(__file__).parents[2] / "tor" / "examples"
PORTS = {1: "p1", 2: "p2", 10: "p10"}
SWITCHES = (SOFTWARE_TOR := "software ToR", BMV2 := "BMv2")


class Example:
    """A switch on real wires, with no program yet."""

    def __init__(self, name: str, wires: Wires, tor: WholeTor, patience_s: float) -> None:
        self.info = P4Info.load(EXAMPLES / f"{name}.p4info.txtpb")
        self.config = (EXAMPLES / f"{name}.json").read_bytes()
        self.wires = wires
        self.tor = tor
        self.reference = isinstance(tor, Bmv2)
        self._patience_s = patience_s

    @asynccontextmanager
    async def loaded(self, *entries: TableEntry) -> AsyncIterator[Client]:
        """The program, fresh, with these entries."""
        self.wires.drain()
        async with Client(self.tor.address, self.tor.device_id) as client:
            await client.become_primary(1)
            await client.set_pipeline(self.info, self.config, cookie=1)
            assert await client.write([Update.insert(entry) for entry in entries]) == []
            yield client

    def is_the_software_tor(self) -> None:
        """Skips the rest of a test that asks for bounds and words of our own, or for registers over P4Runtime."""
        if self.reference:
            pytest.skip("BMv2 has other bounds and words, and no registers over P4Runtime")

    def sends(self, port: int, *frames: bytes) -> dict[int, list[bytes]]:
        """What comes out of which port when ``frames`` go into ``port``, one after the other."""
        out: dict[int, list[bytes]] = {}
        for frame in frames:
            self.wires.far[port].send(frame)
            for number, found in self._patient().items():
                out.setdefault(number, []).extend(one.data for one in found)
        return out

    def _patient(self) -> dict[int, list[Captured]]:
        """What comes out, as soon as something does."""
        deadline = time.monotonic() + self._patience_s
        while True:
            found = self.wires.drain()
            if found or time.monotonic() > deadline:
                return found
            time.sleep(0.001)


@contextmanager
def running(name: str, directory: Path, switch: str) -> Iterator[Example]:
    """One of SWITCHES on ports 1, 2 and 10, for one of the examples."""
    if switch == BMV2:
        need_bmv2()
    with Wires(PORTS, name=name.replace("_", "")) as wires:
        tor = (Bmv2 if switch == BMV2 else WholeTor)(directory, wires.switch)
        try:
            asyncio.run(tor.start())
            yield Example(name, wires, tor, patience_s=0.3 if switch == BMV2 else 0.05)
        finally:
            asyncio.run(tor.stop())
