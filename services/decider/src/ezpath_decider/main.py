"""`ezpath-decider`: samples to decisions, decisions to sagas. The process around the pure parts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

import click
import structlog
from ezpath.bus import BusError, Delivery
from ezpath.events import FlowSample, FlowsSnapshot, OffloadRequested, RevertRequested, StepReport
from ezpath.saga import Settings as SagaSettings
from ezpath.saga import Tick
from ezpath.service import Service, Settings, run, service_options

from ezpath_decider.keeper import Keeper
from ezpath_decider.policy import Decision, PolicySettings, Streaks, decide
from ezpath_decider.rounds import entries_in_use, flow_lines, sightings, state_of, views
from ezpath_decider.series import Series

Input = TypeVar("Input", OffloadRequested | RevertRequested, StepReport)

TICK_S = 0.1
POSITIVE = click.FloatRange(min=0, min_open=True)
NOT_NEGATIVE = click.FloatRange(min=0)


def steady_clock() -> Callable[[], float]:
    """Unix time at the start, carried on by the monotonic clock: a jump of the wall clock moves no deadline."""
    began = time.time() - time.monotonic()
    return lambda: began + time.monotonic()


class Decider:
    """Rounds of deciding beside the saga keeper."""

    def __init__(self, service: Service, interval_s: float, policy: PolicySettings, saga: SagaSettings) -> None:
        self._service = service
        self._interval_s = interval_s
        self._policy = policy
        self._clock = steady_clock()
        self._keeper = Keeper(service.bus, service.inventory, saga, self._clock)
        self._series = Series(service.inventory)
        self._streaks = Streaks(policy)
        self._last_round = 0.0
        self._asked: dict[str, float] = {}
        self._log = structlog.get_logger()

    async def run(self) -> None:
        bus = self._service.bus
        await self._keeper.start()
        await bus.subscribe_samples(self._on_sample)
        self._service.ready(policy=self._policy.__class__.__name__, interval_s=self._interval_s)
        async with asyncio.TaskGroup() as tasks:
            requests: tuple[type[OffloadRequested | RevertRequested], ...] = (OffloadRequested, RevertRequested)
            tasks.create_task(bus.consume("decider-decisions", "ezpath.decision.>", requests, self._on_inputs))
            tasks.create_task(bus.consume("decider-reports", "ezpath.report.>", StepReport, self._on_inputs))
            tasks.create_task(self._every(TICK_S, self._tick))
            tasks.create_task(self._every(self._interval_s, self._round))

    async def _on_sample(self, sample: FlowSample) -> None:
        if sample.switch not in self._service.inventory.switches:
            self._log.warning("sample of a switch that is not in the inventory", switch=sample.switch)
        self._series.add(sample, self._clock())

    async def _on_inputs(self, batch: list[Delivery[Input]]) -> None:
        await self._keeper.give(delivery.event for delivery in batch)

    async def _tick(self) -> None:
        await self._keeper.give([Tick()])

    async def _every(self, seconds: float, work: Callable[[], asyncio.Future[None]] | Callable[[], object]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await work()  # type: ignore[misc]
            due = max(due + seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    async def _round(self) -> None:
        now, inventory, world = self._clock(), self._service.inventory, self._keeper.world
        seen = sightings(self._series, world, inventory)
        fresh = {pair: s.rate.bits_s for pair, s in seen.items() if s.heard_at > self._last_round}
        self._last_round = now
        on_switch = {pair for pair in seen if state_of(world.sagas.get(pair)) == "switch"}
        self._streaks.round(fresh, on_switch)
        held = entries_in_use(world, inventory)
        for decision in decide(views(seen, self._streaks, world, inventory), held, self._policy, now):
            await self._publish(decision, now)
        try:
            await self._service.bus.publish(FlowsSnapshot(now, flow_lines(seen, world, inventory)))
        except BusError as error:
            self._log.warning("flows not published", reason=str(error))

    async def _publish(self, decision: Decision, now: float) -> None:
        pair = self._service.inventory.pair_by_id(decision.pair)
        # A decision is on its way through the bus for a moment: it is not made again meanwhile.
        if pair is None or now - self._asked.get(decision.pair, float("-inf")) < 2 * self._interval_s:
            return
        event = (
            OffloadRequested(pair.id, pair.tenant, decision.reason, decision.rate_bps, now)
            if decision.what == "offload"
            else RevertRequested(pair.id, pair.tenant, decision.reason, now)
        )
        try:
            await self._service.bus.publish(event)
        except BusError as error:
            # The streak goes on: the next round decides the same.
            self._log.warning("decision not published", pair=decision.pair, reason=str(error))
            return
        self._asked[decision.pair] = now
        self._streaks.forget(decision.pair)
        self._log.info("decision", pair=decision.pair, what=decision.what, reason=decision.reason)


@click.command(epilog="Example: ezpath-decider --nats nats://127.0.0.1:4222 --inventory network.yaml --enter-bps 2e7")
@service_options
@click.option(
    "--interval",
    default=1.0,
    type=POSITIVE,
    show_default=True,
    envvar="EZPATH_INTERVAL",
    help="Seconds between rounds.",
)
@click.option(
    "--enter-bps",
    default=5e6,
    type=POSITIVE,
    show_default=True,
    help="Offload at this rate, bits/s of both directions.",
)
@click.option(
    "--enter-polls",
    default=3,
    type=click.IntRange(min=1),
    show_default=True,
    help="… if it held for so many rounds in a row.",
)
@click.option("--exit-bps", default=1e6, type=POSITIVE, show_default=True, help="Bring back below this rate, bits/s.")
@click.option(
    "--idle-polls",
    default=5,
    type=click.IntRange(min=1),
    show_default=True,
    help="… if it stayed there for so many rounds.",
)
@click.option(
    "--budget",
    default=1024,
    type=click.IntRange(min=0),
    show_default=True,
    help="Table entries EZPath may use on each ToR.",
)
@click.option(
    "--retry-after-s",
    default=30.0,
    type=NOT_NEGATIVE,
    show_default=True,
    help="Leave a pair alone that was rolled back.",
)
@click.option(
    "--step-timeout-s", default=10.0, type=POSITIVE, show_default=True, help="Undo a step not confirmed by then."
)
@click.option(
    "--drain-s",
    default=2.0,
    type=NOT_NEGATIVE,
    show_default=True,
    help="From the last sender's stop to the first removal.",
)
@click.option(
    "--quarantine-s", default=30.0, type=NOT_NEGATIVE, show_default=True, help="Rest of a VLAN id between two tenants."
)
def main(
    settings: Settings,
    interval: float,
    enter_bps: float,
    enter_polls: int,
    exit_bps: float,
    idle_polls: int,
    budget: int,
    retry_after_s: float,
    step_timeout_s: float,
    drain_s: float,
    quarantine_s: float,
) -> None:
    """Decide which tunnels the switches carry, and see each change through."""
    if exit_bps > enter_bps:
        raise click.UsageError(
            f"--exit-bps {exit_bps:g} is above --enter-bps {enter_bps:g}: flows between the two would move for ever. "
            "Give an exit rate below the enter rate"
        )
    policy = PolicySettings(enter_bps, enter_polls, exit_bps, idle_polls, budget, retry_after_s)
    saga = SagaSettings(step_timeout_s=step_timeout_s, drain_s=drain_s, quarantine_s=quarantine_s)
    run("decider", settings, lambda service: Decider(service, interval, policy, saga).run())


if __name__ == "__main__":
    main()
