"""``ezpath-lab chaos``: the command line of it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import combinations, islice
from pathlib import Path

import click
import structlog
from ezpath.telemetry import configure_logging
from rich.console import Console
from rich.table import Table

from ezpath_lab.chaos import accounts
from ezpath_lab.chaos.accounts import Report
from ezpath_lab.chaos.buses import ALONE, CLUSTER
from ezpath_lab.chaos.plan import KINDS, USUAL, Kind, Rate, Targets, rounds
from ezpath_lab.chaos.run import Run, Settings
from ezpath_lab.chaos.stand import Stand, Timing, services_of
from ezpath_lab.ending import SIGNALS, Stopped, stage, stoppable, take_down
from ezpath_lab.screen import Screen
from ezpath_lab.shell import LabError
from ezpath_lab.software_tor import SoftwareTor
from ezpath_lab.topology import Topology, crowded
from ezpath_lab.workload import Pair

_BUSES = {"alone": ALONE, "cluster": CLUSTER}


def pairs_of(topology: Topology) -> list[Pair]:
    """All pairs of containers of one tenant on two hosts."""
    return [
        Pair(tenant.name, one.name, other.name)
        for tenant in topology.tenants
        for one, other in combinations(topology.of_tenant(tenant.name), 2)
        if one.host != other.host
    ]


def watched_of(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """``count`` of them, evenly chosen."""
    return list(pairs)[:: max(1, -(-len(pairs) // count))] if count else list(pairs)


def targets_of(topology: Topology, services: Sequence[str], servers: tuple[str, ...]) -> Targets:
    return Targets(
        tuple(services),
        tuple(tor.name for tor in topology.tors),
        tuple(host.name for host in topology.hosts),
        servers,
    )


def kinds_of(_: click.Context, __: click.Parameter, value: str) -> tuple[Kind, ...]:
    """``--faults``"""
    wanted = [word.strip() for word in value.split(",") if word.strip()]
    unknown = [word for word in wanted if word not in KINDS]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r} is no kind of fault. Known: {', '.join(KINDS)}")
    return tuple(kind for kind in KINDS if kind in wanted) or KINDS


def print_plan(seed: int, targets: Targets, kinds: Sequence[Kind], rate: Rate, count: int) -> None:
    """The first rounds of a seed."""
    for round_ in islice(rounds(seed, targets, kinds, rate), count):
        click.echo(f"round {round_.number}")
        for fault in round_.faults:
            click.echo(f"  {fault.at_s:5.2f} s  {fault}")
        if round_.outage is not None:
            click.echo(f"  at last  {round_.outage}")


@click.command()
@click.option("--minutes", default=2.0, show_default=True, type=click.FloatRange(0.2, 600), help="How long, in all.")
@click.option("--seed", default=1, show_default=True, help="The same seed breaks the same things in the same order.")
@click.option(
    "--faults",
    "kinds",
    default="",
    metavar="KIND,…",
    callback=kinds_of,
    help=f"Only these kinds of faults: {', '.join(KINDS)}. Default: all.",
)
@click.option("--containers", default=4, show_default=True, type=click.IntRange(1, 5), help="Per host and tenant.")
@click.option("--rate", default=20.0, show_default=True, help="Packets a second of each numbered stream, each way.")
@click.option("--streams", default=24, show_default=True, help="Pairs with numbered streams, at most. 0: all.")
@click.option("--faults-a-round", default=USUAL.faults, show_default=True, type=click.IntRange(0))
@click.option("--round-s", default=USUAL.seconds, show_default=True, help="Over how many seconds they fall.")
@click.option("--outage-every", default=USUAL.outage_every, show_default=True, help="Rounds between two outages.")
@click.option(
    "--deciders", default=2, show_default=True, type=click.IntRange(1, 5), help="How many run, and as many shards."
)
@click.option(
    "--bus",
    default="alone",
    show_default=True,
    type=click.Choice(tuple(_BUSES)),
    help="One nats-server, or three that are one, of which one at a time breaks.",
)
@click.option("--plan", "only_plan", default=0, metavar="ROUNDS", help="Print so many rounds of the plan, and end.")
@click.option(
    "--p4-dir", envvar="EZPATH_P4_DIR", default=Path("p4"), show_default=True, type=click.Path(path_type=Path)
)
@click.pass_obj
def chaos(
    directory: Path,
    minutes: float,
    seed: int,
    kinds: tuple[Kind, ...],
    containers: int,
    rate: float,
    streams: int,
    faults_a_round: int,
    round_s: float,
    outage_every: int,
    deciders: int,
    bus: str,
    only_plan: int,
    p4_dir: Path,
) -> None:
    """Break everything, seeded, while tunnels move and every packet is counted.

    Exit status: 0 if every promise was kept, 1 if not. docs/CHAOS.md says what each fault is.
    """
    topology, density = crowded(containers), Rate(faults_a_round, round_s, outage_every)
    if only_plan:
        print_plan(seed, targets_of(topology, services_of(deciders), _BUSES[bus]), kinds, density, only_plan)
        return
    screen = Screen()
    with stoppable(), stage(directory, screen, SoftwareTor(), topology) as lab, _logging(directory):
        screen.act(f"Chaos, seed {seed}: setting up two racks")
        stand = Stand(lab, deciders, Timing(), _BUSES[bus])
        pairs = pairs_of(topology)
        settings = Settings(seed, minutes, pairs, watched_of(pairs, streams), rate, p4_dir)
        plan = rounds(seed, targets_of(topology, stand.services, stand.bus.names), kinds, density)
        run = Run(stand, settings, plan, screen.say)
        failure = unleash(run, screen)
        body = run.report.as_json() | {"failure": failure}
        (lab.state.directory / "chaos.json").write_text(json.dumps(body, indent=1) + "\n")
        show(run.report)
        passed = run.report.passed and not failure
        screen.act("Every promise was kept." if passed else f"NOT every promise was kept. {failure}")
        screen.say(f"{lab.state.directory / 'chaos.json'} has all figures, {lab.state.directory / 'log'} the logs.")
        take_down(lab, screen)
    sys.exit(0 if passed else 1)


@contextmanager
def _logging(directory: Path) -> Iterator[None]:
    """What the harness's own connections say is for those who look for a cause."""
    file = directory / "log" / "chaos.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", buffering=1) as stream:
        configure_logging("info", stream)
        try:
            yield
        finally:
            configure_logging("info")


