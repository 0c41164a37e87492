"""How many shards there are: kept where all deciders see it, and changed only while nothing is under way. Adapter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import structlog
from ezpath.bus import Bus, Conflict
from ezpath.events import LEASE_BUCKET, SAGA_BUCKET
from ezpath.leases import DECIDERS, Leases
from ezpath.process import is_gone
from ezpath.service import ConfigurationRefused

KEY = "shards"


async def agree(bus: Bus, shards: int) -> int:
    """Have ``shards`` kept. Returns the stream sequence where requests begin that were made with that number.

    Raises :class:`ConfigurationRefused` where there is another number, by which somebody leads or is led.
    """
    while True:
        kept = await bus.kv_get(LEASE_BUCKET, KEY)
        if kept is not None:
            number, since = _read(kept[0])
            if number == shards:
                return since
            await _refuse_unless_idle(bus, number, shards)
            structlog.get_logger().info("number of shards changes", before=number, now=shards)
        since = await bus.last_sequence() + 1 if kept is not None else 1
        value = json.dumps({"shards": shards, "since": since}).encode()
        try:
            await bus.kv_put_cas(LEASE_BUCKET, KEY, value, kept[1] if kept is not None else None)
        except Conflict:
            continue
        return since


def check(found: Mapping[str, tuple[bytes, int]], shards: int) -> None:
    """Raises :class:`ConfigurationRefused` where somebody has changed the number meanwhile."""
    kept = found.get(KEY)
    if kept is not None and (number := _read(kept[0])[0]) != shards:
        raise _refused(shards, number, "another decider changed it")


async def _refuse_unless_idle(bus: Bus, number: int, shards: int) -> None:
    loop = asyncio.get_running_loop()
    watch = Leases("", list(map(str, range(number))), DECIDERS, is_gone=is_gone)
    beat_s = watch.timing.beat_s
    until = loop.time() + watch.timing.ttl_s + beat_s
    while others := watch.holding(await bus.kv_items(LEASE_BUCKET), loop.time()):
        if loop.time() > until:
            raise _refused(shards, number, f"{', '.join(others)} leads by it")
        await asyncio.sleep(beat_s)
    under_way = [key for key, (value, _) in (await bus.kv_items(SAGA_BUCKET)).items() if _under_way(value)]
    if under_way:
        first = ", ".join(sorted(under_way)[:5])
        raise _refused(shards, number, f"pairs are on the switches or on their way, {len(under_way)} of them: {first}")


def _refused(shards: int, number: int, why: str) -> ConfigurationRefused:
    return ConfigurationRefused(
        f"--shards {shards}: this NATS account has {number}, and {why}. Start it with --shards {number}, or "
        "bring all pairs back first (ezpath revert) and stop the other deciders"
    )


def _read(value: bytes) -> tuple[int, int]:
    raw = json.loads(value)
    return int(raw["shards"]), int(raw["since"])


def _under_way(record: bytes) -> bool:
    """Also where it cannot be read: then nobody knows."""
    try:
        return json.loads(record)["phase"] not in ("reverted", "rolled-back")
    except (ValueError, TypeError, KeyError):
        return True
