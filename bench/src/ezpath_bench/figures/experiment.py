"""An experiment file: what is measured, how often, in which modes, and what is expected of it. Pure.

Whatever is wrong with a file is named with file, line, field and remedy, all at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, TypeVar

import yaml
from ezpath.inventory.lines import Lines, Where
from ezpath.inventory.problems import InventoryError, Problem, field_name, problem_of
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ezpath_bench.figures.results import CLASSES

_Model = TypeVar("_Model", bound=BaseModel)
Mode = Literal["overlay", "ezpath", "ezpath-tors", "host", "macvlan", "docker", "oncache"]
Segmentation = Literal["nic", "off"]
Hosts = Literal["guests", "namespaces", "machines", "none"]

MODES: dict[str, str] = {
    "overlay": "OVS VXLAN in the host",
    "ezpath": "EZPath, an ideal switch between the hosts",
    "ezpath-tors": "EZPath, two software ToRs on the hosts' own cores",
    "host": "host networking",
    "macvlan": "macvlan",
    "docker": "Docker's overlay: Linux bridge and kernel VXLAN",
    "oncache": "OVS VXLAN behind an eBPF cache of outer headers, in the manner of ONCache",
}
HOSTS: dict[str, str] = {
    "namespaces": "(a) namespaces of one kernel, with its Open vSwitch module",
    "machines": "(c) machines of their own",
    "guests": "(b) guests with kernels of their own, User-Mode Linux",
    "none": "no packets: the control plane by itself",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Stream(_Strict):
    """One TCP stream: iperf3."""

    kind: Literal["stream"]
    seconds: int = Field(2, ge=1, le=60)
    """iperf3 takes a part of a second for no end."""
    octets: tuple[int, ...] = (131072,)
    """Sizes of the messages it is written in; 131072 is iperf3's own."""
    gbit_s: float | None = Field(None, gt=0)
    """At this rate, so that all modes carry the same load; None: as fast as it goes."""


class RoundTrip(_Strict):
    """TCP ping-pong: sockperf."""

    kind: Literal["round-trip"]
    seconds: float = Field(2.0, ge=0.5, le=60)
    octets: tuple[int, ...] = (350,)


class Memcached(_Strict):
    """SETs and GETs over many connections, as fast as they are answered: memcached and memcaslap."""

    kind: Literal["memcached"]
    seconds: int = Field(2, ge=1, le=60)
    threads: int = Field(4, ge=1, le=64)
    """Of the server, and of the load."""
    connections: int = Field(48, ge=1, le=1024)
    """A multiple of the threads: each has as many."""
    gets: int = Field(10, ge=1, le=1000)
    """For each SET."""
    octets: tuple[int, ...] = (32,)
    """Of the values; 32 is memtier's."""


class Http(_Strict):
    """Requests at a fixed rate: nginx and h2load."""

    kind: Literal["http"]
    seconds: float = Field(2.0, ge=0.5, le=60)
    rate: float = Field(gt=0, le=100000)
    """Requests a second, over all connections."""
    connections: int = Field(10, ge=1, le=256)
    octets: tuple[int, ...]
    """Of the file that is asked for."""


class ZeroMq(_Strict):
    """Messages one way as fast as they go, then one there and back at a time: pyzmq."""

    kind: Literal["zeromq"]
    seconds: float = Field(2.0, ge=0.5, le=60)
    """Half of it each."""
    octets: tuple[int, ...] = (64, 1024, 16384, 131072)


class Change(_Strict):
    """The services move a pair to the switches and back while it talks."""

    kind: Literal["change"]
    seconds: int = Field(12, ge=6, le=120)
    """How long the transfer runs; a third of it before, at and after."""
    rate: float = Field(500.0, gt=0, le=20000)
    """Numbered packets a second beside the transfer, either way."""


class Curve(_Strict):
    """One of this package's other benchmarks at several sizes; its figures against them, and how they grow."""

    kind: Literal["collectors", "saga", "decider"]
    runs: tuple[tuple[str, ...], ...] = ((),)
    """Options of each run."""
    quick_runs: tuple[tuple[str, ...], ...] = ()
    """In place of them where it is to be quick; none: left out then."""


Workload = Annotated[Stream | RoundTrip | Memcached | Http | ZeroMq | Change | Curve, Field(discriminator="kind")]


class Expectation(_Strict):
    """What a metric's median in one mode, of that in another in the same rounds, is to reach."""

    metric: str = Field(min_length=1)
    mode: Mode
    of: Mode | None = None
    """None: the value itself."""
    at_least: float | None = None
    at_most: float | None = None
    paper: str = ""
    """The paper's figure, where it gives one; else the target is ours."""
    segmentation: Segmentation = "nic"
    octets: int | None = None
    every_round: bool = False
    """Judge the worst round, not the median of all."""


