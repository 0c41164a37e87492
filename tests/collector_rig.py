"""What tests of the collector share: samples as they come over the bus, pollers, and monitor cells."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from ezpath.bus import Bus
from ezpath.events import FlowSample
from ezpath.names import SwitchName
from ezpath_collector.poller import Poller
from ezpath_collector.source import RegisterSource
from tor_server import Tor, WholeTor

from p4rt import Client, P4Info, TableEntry

P4 = Path(__file__).parents[1] / "p4"
FLOW = (5001, 0x020000000001, 0x020000000003)
"""VNI, source, destination."""
PASSED_ON = (
    TableEntry("router_mac", {"mac": 0x02000000FF01}, "for_router"),
    TableEntry("route", {"prefix": (0x0A010301, 32)}, "next_hop", {"port": 2, "src": 1, "dst": 2}),
)
"""What :func:`send_vxlan`'s frames need to be passed on: only those are counted."""


class Samples:
    """All samples since the start; keep them with ``bus.subscribe_samples(samples.keep)``."""

    def __init__(self) -> None:
        self.all: list[FlowSample] = []

    async def keep(self, sample: FlowSample) -> None:
        self.all.append(sample)

    def of(self, switch: str) -> list[FlowSample]:
        return [sample for sample in self.all if sample.switch == switch]

    async def when(self, condition: Callable[[list[FlowSample]], bool], switch: str = "tor1") -> list[FlowSample]:
        """Wait until ``condition`` holds for the samples of ``switch``."""
        async with asyncio.timeout(20):
            while not condition(self.of(switch)):  # noqa: ASYNC110 - what is waited for is anything
                await asyncio.sleep(0.02)
        return self.of(switch)


@asynccontextmanager
async def loaded(tor: Tor, program: str = "ezpath") -> AsyncIterator[Client]:
    """A switch whose writer has been there, and still is."""
    async with Client(tor.address, tor.device_id) as writer:
        await writer.become_primary(1)
        info = P4Info.load(P4 / f"{program}.p4info.txtpb")
        await writer.set_pipeline(info, (P4 / f"{program}.json").read_bytes(), cookie=1)
        yield writer


@asynccontextmanager
async def polling(
    bus: Bus, sources: dict[str, Callable[[], RegisterSource]], interval_s: float = 0.1
) -> AsyncIterator[None]:
    """Each of ``sources``, by its switch's name, is polled."""
    pollers = [Poller(SwitchName(name), make, bus.publish_sample, "test", interval_s) for name, make in sources.items()]
    tasks = [asyncio.create_task(poller.run()) for poller in pollers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def cell(flow: tuple[int, int, int], packets: int, octets: int) -> bytes:
    """A used cell, as p4/ezpath/monitor.p4 lays it out."""
    value = 1
    for field, bits in zip((*flow, octets, 12, packets, 34), (24, 48, 48, 48, 16, 40, 24), strict=True):
        value = value << bits | field
    return value.to_bytes(32, "big")


_SEND_VXLAN = """
import socket, struct, sys
def mac(n): return n.to_bytes(6, "big")
inner = mac(0x020000000003) + mac(0x020000000001) + b"\\x08\\x00" + bytes(46)
vxlan = bytes([8, 0, 0, 0]) + (5001).to_bytes(3, "big") + b"\\0" + inner
udp = struct.pack("!HHHH", 50000, 4789, 8 + len(vxlan), 0) + vxlan
head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([10,1,1,1]), bytes([10,1,3,1]))
total = sum(struct.unpack("!10H", head))
total = (total & 0xffff) + (total >> 16)
head = head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xffff) + head[12:]
frame = mac(0x02000000ff01) + mac(0x020000001101) + b"\\x08\\x00" + head + udp
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("q1", 0))
for _ in range(int(sys.argv[1])):
    raw.send(frame)
"""


async def send_vxlan(tor: WholeTor, count: int) -> None:
    """Into port 1: ``count`` frames of :data:`FLOW`, 60 bytes each, in the overlay's VXLAN."""
    command = ["ip", "netns", "exec", tor.namespace, sys.executable, "-c", _SEND_VXLAN, str(count)]
    await asyncio.to_thread(subprocess.run, command, check=True)
