"""Carries experiments out: brings up the hosts they need, runs rounds in turn, and keeps what was measured."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from ezpath_lab.shell import LabError

from ezpath_bench.dataplane.paths import Workshop
from ezpath_bench.figures import change, curves, workloads
from ezpath_bench.figures.experiment import Change, Curve, Experiment
from ezpath_bench.figures.guests.site import Site
from ezpath_bench.figures.results import Case, Outcome, Sample
from ezpath_bench.rounds import interleaved

Say = Callable[[str], None]


def carry_out(experiments: Sequence[Experiment], p4_dir: Path, say: Say) -> Iterator[Outcome]:
    """Each experiment's outcome, as it ends. One that fails says why in its outcome; the others go on."""
    guests = [each for each in experiments if each.hosts == "guests"]
    for experiment in experiments:
        if isinstance(experiment.workload, Curve):
            say(f"{experiment.name}: {experiment.title}")
            yield curves.measured(experiment.name, experiment.workload)
    if not guests:
        return
    try:
        with _guests(p4_dir, say) as site:
            for experiment in guests:
                say(f"{experiment.name}: {experiment.title}")
                yield _on_guests(site, experiment, say)
    except LabError as error:
        for experiment in guests:
            yield Outcome(experiment.name, failed=f"no guests: {error}")


@contextmanager
def _guests(p4_dir: Path, say: Say) -> Iterator[Site]:
    # Nothing is left behind then either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ezfig-"))
        runner = stack.enter_context(asyncio.Runner())
        site = Site(Workshop(Path(folder), p4_dir, runner), stack)
        site.up(say)
        yield site


def _on_guests(site: Site, experiment: Experiment, say: Say) -> Outcome:
    outcome = Outcome(experiment.name)
    try:
        if isinstance(experiment.workload, Change):
            change.measure(site, experiment, outcome, say)
        else:
            for segmentation in experiment.segmentation:
                for case, mode, number, values in _rounds(site, experiment, segmentation):
                    outcome.samples.append(Sample(case, mode, number, values))
                    say(_line(case, mode, number, experiment.rounds, values))
    except LabError as error:
        outcome.failed = str(error)
        say(f"  failed: {error}")
    finally:
        site.select("overlay")
    return outcome


def _line(case: Case, mode: str, number: int, rounds: int, values: Mapping[str, float]) -> str:
    """The first value of a run, for whoever waits."""
    metric, value = next(iter(values.items()))
    size = f" {case.octets} B" if case.octets else ""
    return f"  round {number + 1}/{rounds} {case.segmentation:>3}{size} {mode:>11} {value:9.3f} {metric}"


def _rounds(
    site: Site, experiment: Experiment, segmentation: str
) -> Iterator[tuple[Case, str, int, Mapping[str, float]]]:
    """All modes and sizes once a round, in turn."""
    work = experiment.workload
    sizes: Sequence[int] = getattr(work, "octets", (0,))
    run = workloads.WORKLOADS[work.kind]

    def once(mode: str, octets: int) -> Mapping[str, float]:
        site.select(mode, segmentation)
        workloads.settle()
        return run(site, work, mode, octets)

    candidates = {f"{octets} {mode}": partial(once, mode, octets) for octets in sizes for mode in experiment.modes}
    for number, name, values in interleaved(candidates, experiment.rounds):
        octets, _, mode = name.partition(" ")
        yield Case(segmentation, int(octets) if len(sizes) > 1 else 0), mode, number, values
