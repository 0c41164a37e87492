"""The switch-writer in this process, over a real NATS: what tests of it share. Fixtures are beside this file."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict

from ezpath.bus import Bus, Delivery
from ezpath.desired import key_of
from ezpath.events import DESIRED_BUCKET, StepReport, SwitchCommand
from ezpath.inventory import Inventory, parse
from ezpath.items import EndpointLocal, EndpointRemote, SwitchItem, TenantTag
from ezpath.names import Mac, PairId, Port, SwitchName, VlanId, Vni
from ezpath_switch_writer.entries import entry_of
from ezpath_switch_writer.program import load_program
from ezpath_switch_writer.writer import SwitchWriter
from network import NETWORK
from tor_server import Tor

from p4rt import TableEntry

TOR1 = SwitchName("tor1")
PAIR = PairId("red.red-1.red-3")
TAG = TenantTag(Port(1), VlanId(100), Vni(5001))
LOCAL = EndpointLocal(Vni(5001), Mac("02:00:00:00:00:01"), Port(1), VlanId(100))
REMOTE = EndpointRemote(Vni(5001), Mac("02:00:00:00:00:03"), "10.255.0.1", "10.255.0.2")
ITEM_TABLES = ("tenant_tag", "endpoint")

_generations = itertools.count(1)


def local(n: int) -> EndpointLocal:
    return EndpointLocal(Vni(5001), Mac(f"02:00:00:00:01:{n:02x}"), Port(1), VlanId(100))


def entries(*items: SwitchItem) -> set[TableEntry]:
    return {entry_of(item) for item in items}


def command(
    put: tuple[SwitchItem, ...] = (), remove: tuple[SwitchItem, ...] = (), generation: int = 0
) -> SwitchCommand:
    number = generation or next(_generations)
    return SwitchCommand(f"s{number}", PAIR, number, "switch-send", TOR1, put, remove)


async def until_holds(tor: Tor, *items: SwitchItem) -> None:
    async with asyncio.timeout(15):
        while await tor.entries(*ITEM_TABLES) != entries(*items):  # noqa: ASYNC110 - a switch tells nobody
            await asyncio.sleep(0.1)


async def until_said(logs: list[dict[str, object]], event: str) -> dict[str, object]:
    async with asyncio.timeout(20):
        while not (said := [entry for entry in logs if entry["event"] == event]):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return said[0]


def inventory_with(tor: Tor) -> Inventory:
    return parse(NETWORK.replace("unix:/run/tor1.sock", tor.address))


@asynccontextmanager
async def writing(
    bus: Bus, tor: Tor, *, in_sync: bool = True, audit_s: float = 60, kv_wait_s: float = 10
) -> AsyncIterator[SwitchWriter]:
    inventory, program = inventory_with(tor), load_program(tor.p4_dir, tor.program)
    writer = SwitchWriter(
        inventory.switches[TOR1], inventory, program, bus, audit_interval_s=audit_s, kv_wait_s=kv_wait_s
    )
    task = asyncio.create_task(writer.run())
    try:
        if in_sync:
            await asyncio.wait_for(writer.in_sync.wait(), 30)
        yield writer
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class Reports:
    """Answers as they come, by generation."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.all: list[StepReport] = []
        self._task = asyncio.create_task(bus.consume("test-reports", "ezpath.report.>", StepReport, self._take))

    async def _take(self, batch: list[Delivery[StepReport]]) -> None:
        self.all.extend(delivery.event for delivery in batch)

    async def ask(self, *commands: SwitchCommand) -> list[StepReport]:
        """Publish ``commands``, and wait for the answer to each."""
        for each in commands:
            await self._bus.publish(each)
        return await self.of(*commands)

    async def of(self, *commands: SwitchCommand) -> list[StepReport]:
        async with asyncio.timeout(30):
            while True:
                answers = {report.generation: report for report in self.all}
                if all(each.generation in answers for each in commands):
                    return [answers[each.generation] for each in commands]
                await asyncio.sleep(0.02)

    def close(self) -> None:
        self._task.cancel()


async def desire(bus: Bus, generation: int, *items: SwitchItem, shard: int = 0) -> None:
    document = {"generation": generation, "items": [asdict(item) for item in items]}
    key = key_of("switch:tor1", shard)
    kept = await bus.kv_get(DESIRED_BUCKET, key)
    await bus.kv_put_cas(DESIRED_BUCKET, key, json.dumps(document).encode(), kept[1] if kept else None)
