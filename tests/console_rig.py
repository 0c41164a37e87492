"""`ezpath console` as a process, and what it is told: a recording of the lab's main job, moved to now.

`tests/recorded/console/lab.jsonl` is what `ezpath record` wrote while `ezpath-lab run` told its story on real packets:
three pairs go to the switches, a fourth finds tor2 full, and all come back when they are idle.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ezpath.answers import ASK_STATUS
from ezpath.bus import Bus
from ezpath.cli.seen import Seen, from_line
from ezpath.events import FlowSample, JsonEvent

RECORDED = Path(__file__).parent / "recorded/console"
NETWORK = RECORDED / "network.yaml"
BUSY_S = 61.5
"""Of the recording: three pairs are on the switches, one was rolled back, and all have traffic."""
_TIMES = ("at", "since", "compared_at")


def recording() -> list[Seen]:
    return [from_line(line) for line in (RECORDED / "lab.jsonl").read_text().splitlines()]


def first(seen: Iterable[Seen], seconds: float) -> list[Seen]:
    """What happened within so long of the beginning."""
    events = list(seen)
    return [each for each in events if each.at <= events[0].at + seconds]


async def replay(bus: Bus, seen: Iterable[Seen], by_s: float) -> None:
    """Publish it all at once, every time in it ``by_s`` seconds later."""
    for each in seen:
        assert not isinstance(each.event, FlowSample)
        await bus.publish(later(each.event, by_s))


def later(event: JsonEvent, by_s: float) -> JsonEvent:
    times = {name: value + by_s for name in _TIMES if isinstance(value := getattr(event, name, None), float)}
    return replace(event, **times)


async def answer_for_services(bus: Bus) -> None:
    """As the services answered then."""
    for status in json.loads((RECORDED / "services.json").read_text()):
        await bus.answer(ASK_STATUS, partial(_as_now, status))


async def _as_now(status: Mapping[str, Any], _: Mapping[str, Any]) -> Mapping[str, Any]:
    by_s = time.time() - status["at"]

    def shifted(value: Any) -> Any:
        if isinstance(value, list):
            return [shifted(each) for each in value]
        if isinstance(value, dict):
            return {
                name: inner + by_s if name in (*_TIMES, "started_at") and isinstance(inner, float) else shifted(inner)
                for name, inner in value.items()
            }
        return value

    return {"v": 1, **shifted(status)}


@dataclass(slots=True)
class ConsoleProcess:
    """A running one."""

    process: asyncio.subprocess.Process
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def console(nats: str, directory: Path, *options: str, network: Path = NETWORK) -> AsyncIterator[ConsoleProcess]:
    """Listens when this returns."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    log = directory / f"console-{port}.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(str(Path(sys.executable).parent / "ezpath"), "console", "--nats", nats, "--inventory", str(network)),
            *("--listen", f"127.0.0.1:{port}", *options),
            stderr=stderr,
        )
    try:
        await _listens(process, port, log)
        yield ConsoleProcess(process, port, log)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 20)
            except TimeoutError:
                process.kill()
                await process.wait()


async def _listens(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert process.returncode is None and time.monotonic() < deadline, f"see {log}"
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
