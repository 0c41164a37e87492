"""A decider's inputs and decisions as a stream of messages: what `--record` writes and `ezpath sim --replay` reads.

Pure. Each message is one msgpack array ``[kind, ...]``: what came in, in its order and with the decider's clock, and
what each round decided. An engine that is given the same again decides the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import IO, Any, cast

import msgpack
import numpy as np
from ezpath.malformed import MalformedEvent
from ezpath.samples import FlowSample, decode_sample, encode_sample

from ezpath_decider.allowance import Allowance
from ezpath_decider.budgets import I64
from ezpath_decider.columns import F64, I32, U64
from ezpath_decider.directory import Directory
from ezpath_decider.engine import Decision, Engine, Round
from ezpath_decider.loading import load
from ezpath_decider.pins import Paused, Pins
from ezpath_decider.places import Places
from ezpath_decider.policy import Policy
from ezpath_decider.series import Series
from ezpath_decider.strategy import Strategy

FORMAT = "ezpath-recording"
VERSION = 1
Write = Callable[[bytes], object]


class RecordingError(ValueError):
    """Not a recording, or not one that this version can read."""


class Tape:
    """Writes messages. What it is told of, it tells once: a policy only when it has changed."""

    def __init__(self, write: Write, directory: Directory) -> None:
        self._write = write
        self._policy: tuple[Any, ...] | None = None
        self.note(FORMAT, VERSION, _columns(directory))

    def note(self, kind: str, *values: Any) -> None:
        self._write(cast(bytes, msgpack.packb([kind, *values])))

    def policy(self, policy: Policy, paused: Paused) -> None:
        """In force at the next round."""
        text = policy.model_dump_json()
        now = (text, paused.everywhere, sorted(paused.racks), sorted(paused.tenants))
        if now != self._policy:
            self._policy = now
            self.note("policy", *now)

    def decided(self, decided: Round, now: float) -> None:
        """A round, after all that it was decided from."""
        told = [[each.what, each.pair, each.reason, each.rate_bps] for each in decided.decisions()]
        self.note("round", now, decided.fault, told)


class _NotedPlaces(Places):
    """Places that tell the tape who went where."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape

    def enter(self, flows: U64, state: int, at: float | F64, series: Series, failed: bool = False) -> None:
        times = np.broadcast_to(np.asarray(at, np.float64), flows.shape)
        self._tape.note("enter", flows.astype("<u8").tobytes(), state, times.astype("<f8").tobytes(), failed)
        super().enter(flows, state, times, series, failed)


class _NotedAllowance(Allowance):
    """An allowance that tells the tape what was said of the tables."""

    def __init__(self, directory: Directory, tape: Tape) -> None:
        super().__init__(directory)
        self._tape = tape

    def report(self, switch: str, table: str, size: int, used: int, ours: int) -> None:
        self._tape.note("table", switch, table, size, used, ours)
        super().report(switch, table, size, used, ours)

    def refused(self, reason: str, held: I64, now: float) -> bool:
        self._tape.note("refused", reason, held.astype("<i8").tobytes(), now)
        return super().refused(reason, held, now)


class RecordedEngine(Engine):
    """An engine that tells ``tape`` all that comes in. The caller tells it of policies and rounds."""

    def __init__(self, directory: Directory, strategy: Strategy, tape: Tape) -> None:
        super().__init__(directory, strategy, _NotedAllowance(directory, tape), Pins(directory))
        self.places = _NotedPlaces(tape)
        self._tape = tape

    def sample(self, sample: FlowSample, now: float) -> bool:
        self._tape.note("sample", now, encode_sample(sample))
        return super().sample(sample, now)

    def forget(self, now: float) -> None:
        self._tape.note("forget", now)
        super().forget(now)

    def adopt(self, directory: Directory, numbers: I32) -> None:
        self._tape.note("inventory", _columns(directory), numbers.astype("<i4").tobytes())
        super().adopt(directory, numbers)


# ---- reading --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """A round that was replayed: what was decided then, and what is decided now."""

    now: float
    live: tuple[Decision, ...]
    again: tuple[Decision, ...]
    live_fault: str
    again_fault: str

    @property
    def same(self) -> bool:
        return self.live == self.again and self.live_fault == self.again_fault

    def difference(self) -> str:
        """The first one, in words; nothing where there is none."""
        if self.live_fault != self.again_fault:
            return f"the strategy's fault was {self.live_fault or 'none'}, and is {self.again_fault or 'none'} now"
        for live, again in zip_longest(self.live, self.again):
            if live != again:
                return f"decided {_words(live)}, and now {_words(again)}"
        return ""


