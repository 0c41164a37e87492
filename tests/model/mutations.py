"""Deliberate mistakes: each one patch to the real core, or to what the model says of the writers, and what it breaks.

They show that the explorer would notice. Most are mistakes that are easily made; those under "once made" were in the
first version of the core.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from ezpath.events import StepReport
from ezpath.saga import Effects, Keep, Phase, Saga, Want, World, machine, phases
from ezpath.saga.holds import Holds
from ezpath.saga.phases import INSTALLS, REMOVES, TABLE, Do, Move, On
from ezpath.saga.turn import Turn
from ezpath.saga.vlans import Rest, Tags
from model import scenarios
from model.decider import Scenario
from model.writers import Host, Switch

P = Phase
ASK = (Do.ASK,)


@dataclass(frozen=True)
class Mutation:
    """A mistake, the invariant that falls, and a world that is large enough for it to fall."""

    name: str
    breaks: str
    patches: Callable[[], list[Any]] = list
    scenario: Callable[[], Scenario] = scenarios.alone
    faults: int = 0
    switch: Switch = field(default_factory=lambda: Switch(at_once=True))
    host: Host = field(default_factory=lambda: Host(at_once=True))

    @contextmanager
    def made(self) -> Iterator[None]:
        """The mistake, for as long as this lasts."""
        with ExitStack() as stack:
            for each in self.patches():
                stack.enter_context(each)
            yield


def table(changes: Mapping[tuple[Phase, On], Move | None]) -> Callable[[], list[Any]]:
    """Rows of the table otherwise, or (None) not there."""

    def patches() -> list[Any]:
        rows = {key: move for key, move in {**TABLE, **changes}.items() if move is not None}
        return [patch.dict(TABLE, rows, clear=True)]

    return patches


def turn(method: str, instead: Callable[..., Any]) -> Callable[[], list[Any]]:
    return lambda: [patch.object(Turn, method, instead)]


def effects(order: Callable[[Effects], Effects]) -> Callable[[], list[Any]]:
    """The effects of every turn in another order, or other ones."""
    result = Turn.result

    def instead(self: Turn, **wants: Any) -> tuple[World, Effects]:
        world, said = result(self, **wants)
        return world, order(said)

    return turn("result", instead)


def _fits_but(field_name: str) -> Callable[[], list[Any]]:
    """A report is listened to whatever it says in one field."""
    fits = machine._fits

    def instead(saga: Saga, event: StepReport) -> bool:
        wanted: dict[str, Any] = {"generation": saga.generation, "saga": saga.id, "phase": saga.phase.value}
        return fits(saga, replace(event, **{field_name: wanted[field_name]}))

    return lambda: [patch.object(machine, "_fits", instead)]


def _done_without(what: Do, instead: Callable[[Turn, Saga, str], Saga]) -> Callable[[], list[Any]]:
    done = Turn._done

    def other(self: Turn, do: Do, saga: Saga, reason: str) -> Saga:
        return instead(self, saga, reason) if do is what else done(self, do, saga, reason)

    return turn("_done", other)


def _same_generation(self: Turn, saga: Saga, _: str) -> Saga:
    silent = saga.waiting & frozenset(self._work(saga))
    return replace(saga, waiting=silent)


def _first_is_enough(self: Turn, saga: Saga) -> None:
    """Somebody has confirmed, and that will do."""
    undone = saga.phase is P.SWITCH_OFF and saga.goal != "reverted"
    if saga.waiting != frozenset(self._work(saga)) or not saga.waiting:
        self.happen(saga, On.UNDONE if undone else On.CONFIRMED)


def _asked_as_before(self: Turn, saga: Saga, reason: str) -> Saga:
    asked = _DONE(self, Do.ASK, saga, reason)
    return replace(asked, generation=saga.generation) if reason == "resumed" else asked


_DONE = Turn._done
_RESUME = machine.resume


def _rests_forgotten(world: World, *arguments: Any) -> Any:
    for saga in world.sagas.values():
        world = world.with_saga(replace(saga, rests=()))
    return _RESUME(world, *arguments)


def _last_rest_counts(self: Tags, host: Any, tenant: Any, now: float, numbers: range) -> Any:
    """Only one of those who had a tag is remembered: the last in the list, not the last who had it."""
    rests: dict[Any, Rest] = {}
    uses = [
        (pair, vid, rest) for vid, uses in self.by_host.get(host, {}).items() for pair, rest in uses.by_pair.items()
    ]
    for _, vid, rest in sorted(uses, key=lambda use: use[0]):
        if rest.until > now and (vid not in rests or rests[vid].until != float("inf")):
            rests[vid] = rest
    mine = [vid for vid, rest in rests.items() if rest.tenant == tenant]
    return min(mine) if mine else next((number for number in numbers if number not in rests), None)


def _overtaken_is_done(self: Turn, event: StepReport) -> None:
    _REPORT(self, replace(event, ok=event.ok or event.reason.startswith("stale")))


_REPORT = machine._report


def _asked_anew(self: Turn, event: Any) -> None:
    saga = self.world.sagas.get(event.pair)
    if saga is not None:
        self.world = self.world.with_saga(replace(saga, offload_asked_at=float("-inf")))
    _OFFLOAD(self, event)


_OFFLOAD = machine._offload

MUTATIONS = (
    # ---- the order of things
    Mutation(
        "hosts send before their peers receive",
        "I1",
        table(
            {
                (P.SWITCH_SEND, On.CONFIRMED): Move(ASK, P.HOST_SEND),
                (P.HOST_SEND, On.CONFIRMED): Move(ASK, P.HOST_RECEIVE),
                (P.HOST_RECEIVE, On.CONFIRMED): Move((Do.TELL,), P.ACTIVE),
            }
        ),
    ),
    Mutation(
        "hosts are touched before the switches' send side is there",
        "I1",
        table({(P.SWITCH_RECEIVE, On.CONFIRMED): Move(ASK, P.HOST_RECEIVE)}),
    ),
    Mutation("the first confirmation is enough", "I1", turn("confirmed", _first_is_enough)),
    Mutation(
        "switches are cleared before hosts stop to send",
        "I2",
        table({(P.ACTIVE, On.REVERT): Move((Do.TURN_BACK, Do.ASK), P.SWITCH_OFF)}),
    ),
    Mutation(
        "no drain between the last frame sent and the first rule removed",
        "I2",
        table({(P.HOST_SEND_OFF, On.CONFIRMED): Move(ASK, P.HOST_RECEIVE_OFF)}),
    ),
    Mutation(
        "a start cuts the drain short",
        "I2",
        table({(P.DRAIN, On.RESUMED): Move(ASK, P.HOST_RECEIVE_OFF)}),
        faults=1,
    ),
    Mutation(
        "rollback in the wrong order: switches first",
        "I2",
        table({(P.HOST_SEND, On.FAILED): Move((Do.GIVE_UP, Do.ASK), P.SWITCH_OFF)}),
        faults=1,
    ),
    Mutation(
        "a phase that did not finish is taken for one that did nothing",
        "I2",
        table({(P.HOST_SEND, On.DEADLINE): Move((Do.GIVE_UP, Do.ASK), P.HOST_RECEIVE_OFF)}),
        faults=1,
    ),
    # ---- who is waited for
    Mutation(
        "a silent host is given up on",
        "I2",
        table({(P.HOST_SEND_OFF, On.DEADLINE): Move(ASK, P.HOST_RECEIVE_OFF)}),
        faults=1,
    ),
    Mutation("a host that cannot be reached counts as done", "I1", host=Host(at_once=True, honest=False), faults=1),
    Mutation("what a switch took is not read back", "I1", switch=Switch(at_once=True, reads_back=False), faults=1),
    Mutation(
        "overtaken counts as done",
        "I6",
        lambda: [patch.object(machine, "_report", _overtaken_is_done)],
        scenarios.shared,
        faults=1,
    ),
    Mutation(
        "no deadline on the way there",
        "I5",
        table({(phase, On.DEADLINE): None for phase in INSTALLS}),
        faults=1,
    ),
    Mutation("no deadline on the way back", "I5", table({(phase, On.DEADLINE): None for phase in REMOVES}), faults=1),
    # ---- what is shared
    Mutation(
        "a shared entry is deleted while another pair holds it",
        "I1",
        lambda: [patch.object(Holds, "is_free", lambda *_, **__: True)],
        scenarios.shared,
    ),
    Mutation(
        "items are let go a phase too early",
        "I2",
        lambda: [patch.dict(phases.HOLDS, {P.HOST_SEND_OFF: INSTALLS[:2], P.DRAIN: INSTALLS[:2]})],
        faults=1,
    ),
    # ---- generations
    Mutation("a start asks under the generation of before", "I4", _done_without(Do.ASK, _asked_as_before), faults=1),
    Mutation("asked again under the same generation", "I4", _done_without(Do.ASK_AGAIN, _same_generation), faults=1),
    Mutation("a report of an older generation is accepted", "I4", _fits_but("generation")),
    Mutation("a report to an earlier attempt is accepted", "I4", _fits_but("saga")),
    Mutation("a report on another phase is accepted", "I4", _fits_but("phase")),
    # ---- the order of effects
    Mutation(
        "records are written after the commands",
        "I4",
        effects(
            lambda said: (*(e for e in said if not isinstance(e, Keep)), *(e for e in said if isinstance(e, Keep)))
        ),
    ),
    Mutation(
        "desired states are written after the commands",
        "I6",
        effects(
            lambda said: (*(e for e in said if not isinstance(e, Want)), *(e for e in said if isinstance(e, Want)))
        ),
        faults=1,
    ),
    Mutation(
        "desired states are not written", "I6", effects(lambda said: tuple(e for e in said if not isinstance(e, Want)))
    ),
    # ---- tags
    Mutation(
        "a VLAN id is given to another tenant at once",
        "I3",
        _done_without(Do.REST, lambda self, saga, _: replace(saga, sides=None)),
        lambda: scenarios.tenants((1, 1), (1, 0)),
    ),
    Mutation(
        "a start forgets which tags rest",
        "I3",
        lambda: [patch.object(machine, "resume", _rests_forgotten)],
        lambda: scenarios.tenants((1, 1), (1, 0)),
        faults=1,
    ),
    # ---- writers that take old commands
    Mutation(
        "a switch-writer carries out whatever it hears, however old",
        "I6",
        lambda: [patch.object(Switch, "stale", lambda *_: False)],
        faults=1,
    ),
    Mutation(
        "a host-writer carries out whatever it hears, however old",
        "I2",
        lambda: [patch.object(Host, "overtakes", lambda *_: False)],
        faults=1,
    ),
    Mutation(
        "an endpoint that moved is offloaded anew before it has left its old place",
        "I2",
        lambda: [patch.object(Holds, "in_the_way", lambda *_: None)],
        scenarios.moving,
    ),
    # ---- once made
    Mutation(
        "an outcome that a crash kept back is never told",
        "I5",
        table({(phase, On.RESUMED): None for phase in phases.AT_REST}),
        faults=1,
    ),
    Mutation(
        "a request that comes twice is carried out twice",
        "I4",
        lambda: [patch.object(machine, "_offload", _asked_anew)],
    ),
    Mutation(
        "a tag's rest for one tenant hides that for another",
        "I3",
        lambda: [patch.object(Tags, "allocate", _last_rest_counts)],
        lambda: scenarios.tenants((2, 1), (1, 1)),
        faults=1,
    ),
)
