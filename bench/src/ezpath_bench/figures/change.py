"""A pair moves to the switches and back while it talks: throughput over time, and every numbered packet counted.

The real services do it: decider, switch-writer and host-writer, as in a network.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from ezpath.bus import Bus
from ezpath.events import OffloadRequested, OutcomeName, RevertRequested, SagaOutcome
from ezpath.names import PairId, Tenant
from ezpath_lab.feed import Feed
from ezpath_lab.shell import LabError

from ezpath_bench.figures.experiment import Change, Experiment
from ezpath_bench.figures.guests import network, numbered, plan
from ezpath_bench.figures.guests.plan import SIDES, inside
from ezpath_bench.figures.guests.site import Site
from ezpath_bench.figures.results import Case, Outcome, Sample, Trace

KIND = "overlay"
"""The pair that is moved: it is on the overlay all the other time."""
_EVERY_S = 0.25
_PORT = 5202
_MOVED_S = 20.0
_ACTS = ("overlay", "offload", "on the switches", "revert", "overlay again")


def measure(site: Site, experiment: Experiment, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Adds samples and traces to ``outcome``. Raises LabError."""
    work = experiment.workload
    assert isinstance(work, Change)
    feed = Feed(site.services.nats, lambda _: None)
    feed.start()
    try:
        for segmentation, number, mode in product(experiment.segmentation, range(experiment.rounds), experiment.modes):
            site.select(mode, segmentation)
            values = _counted(site, feed, work)
            outcome.samples.append(Sample(Case(segmentation), mode, number, values))
            say(f"  round {number + 1}/{experiment.rounds} {segmentation:>3} {mode:>11} lost {values['lost']:.0f}")
        # in a quick run one shows what there is to be seen
        for mode in experiment.modes if experiment.rounds > 1 else experiment.modes[:1]:
            site.select(mode)
            outcome.traces.append(_traced(site, feed, work, mode))
    finally:
        feed.close()


def _counted(site: Site, feed: Feed, work: Change) -> dict[str, float]:
    """Numbered packets through both changes, beside a transfer that leaves the hosts room."""
    one, other = SIDES
    ping, pong = (site.guests[side].share(Path(numbered.__file__), "numbered.py") for side in SIDES)
    answering = site.guests[other].start(inside(KIND, f"timeout 60 python3 {pong} pong {other.ip(KIND)} || true"))
    beside = site.guests[other].start(inside(KIND, f"timeout 60 iperf3 -s -1 -p {_PORT} || true"))
    site.wait_for_listener(other, KIND, _PORT)
    load = site.guests[one].start(inside(KIND, f"iperf3 -c {other.ip(KIND)} -p {_PORT} -t {work.seconds} -b 50M"))
    asking = site.guests[one].start(inside(KIND, f"python3 {ping} ping {other.ip(KIND)} {work.rate:g}"))
    time.sleep(0.5)

    def act(name: str) -> None:
        site.guests[one].run(inside(KIND, f"bash -c 'echo -n \"{name}\" >/dev/udp/127.0.0.1/{numbered.CONTROL}'"))

    pause = work.seconds / 6
    act(_ACTS[0])
    time.sleep(pause)
    act(_ACTS[1])
    active_ms = _moved(site, feed, "active").took_ms
    act(_ACTS[2])
    time.sleep(pause)
    act(_ACTS[3])
    reverted_ms = _moved(site, feed, "reverted").took_ms
    act(_ACTS[4])
    time.sleep(pause)
    act("end")
    said = json.loads(asking.result())
    load.result(work.seconds + 20)
    site.guests[other].run("pkill -x python3 || true; pkill -x iperf3 || true")
    for order in (answering, beside):
        order.result()
    return {"decision to active ms": active_ms, "decision to reverted ms": reverted_ms, **_values(said)}


def _values(said: Mapping[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for act in _ACTS:
        counted = said["acts"].get(act)
        if counted is None or not counted["sent"]:
            raise LabError(f"no packet was sent in the act `{act}`")
        found[f"lost, {act}"] = float(counted["lost"])
        found[f"reordered, {act}"] = float(counted["reordered"])
        found[f"round trip p50 µs, {act}"] = float(counted["p50_us"])
        found[f"round trip worst µs, {act}"] = float(counted["worst_us"])
    found["lost"] = sum(found[f"lost, {act}"] for act in _ACTS)
    found["sent"] = float(sum(counted["sent"] for counted in said["acts"].values()))
    found["reordered"] = sum(found[f"reordered, {act}"] for act in _ACTS)
    found["duplicated"] = float(said["duplicated"])
    return found


def _moved(site: Site, feed: Feed, end: OutcomeName) -> SagaOutcome:
    """Ask for the pair's move, as an operator does but without a program's start on the hosts' cores; its outcome."""
    pair, tenant = PairId(network.pair(KIND)), Tenant(plan.TENANT)
    earlier = {id(event) for event in feed.all(SagaOutcome)}
    asked = (
        OffloadRequested(pair, tenant, "bench", 0.0, time.time())
        if end == "active"
        else RevertRequested(pair, tenant, "bench", time.time())
    )

    async def ask() -> None:
        async with await Bus.connect(site.services.nats, "bench", wait_s=10) as bus:
            await bus.publish(asked)

    asyncio.run(ask())
    said = feed.wait(
        SagaOutcome, lambda event: event.pair == pair and event.outcome == end and id(event) not in earlier, _MOVED_S
    )
    if said is None:
        raise LabError(f"the pair {pair} did not become {end} within {_MOVED_S:.0f} s")
    return said


def _traced(site: Site, feed: Feed, work: Change, mode: str) -> Trace:
    """One transfer as fast as it goes, through both changes."""
    one, other = SIDES
    server = site.guests[other].start(inside(KIND, f"iperf3 -s -1 -p {_PORT}"))
    site.wait_for_listener(other, KIND, _PORT)
    lasting = round(1.5 * work.seconds)  # so that both moves are in it on a slow machine as well
    options = f"-p {_PORT} -t {lasting} -i {_EVERY_S:g} -J"
    began = time.time()
    client = site.guests[one].start(inside(KIND, f"iperf3 -c {other.ip(KIND)} {options}"))
    marks: list[tuple[float, str]] = []

    def move(order: str, done: OutcomeName) -> None:
        marks.append((time.time() - began, order))
        _moved(site, feed, done)
        marks.append((time.time() - began, done))

    time.sleep(work.seconds / 4)
    move("offload", "active")
    time.sleep(work.seconds / 4)
    move("revert", "reverted")
    report = json.loads(client.result(lasting + 25))
    server.result()
    pieces = [interval["sum"] for interval in report["intervals"]]
    seconds = [float(piece["start"]) for piece in pieces]
    values = [float(piece["bits_per_second"]) / 1e9 for piece in pieces]
    return Trace(f"{mode}: one TCP stream through offload and revert", seconds, values, marks)
