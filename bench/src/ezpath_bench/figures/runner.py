"""Carries experiments out: brings up the hosts they need, runs rounds in turn, and keeps what was measured."""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ezpath_lab.shell import LabError

from ezpath_bench.dataplane.paths import Workshop
from ezpath_bench.figures import change, curves, workloads
from ezpath_bench.figures.cells.machines import Machines
from ezpath_bench.figures.cells.site import Namespaces, Remote
from ezpath_bench.figures.experiment import Change, Curve, Experiment, Hosts
from ezpath_bench.figures.guests.site import Site
from ezpath_bench.figures.results import CLASSES, Case, Outcome, Sample
from ezpath_bench.rounds import interleaved

Say = Callable[[str], None]


def carry_out(
    experiments: Sequence[Experiment], p4_dir: Path, say: Say, machines: Machines | None = None
) -> Iterator[Outcome]:
    """Each experiment's outcome, as it ends. One that fails says why in its outcome; the others go on."""
    for outcome in _carried_out(experiments, p4_dir, say, machines):
        outcome.measured = datetime.now(UTC).strftime("%d %B %Y, %H:%M UTC")
        yield outcome


def _carried_out(
    experiments: Sequence[Experiment], p4_dir: Path, say: Say, machines: Machines | None
) -> Iterator[Outcome]:
    for experiment in experiments:
        if isinstance(experiment.workload, Curve):
            say(f"{experiment.name}: {experiment.title}")
            yield curves.measured(experiment.name, experiment.workload)
    for kind in dict.fromkeys(each.hosts for each in experiments if each.hosts != "none"):
        yield from _on_hosts(kind, [each for each in experiments if each.hosts == kind], p4_dir, say, machines)


def _on_hosts(
    kind: Hosts, experiments: Sequence[Experiment], p4_dir: Path, say: Say, machines: Machines | None
) -> Iterator[Outcome]:
    left = list(experiments)
    try:
        with _hosts(kind, p4_dir, say, machines) as site:
            for experiment in experiments:
                say(f"{experiment.name}: {experiment.title}")
                outcome = _carried_out_on(site, experiment, say)
                left.remove(experiment)
                yield outcome
    except LabError as error:
        for experiment in left:
            yield Outcome(experiment.name, failed=f"no {kind}: {error}")


@contextmanager
def _hosts(kind: Hosts, p4_dir: Path, say: Say, machines: Machines | None) -> Iterator[Site]:
    # Nothing is left behind then either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ezfig-"))
        runner = stack.enter_context(asyncio.Runner())
        workshop = Workshop(Path(folder), p4_dir, runner)
        if kind == "machines":
            assert machines is not None, "the command says which"
            site: Site = Remote(workshop, stack, machines)
        else:
            site = (Namespaces if kind == "namespaces" else Site)(workshop, stack)
        site.up(say)
        yield site


def _carried_out_on(site: Site, experiment: Experiment, say: Say) -> Outcome:
    outcome = Outcome(experiment.name)
    try:
        if isinstance(experiment.workload, Change):
            change.measure(site, experiment, outcome, say)
        else:
            for segmentation in experiment.segmentation:
                for case, mode, number, values in _rounds(site, experiment, segmentation, experiment.rounds):
                    outcome.samples.append(Sample(case, mode, number, values))
                    say(_line(case, mode, number, experiment.rounds, values))
                outcome.samples += _told_by_class(site, experiment, segmentation)
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


def _told_by_class(site: Site, experiment: Experiment, segmentation: str) -> Iterator[Sample]:
    """Rounds of their own, of which only the classes of CPU time are taken."""
    site.tell_softirqs(True)
    try:
        for case, mode, number, values in _rounds(site, experiment, segmentation, experiment.class_rounds):
            told = {metric: value for metric, value in values.items() if metric.rpartition(", ")[2] in CLASSES}
            yield Sample(case, mode, number, told)
    finally:
        site.tell_softirqs(False)


def _rounds(
    site: Site, experiment: Experiment, segmentation: str, rounds: int
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
    for number, name, values in interleaved(candidates, rounds):
        octets, _, mode = name.partition(" ")
        yield Case(segmentation, int(octets) if len(sizes) > 1 else 0), mode, number, values
