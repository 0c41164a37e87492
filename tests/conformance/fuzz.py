"""The differential fuzzer: random tables and random packets, on two switches; any difference is printed as a vector.

make fuzz                                     10,000 packets, simple_switch_grpc against the software ToR
make fuzz FUZZ="--packets 100000 --seed 7"
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from conformance.differ import Differ, Difference, Tally, cases
from conformance.parser import Parser
from conformance.render import as_source
from conformance.switches import TARGETS, Bmv2
from conformance.target import Program, Target
from ezpath_lab.bmv2 import BINARY

_EPILOG = """\b
Examples:
  make fuzz
  make fuzz FUZZ="--packets 100000 --seed 7"
  make fuzz FUZZ="--seed 7 --first-batch 212 --packets 300"      one batch of that run again
  make fuzz FUZZ="--targets software-tor,software-tor"           where there is no simple_switch_grpc

Needs root. Exit status: 0 no difference, 1 a difference, 2 wrong arguments.
"""


def _targets(_: click.Context, __: click.Parameter, value: str) -> list[type[Target]]:
    names = value.split(",")
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: there are {', '.join(TARGETS)}")
    if len(names) < 2:
        raise click.BadParameter("a difference needs two of them")
    if Bmv2.name in names and shutil.which(BINARY) is None:
        raise click.BadParameter(f"{Bmv2.name} is {BINARY}, which is not on PATH")
    return [TARGETS[name] for name in names]


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--packets", type=click.IntRange(1), default=10_000, show_default=True, help="How many, in all.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed, the same packets and tables.")
@click.option("--batch", type=click.IntRange(1), default=300, show_default=True, help="Packets for one table state.")
@click.option("--first-batch", type=click.IntRange(0), default=0, help="Start with this batch of the seed's.")
@click.option(
    "--targets",
    default=f"{Bmv2.name},software-tor",
    show_default=True,
    callback=_targets,
    help="The switches, the first is held to be right.",
)
@click.option(
    "--program",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="BMv2 JSON, its p4info beside it, in place of each switch's own build. The monitors are not compared then.",
)
@click.option("--most", type=click.IntRange(1), default=1, show_default=True, help="End after so many differences.")
def main(
    packets: int, seed: int, batch: int, first_batch: int, targets: list[type[Target]], program: Path | None, most: int
) -> None:
    """Random tables and packets on two switches: prints every difference as a minimal conformance vector."""
    programs = [Program.read(program or kind.build) for kind in targets]
    parser = Parser(programs[0].config)
    began = time.monotonic()
    differences = 0
    with _running(targets, programs) as switches:
        differ = Differ(switches, parser, monitor=program is None)
        for number, case in cases(seed, programs[0].info, packets, batch, first_batch):
            difference = differ.check(f"seed {seed}, batch {number}", case)
            if difference is not None:
                differences += 1
                _show(difference, programs[0], parser)
                if differences >= most:
                    break
            if number % 20 == 19:
                click.echo(f"{differ.tally.packets} packets, {time.monotonic() - began:.0f} s", err=True)
    _summary(differ.tally, differences, time.monotonic() - began)
    sys.exit(1 if differences or differ.tally.frames_once else 0)


@contextlib.contextmanager
def _running(kinds: Sequence[type[Target]], programs: Sequence[Program]) -> Iterator[list[Target]]:
    with contextlib.ExitStack() as held:
        directory = Path(held.enter_context(tempfile.TemporaryDirectory()))
        runner = held.enter_context(asyncio.Runner())
        switches = [kind(runner, directory, f"{kind.name}-{place}") for place, kind in enumerate(kinds, 1)]
        for switch, program in zip(switches, programs, strict=True):
            held.callback(switch.stop)
            switch.start()
            switch.load(program)
        yield switches


def _show(difference: Difference, program: Program, parser: Parser) -> None:
    click.echo(as_source(difference.vector, program.info, parser))
    for name, outcome in difference.outcomes.items():
        click.echo(f"# {name}: out {_hex(outcome.out)}, drops {dict(outcome.drops)}")
        for place, cell in outcome.monitored.items():
            click.echo(f"#   {place}: {cell:#x}")


def _hex(out: object) -> str:
    assert isinstance(out, dict)
    return str({port: [frame.hex() for frame in frames] for port, frames in out.items()})


def _summary(tally: Tally, differences: int, seconds: float) -> None:
    click.echo(f"{tally.packets} packets in {tally.batches} table states, {seconds:.0f} s: {differences} differences")
    click.echo(f"  frames that came out: {tally.frames_out}; dropped, by reason: {dict(sorted(tally.drops.items()))}")
    click.echo(f"  flows in the monitor: {tally.flows}; packets that won no cell there: {tally.unmonitored}")
    click.echo(f"  not there again when the batch was repeated: {tally.monitors_once} differences of monitors")
    if tally.frames_once:
        click.echo(f"  and of frames or drops, which should not be: {', '.join(tally.frames_once)}")
    for branch, packets in sorted(tally.branches.items()):
        click.echo(f"  parser state {branch.state}, {branch.choice}: {packets}")


if __name__ == "__main__":
    main()
