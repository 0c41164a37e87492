"""``ezpath-bench saga``: sagas a second, milliseconds from decision to active, and what one sick switch costs others.

Everything is real: nats-server, the decider and the writers as processes, a software ToR and an Open vSwitch for each
rack. The bench asks for tunnels as an operator does, and takes its figures from the sagas' outcomes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from ezpath.bus import Bus, BusError
from ezpath.telemetry import configure_logging
from ezpath_lab.shell import LabError
from rich.console import Console

from ezpath_bench import report
from ezpath_bench.dataplane.paths import Workshop
from ezpath_bench.saga.load import Load
from ezpath_bench.saga.measure import (
    FAULTS,
    STEADY_RATE,
    Latencies,
    Measurements,
    NotMeasured,
    Rates,
    percentile,
)
from ezpath_bench.saga.network import Network
from ezpath_bench.saga.proxy import Proxy
from ezpath_bench.saga.shares import OTHERS, Shares
from ezpath_bench.saga.site import Site

TARGET_RATE = 1000.0
TARGET_P99_MS = 250.0
TARGET_RISE = 1.2
"""Of the other racks' p99, at most, while one switch is slow or dead."""
PARTS = ("rate", "latency", "isolation")

_EPILOG = """\b
Examples:
  ezpath-bench saga                          everything (about 5 minutes)
  ezpath-bench saga --part rate              sagas a second, and who uses the processors
  ezpath-bench saga --part isolation --rounds 4 --out results
  ezpath-bench saga --quick                  a few sagas of each, to see that it works
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what."""

    parts: tuple[str, ...]
    endpoints: int
    offloads: int
    seconds: float
    window_s: float
    rounds: int