class Experiment(_Strict):
    """One experiment."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    title: str = Field(min_length=1)
    hosts: Hosts
    workload: Workload
    modes: tuple[Mode, ...] = ()
    segmentation: tuple[Segmentation, ...] = ("nic",)
    rounds: int = Field(5, ge=1, le=100)
    quick_rounds: int = Field(2, ge=1, le=100)
    class_rounds: int = Field(0, ge=0, le=100)
    """More rounds, in which CPU time is told by class and nothing else is taken: telling slows guests down."""
    quick_segmentation: bool = False
    """Whether a quick run takes all of ``segmentation`` too, not the first alone."""
    expect: tuple[Expectation, ...] = ()
    notes: tuple[str, ...] = ()

    def on(self, kind: Hosts) -> Experiment:
        """On hosts of another kind, without the modes that are not to be had there."""
        if self.hosts == "none" or self.hosts == kind:
            return self
        modes = tuple(mode for mode in self.modes if kind != "machines" or not mode.endswith("-tors"))
        expect = tuple(each for each in self.expect if {each.mode, each.of or each.mode} <= set(modes))
        return self.model_copy(update={"hosts": kind, "modes": modes, "expect": expect})

    def at_pace(self, quick: bool) -> Experiment:
        """Fewer rounds and shorter runs where ``quick``: it shows that it works, and roughly what it finds."""
        if not quick:
            return self
        workload = self.workload
        if isinstance(workload, Stream | RoundTrip | Memcached | Http | ZeroMq):
            ends = tuple(dict.fromkeys((workload.octets[0], workload.octets[-1])))
            workload = workload.model_copy(update={"seconds": min(workload.seconds, 1), "octets": ends})
        elif isinstance(workload, Change):
            workload = workload.model_copy(update={"seconds": 6})
        else:
            workload = workload.model_copy(update={"runs": workload.quick_runs})
        segmentation = self.segmentation if self.quick_segmentation else self.segmentation[:1]
        expect = tuple(each for each in self.expect if each.segmentation in segmentation)
        changed = {"rounds": self.quick_rounds, "class_rounds": min(1, self.class_rounds), "workload": workload}
        return self.model_copy(update={**changed, "segmentation": segmentation, "expect": expect})


def parse(text: str, file: str) -> Experiment:
    """Check YAML ``text``. Raises :class:`InventoryError`, with everything that is wrong with it."""
    lines, experiment = checked(text, file, Experiment)
    problems = [
        Problem(file, lines.of(at), field_name(at), cause, fix) for at, cause, fix in _contradictions(experiment)
    ]
    if problems:
        raise InventoryError(problems)
    return experiment


def checked(text: str, file: str, model: type[_Model]) -> tuple[Lines, _Model]:
    """YAML ``text`` as a ``model``, and where its fields are. Raises :class:`InventoryError`."""
    try:
        lines, raw = Lines(yaml.compose(text, Loader=yaml.SafeLoader)), yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        cause = f"not YAML: {getattr(error, 'problem', error)}"
        raise InventoryError([Problem(file, mark.line + 1 if mark else 1, "file", cause, "Correct it there")]) from None
    doubled = [Problem(file, line, field_name(at), "is given twice", "Keep one") for at, line in lines.doubled_keys()]
    if doubled:
        raise InventoryError(doubled)
    try:
        return lines, model.model_validate(raw)
    except ValidationError as error:
        problems = [problem_of(_plain(dict(e)), lines, file, model) for e in error.errors(include_url=False)]
        raise InventoryError(problems) from None


def _plain(error: dict[str, object]) -> dict[str, object]:
    """Without the tags that pydantic puts into the way to a field of a workload."""
    place = error["loc"]
    assert isinstance(place, tuple)
    if len(place) > 1 and place[0] == "workload":
        error["loc"] = (place[0], *place[2:])
    return error


def _contradictions(experiment: Experiment) -> Iterator[tuple[Where, str, str]]:
    packets = not isinstance(experiment.workload, Curve)
    if packets and not experiment.modes:
        yield ("modes",), "is empty", f"Name some of {', '.join(MODES)}"
    for number, expected in enumerate(experiment.expect):
        at = ("expect", number)
        if (expected.at_least is None) == (expected.at_most is None):
            yield at, "has no bound, or two", "Give one of at_least and at_most"
        for field in ("mode", "of"):
            mode = getattr(expected, field)
            if packets and mode is not None and mode not in experiment.modes:
                yield (*at, field), f"{mode} is not measured here", "Add it to modes, or judge another"
        if expected.metric.rpartition(", ")[2] in CLASSES and not experiment.class_rounds:
            yield (*at, "metric"), f"{expected.metric} is told in rounds of its own only", "Give class_rounds"
        if expected.segmentation not in experiment.segmentation:
            yield (*at, "segmentation"), f"{expected.segmentation} is not measured here", "Add it to segmentation"
