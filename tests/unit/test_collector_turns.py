"""A collector of many switches reads a few at a time: it gets round to its leases, and none keeps others waiting."""

from __future__ import annotations

import asyncio

import numpy as np
from ezpath.events import FlowSample
from ezpath.names import SwitchName
from ezpath_collector.cells import CELL_BYTES
from ezpath_collector.poller import Poller
from ezpath_collector.source import Reading
from ezpath_collector.turns import Turns

SWITCHES, AT_ONCE = 100, 4
HOUR_S = 3600.0


class Switches:
    """Sources that count who reads, and look on from the same event loop."""

    def __init__(self) -> None:
        self.done = self.under_way = self.most_under_way = 0
        self.most_in_one_go = 0

    async def open(self) -> None:
        await asyncio.sleep(0)

    async def read(self) -> Reading:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        self.done += 1
        return Reading((np.zeros((4, CELL_BYTES), np.uint8),), np.zeros((16, 2), np.uint64))

    async def close(self) -> None: ...

    async def look_on(self, until: int) -> None:
        """What renews leases: between two of its looks, how many readings were there to take apart?"""
        while self.done < until:
            before = self.done
            await asyncio.sleep(0)
            self.most_in_one_go = max(self.most_in_one_go, self.done - before)


async def no_publish(sample: FlowSample) -> None: ...


async def test_given_switches_that_all_begin_then_a_few_are_read_at_a_time_and_all_else_goes_on():
    # given a collector that has come to have a hundred switches at once
    switches, turns = Switches(), Turns(AT_ONCE)
    pollers = [
        Poller(SwitchName(f"tor{number}"), lambda: switches, no_publish, "test", HOUR_S, turns=turns)
        for number in range(SWITCHES)
    ]
    # when it begins to poll them
    tasks = [asyncio.create_task(poller.run()) for poller in pollers]
    await asyncio.wait_for(switches.look_on(SWITCHES), 30)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # then each was read, a few at a time, and whoever else has something to do came in between
    assert switches.done == SWITCHES
    assert switches.most_under_way <= AT_ONCE
    assert switches.most_in_one_go <= AT_ONCE


async def test_given_a_switch_that_is_silent_then_its_turn_passes_on():
    # given as many silent switches as are read at a time
    turns = Turns(2, patience_s=0.01)
    silent = asyncio.Event()

    async def waits_for_ever() -> None:
        async with turns.mine():
            await silent.wait()

    tasks = [asyncio.create_task(waits_for_ever()) for _ in range(2)]
    await asyncio.sleep(0)
    # when others come, then they get their turns all the same
    for _ in range(3):
        async with asyncio.timeout(10), turns.mine():
            pass
    # and when the silent ones have answered after all, there are no more turns than before
    silent.set()
    await asyncio.gather(*tasks)
    async with turns.mine(), turns.mine():
        third = asyncio.create_task(waits_for_ever())
        await asyncio.sleep(0)
        assert not third.done() and turns._free.locked()
        third.cancel()


async def test_given_one_that_is_ended_while_it_waits_then_no_turn_is_lost():
    turns = Turns(1)
    async with turns.mine():
        waiting = asyncio.create_task(turns.mine().__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(10), turns.mine():
        pass