def _words(decision: Decision | None) -> str:
    return "nothing" if decision is None else f"{decision.what} {decision.pair} ({decision.reason})"


def messages(stream: IO[bytes]) -> Iterator[list[Any]]:
    """All of a recording after its head, which is checked. A last message that was cut off is left out."""
    unpacker = msgpack.Unpacker(stream, max_buffer_size=1 << 30, strict_map_key=False)
    try:
        head = next(unpacker, None)
        if not isinstance(head, list) or not head or head[0] != FORMAT:
            raise RecordingError("not a recording of a decider. Give a file that ezpath-decider --record wrote")
        if head[1] != VERSION:
            raise RecordingError(f"a recording of version {head[1]}, where this ezpath reads {VERSION}")
        yield head
        yield from unpacker
    except (msgpack.UnpackException, ValueError) as error:
        if isinstance(error, RecordingError):
            raise
        raise RecordingError(f"damaged: {error or type(error).__name__}. It can be replayed up to there only") from None


def directory_in(head: list[Any]) -> Directory:
    """Who was where at first."""
    return _directory_of(head[2])


def _directory_of(columns: Mapping[str, Any]) -> Directory:
    given = dict(columns)
    for each in fields(Directory):
        value = given.get(each.name)
        if isinstance(value, list) and len(value) == 2 and isinstance(value[1], bytes):
            given[each.name] = np.frombuffer(value[1], value[0]).copy()
    return Directory(**given)


def replay(stream: IO[bytes], strategy: Strategy | None = None) -> Iterator[Step]:
    """Give an engine all that a decider was given; each round is decided anew. ``strategy`` instead of the recorded."""
    told = messages(stream)
    directory = directory_in(next(told))
    engine = Engine(directory, strategy or load("pinned", {}), Allowance(directory), Pins(directory))
    for kind, *values in told:
        if kind == "round":
            now, fault, live = values
            again = engine.round(now)
            yield Step(now, tuple(_decision(*each) for each in live), tuple(again.decisions()), fault, again.fault)
        elif kind == "policy":
            _apply(engine, *values)
            if strategy is not None:
                engine.strategy = strategy
        else:
            give(engine, kind, values)


def give(engine: Engine, kind: str, values: list[Any]) -> None:
    """One input of a recording. Kinds that this version does not know are none of its engine's."""
    match kind:
        case "sample":
            now, data = values
            try:
                engine.sample(decode_sample(data), now)
            except MalformedEvent as error:
                raise RecordingError(f"a sample in it is not understood: {error}") from None
        case "table":
            engine.allowance.report(*values)
        case "enter":
            flows, state, times, failed = values
            at = np.frombuffer(times, "<f8").copy()
            engine.places.enter(np.frombuffer(flows, "<u8").astype(np.uint64), state, at, engine.series, failed)
        case "refused":
            reason, held, now = values
            engine.allowance.refused(
                reason, np.frombuffer(held, "<i8").reshape(len(engine.directory.switches), -1).copy(), now
            )
        case "forget":
            engine.forget(*values)
        case "inventory":
            columns, numbers = values
            engine.adopt(_directory_of(columns), np.frombuffer(numbers, "<i4").astype(np.int32))


def _apply(engine: Engine, text: str, everywhere: bool, racks: list[str], tenants: list[str]) -> None:
    policy = Policy.model_validate_json(text)
    policy.apply(engine, load(policy.strategy, policy.settings))
    engine.pins = Pins(engine.directory, engine.pins.lists, Paused(everywhere, frozenset(racks), frozenset(tenants)))


def _decision(what: str, pair: str, reason: str, rate_bps: float) -> Decision:
    return Decision(cast(Any, pair), cast(Any, pair.partition(".")[0]), cast(Any, what), reason, rate_bps)


def _columns(directory: Directory) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        return [value.dtype.str, value.tobytes()] if isinstance(value, np.ndarray) else list(value)

    return {each.name: plain(getattr(directory, each.name)) for each in fields(directory)}