def unleash(run: Run, screen: Screen) -> str:
    """Run it to its end. Returns why it could not go on; signals end it as they end every command."""
    came: list[int] = []

    async def supervised() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop(number: int) -> None:
            if not came:
                came.append(number)
                task.cancel()

        for number in SIGNALS:
            loop.add_signal_handler(number, stop, number)
        await run.go()

    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        asyncio.run(supervised())
    except LabError as error:
        screen.warn(str(error))
        return str(error)
    except Exception as error:  # noqa: BLE001 - what was counted so far is shown, and everything taken down
        structlog.get_logger().error("the run failed", exc_info=error)
        screen.warn(f"{type(error).__name__}: {error}")
        return f"{type(error).__name__}: {error}"
    except asyncio.CancelledError:
        raise Stopped(came[0] if came else signal.SIGTERM) from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_IGN if came else handler)
    return ""


def show(report: Report) -> None:
    """The tables at the end."""
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 150)
    faults = Table(title="Faults", title_justify="left", show_header=False)
    for kind in KINDS:
        faults.add_row(kind, f"{report.faults.get(kind, 0):,}")
    faults.add_row("[bold]all[/bold]", f"[bold]{sum(report.faults.values()):,}[/bold]")
    console.print(faults)
    console.print(
        f"Kills at their moment (before or after a saga's step): {sum(report.kills.values()):,}, "
        f"{len(report.kills)} different; {report.kills_too_late} whose moment did not come. "
        f"Copies of messages: {report.copies:,}."
    )
    outages = Table(title="Loss in outages, accounted apart", title_justify="left")
    for column in ("outage", "how often", "mean s", "lost with EZPath", "mean s idle", "lost with EZPath idle"):
        outages.add_column(column, justify="left" if column == "outage" else "right")
    idle = accounts.by_kind(report.idle_outages)
    for what, (count, seconds, lost) in accounts.by_kind(report.outages).items():
        _, idle_s, idle_lost = idle.get(what, (0, 0.0, 0))
        outages.add_row(what, str(count), f"{seconds:.1f}", f"{lost:,}", f"{idle_s:.1f}", f"{idle_lost:,}")
    console.print(outages)
    result = Table(title=f"Chaos, seed {report.seed}", title_justify="left", show_header=False)
    packets = report.packets
    for name, value in (
        ("rounds", report.rounds),
        ("minutes", f"{report.seconds / 60:.1f}"),
        ("faults", sum(report.faults.values())),
        ("switch-overs", report.switch_overs),
        ("rolled back", report.outcomes.get("rolled-back", 0)),
        ("packets", packets.sent),
        ("lost", packets.lost),
        ("doubled", packets.duplicated),
        ("of another tenant or pair", packets.foreign),
        ("orphan entries or rules", report.orphans),
        ("slowest packet", f"{packets.delay_us_max / 1e3:.0f} ms"),
        ("violations", len(report.violations)),
    ):
        result.add_row(name, f"{value:,}" if isinstance(value, int) else value)
    console.print(result)
    for reason, count in sorted(report.rolled_back.items(), key=lambda item: -item[1])[:3]:
        console.print(f"Rolled back {count} times because: {reason}", markup=False)
    for violation in report.violations:
        console.print(f"[bold red]VIOLATION[/bold red] {violation}", markup=True)
