"""`ezpath top` in a pseudo terminal: what stands on the screen, as a terminal emulator shows it."""

from __future__ import annotations

import asyncio
import os
import termios
import time

import pytest
from cli_process import EZPATH, ezpath
from ezpath.events import FlowLine, FlowsSnapshot, SwitchTables, TableUse, TargetState
from ezpath.names import PairId, SwitchName, Tenant
from saga_story import PAIR, tell
from terminal import Terminal, pseudo_terminal


def flow(name: str, rate: float, where: str) -> FlowLine:
    pair, phase = PairId(f"red.a.{name}"), "active" if where == "switch" else None
    return FlowLine(pair, Tenant("red"), "a", name, rate, 1e9 / rate, where, phase, ("tor1",))  # type: ignore[arg-type]


@pytest.mark.timeout(400)
async def test_top_shows_flows_tables_and_events_and_leaves_the_terminal_as_it_was(bus, nats_server):
    # Given a system that talks: two flows, a switch with its tables, a story
    told = (flow("slow", 1e6, "overlay"), flow("fast", 3e8, "switch"))

    async def talk() -> None:
        while True:
            await bus.publish(FlowsSnapshot(time.time(), told))
            await bus.publish(SwitchTables(SwitchName("tor1"), time.time(), (TableUse("endpoint", 100, 97),)))
            await bus.publish(TargetState("switch:tor1", "in-sync", 1.0, time.time(), items=7))
            await asyncio.sleep(0.25)

    await tell(bus, time.time())
    talking = asyncio.create_task(talk())
    with pseudo_terminal() as (ours, theirs):
        before = termios.tcgetattr(theirs)
        process = await asyncio.create_subprocess_exec(
            *(EZPATH, "top", "--nats", nats_server.url, "--refresh", "0.3"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color"},
        )
        terminal = Terminal(process, ours)
        try:
            # Then all of it is on one screen, the busiest flow first (it may be seen half drawn: so until it is so)
            said = (
                "2 flows, 301.00 Mbit/s; on the switches 1, 300.00 Mbit/s (100%)",
                *("switch:tor1", "in-sync", "7 items", "97/100", "REVERTED", "offloads: active 1", PAIR),
            )
            await terminal.until(
                lambda text: all(words in text for words in said) and 0 < text.find("fast") < text.find("slow"),
                "all is shown, the busiest first",
            )
            # and who is missing is an alarm
            await terminal.until(lambda text: "ALARMS" in text and "collector: no answer" in text, "alarms")
            # When it is told to sort otherwise, then it does
            terminal.press("s")
            await terminal.until(
                lambda text: "flows by packets" in text and 0 < text.find("slow") < text.find("fast"),
                "sorted by packets",
            )
            # When it is frozen, then what comes is not shown; and it is when it goes on
            terminal.press(" ")
            await terminal.until(lambda text: "space go on" in text, "frozen")
            told = (flow("newcomer", 5e8, "overlay"),)
            await asyncio.sleep(1.0)
            assert "newcomer" not in terminal.text
            terminal.press(" ")
            await terminal.until(lambda text: "newcomer" in text, "it goes on")
            # When it is left, then quietly, and the terminal is as it was
            terminal.press("q")
            assert await asyncio.wait_for(process.wait(), 20) == 0
            assert termios.tcgetattr(theirs) == before
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    talking.cancel()


async def test_without_a_terminal_it_says_what_to_use_instead():
    code, _, err = await ezpath("top")
    assert code == 2 and "ezpath flows --watch --json" in err