@click.command("saga", epilog=_EPILOG)
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="Only this; repeatable. [default: all]")
@click.option("--offloads", type=click.IntRange(1), default=5000, show_default=True, help="For the rate.")
@click.option(
    "--racks",
    type=click.IntRange(2, 32),
    default=2,
    show_default=True,
    help="Among which sagas are; there is one more, for isolation.",
)
@click.option("--endpoints", type=click.IntRange(8, 4000), default=400, show_default=True, help="On each host.")
@click.option("--seconds", type=click.FloatRange(1), default=20.0, show_default=True, help="For the latencies.")
@click.option(
    "--rounds", type=click.IntRange(1), default=2, show_default=True, help="For isolation: each case, in turn."
)
@click.option("--quick", is_flag=True, help="A few sagas of each part: shows that it works, proves nothing.")
@click.option("--p4-dir", type=click.Path(path_type=Path, exists=True, file_okay=False), default=Path("p4"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the figures there as JSON.")
def command(
    parts: tuple[str, ...],
    offloads: int,
    racks: int,
    endpoints: int,
    seconds: float,
    rounds: int,
    quick: bool,
    p4_dir: Path,
    out: Path | None,
) -> None:
    """Sagas a second through NATS, the writers, ToRs and Open vSwitch; their latency; what a sick switch costs.

    Exit status: 0 every target reached, 1 one missed or something failed. Needs root.
    """
    plan = Plan(parts or PARTS, endpoints, offloads, seconds, 10.0, rounds)
    if quick:
        plan = Plan(parts or PARTS, 80, 100, 1.0, 1.0, 1)
    configure_logging("warning")
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # so that nothing is left behind then either
    try:
        with (
            tempfile.TemporaryDirectory(prefix="ezpath-bench-") as folder,
            asyncio.Runner() as runner,
            ExitStack() as stack,
        ):
            site = Site(
                Network(Path(folder), racks + 1, plan.endpoints), Workshop(Path(folder), p4_dir, runner), p4_dir, stack
            )
            site.start_network()
            results = runner.run(_measured(site, plan))
    except (LabError, NotMeasured, BusError) as error:
        raise click.ClickException(str(error)) from error
    kept = {name: _plain(result) for name, result in results.items()}
    if "rate" in results:
        kept["rate"]["most"] = results["rate"].most
    report.save(out, "saga", kept)
    verdicts = _shown(results)
    if not quick and not all(verdicts):
        raise SystemExit(1)


async def _measured(site: Site, plan: Plan) -> dict[str, Any]:
    victim = site.network.rack(site.network.racks)
    async with Proxy(victim.address, victim.tor_socket) as proxy:
        # The proxy answers the writer meanwhile.
        await asyncio.to_thread(site.start_services, {})
        async with await Bus.connect(site.nats, "bench", wait_s=10) as bus:
            load = Load(bus)
            listening = asyncio.create_task(load.listen())
            shares = Shares([*site.processes, ("this bench", os.getpid())])
            measurements = Measurements(site.network, load, proxy, shares)
            watching = asyncio.create_task(_watch(site))
            working = asyncio.create_task(_parts(measurements, plan))
            try:
                await asyncio.wait((working, listening, watching), return_when=asyncio.FIRST_COMPLETED)
                for ended in (watching, listening):
                    if ended.done():
                        await ended
                return await working
            finally:
                for task in (working, watching, listening):
                    task.cancel()


async def _parts(measurements: Measurements, plan: Plan) -> dict[str, Any]:
    results: dict[str, Any] = {}
    for part in plan.parts:
        Console(stderr=True).print(f"{part} …", highlight=False)
        if part == "rate":
            results[part] = await measurements.rates(plan.offloads)
        elif part == "latency":
            results[part] = await measurements.latencies(plan.seconds)
        else:
            results[part] = await measurements.isolation(plan.rounds, plan.window_s)
    return results


async def _watch(site: Site) -> None:
    """Raises :class:`LabError` as soon as one of the processes ends."""
    while True:
        site.check_alive()
        await asyncio.sleep(0.5)


# ---- what is shown


def _shown(results: dict[str, Any]) -> list[bool]:
    """Prints everything; for each target whether it was reached."""
    verdicts: list[bool] = []
    if "rate" in results:
        verdicts += _show_rates(results["rate"])
    if "latency" in results:
        verdicts += _show_latencies(results["latency"])
    if "isolation" in results:
        verdicts += _show_isolation(results["isolation"])
    return verdicts


def _show_rates(rates: Rates) -> list[bool]:
    rows = [["offloads, request to active", f"{rates.pairs:,}", f"{rates.offload:,.0f}", f"{TARGET_RATE:,.0f}"]]
    rows += [["reverts, request to reverted (2 s drain in it)", f"{rates.pairs:,}", f"{rates.revert:,.0f}", ""]]
    report.show(f"As many sagas as will go, {rates.racks} racks", ["", "sagas", "a second", "target"], rows)
    full = [["entries on the fullest ToR", f"{rates.entries:,}", f"{rates.room:,}"]]
    report.show("Table use with all of them active", ["", "in use", "of"], full)
    _show_shares(rates.shares, rates.offload)
    return [_verdict("offloads a second", rates.offload >= TARGET_RATE, f"{rates.offload:,.0f}", f"{TARGET_RATE:,.0f}")]


def _show_shares(shares: Mapping[str, float], rate: float) -> None:
    """The processors' time of an offload, by who spends it."""
    ours = {kind: share for kind, share in shares.items() if kind != OTHERS}
    rows = sorted(ours.items(), key=lambda item: -item[1])
    rows += [("together", sum(ours.values()))]
    shown = [[kind, f"{share:.2f}", f"{share / rate * 1e6:,.0f}"] for kind, share in rows]
    shown.append([OTHERS, f"{shares[OTHERS]:.2f}", ""])
    report.show(f"Who uses the {os.cpu_count()} cores meanwhile", ["", "cores", "µs an offload"], shown)


def _show_latencies(found: Latencies) -> list[bool]:
    p99 = found.percentile(0.99)
    row = [f"{STEADY_RATE:.0f} a second", *_figures(found), f"{TARGET_P99_MS:.0f}"]
    report.show("Milliseconds from decision to active", ["", *_HEADS, "p99 target"], [row])
    legs = [
        [leg, *(f"{percentile(each, share):.0f}" for share in (0.5, 0.9, 0.99))] for leg, each in found.legs.items()
    ]
    report.show("Milliseconds of each leg, by the times at which NATS stored it", ["", "p50", "p90", "p99"], legs)
    _show_shares(found.shares, STEADY_RATE)
    return [_verdict("decision to active, p99", p99 < TARGET_P99_MS, f"{p99:.0f} ms", f"{TARGET_P99_MS:.0f} ms")]


def _show_isolation(found: dict[str, Latencies]) -> list[bool]:
    whole = found["none"].percentile(0.99)
    rows = [[fault, *_figures(each), f"{each.percentile(0.99) / whole:.2f}"] for fault, each in found.items()]
    title = f"Decision to active of pairs on other racks, {STEADY_RATE:.0f} a second, by what ails one rack's switch"
    report.show(title, ["", *_HEADS, "p99 against none"], rows)
    verdicts = []
    for fault in FAULTS[1:]:
        rise = found[fault].percentile(0.99) / whole
        verdicts.append(
            _verdict(f"p99 while one switch is {fault}", rise <= TARGET_RISE, f"{rise:.2f}", f"{TARGET_RISE}")
        )
    return verdicts


_HEADS = ["sagas", "failed", "p50 ms", "p99 ms", "greatest ms"]


def _figures(found: Latencies) -> list[str]:
    numbers = (found.percentile(0.5), found.percentile(0.99), found.percentile(1.0))
    return [f"{len(found.values):,}", str(len(found.failed)), *(f"{number:.0f}" for number in numbers)]


def _verdict(what: str, reached: bool, figure: str, target: str) -> bool:
    click.echo(f"{'reached' if reached else 'MISSED '}  {what}: {figure} (target {target})")
    return reached


def _plain(result: Any) -> Any:
    return {key: asdict(value) for key, value in result.items()} if isinstance(result, dict) else asdict(result)
