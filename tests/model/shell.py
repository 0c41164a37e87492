"""The model's environment: what becomes of the effects of one turn. The keeper, the bus, KV, and a crash in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from ezpath.events import HostCommand, SagaOutcome, SwitchCommand
from ezpath.items import Item, SendRule
from ezpath.names import HostName, PairId, VlanId
from ezpath.saga import Effects, Keep, Saga, Want, World
from ezpath.saga.effects import Effect
from ezpath.saga.phases import AT_REST
from model.decider import ARMED, GIVEN_OUT, NEVER, PASSED, Decider, Document, Mail, Scenario, Turn
from model.newness import check_generations
from model.targets import Command

FATES = {"arrives": 0, "is lost": 1, "comes twice": 1, "is held up": 1}
"""What can become of a command on its way, and how many faults it takes."""


class Shell:
    """Carries out."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._index = {pair: index for index, pair in enumerate(scenario.pairs)}
        self.everyone = frozenset(scenario.pairs)

    def outcomes(self, before: Decider, label: str, world: World, effects: Effects, left: int) -> Iterator[Turn]:
        """Carried out in full, or cut off by a crash; and whatever becomes of each command on its way."""
        check_generations(effects, GIVEN_OUT if any(before.sagas) else 0)
        now, then = _at_once(effects)
        moved = frozenset(effect.saga.pair for effect in effects if isinstance(effect, Keep))
        done = replace(
            self.after(before, world),
            reports=tuple(report for report in before.reports if report[0] not in moved),
            told=self._told(before, effects),
            unwritten=tuple(Document(want.target, want.generation, want.items) for want in then),
        )
        yield from self.sent(Turn(label, 0, done), now, moved, left, current=True)
        for count, last in enumerate(effects if left else (), 1):
            if _leaves_traces(last):
                kept = self._kept(before, effects[:count]).stopped()
                cut = Turn(f"{label}, crash after {_name(last)}", 1, kept)
                yield from self.sent(cut, effects[:count], self.everyone, left, current=False)
                if self._scenario.stale_leaders and _all_is_written(effects[count:]):
                    paused = Turn(f"{label}, paused after {_name(last)}, another leads, and it goes on", 1, kept)
                    yield from self.sent(paused, effects, self.everyone, left, current=False, written=count)

    def after(self, before: Decider, world: World) -> Decider:
        found = (world.sagas.get(pair) for pair in self._scenario.pairs)
        return replace(before, sagas=tuple(saga and self._relative(saga) for saga in found))

    def _kept(self, before: Decider, effects: Effects) -> Decider:
        """The records as they are in KV."""
        after = before
        for effect in effects:
            if isinstance(effect, Keep):
                after = after.with_saga(self._index[effect.saga.pair], self._relative(effect.saga))
        return replace(after, told=self._told(before, effects))

    def _told(self, before: Decider, effects: Effects) -> tuple[bool, ...]:
        told = dict(zip(self._scenario.pairs, before.told, strict=True))
        phases = {pair: saga and saga.phase for pair, saga in zip(self._scenario.pairs, before.sagas, strict=True)}
        for effect in effects:
            if isinstance(effect, SagaOutcome):
                told[effect.pair] = True
            elif isinstance(effect, Keep) and not effect.saga.told:
                same = phases[effect.saga.pair] == effect.saga.phase and effect.saga.attempt == 1
                told[effect.saga.pair] = told[effect.saga.pair] and same and effect.saga.phase in AT_REST
        return tuple(told.values())

    def _relative(self, saga: Saga) -> Saga:
        """The same, counted from now on."""
        rests = saga.rests if self._scenario.follow_rests else ()
        return replace(
            saga,
            attempt=1,
            generation=GIVEN_OUT,
            requested_at=PASSED,
            entered_at=PASSED,
            deadline=NEVER if saga.deadline == NEVER else ARMED,
            tries=0,
            rests=tuple(replace(rest, until=ARMED if rest.until > PASSED else PASSED) for rest in rests),
            offload_asked_at=1.0,
            revert_asked_at=min(saga.revert_asked_at, 1.0),
            reason="",
        )

    def sent(
        self,
        turn: Turn,
        effects: tuple[Effect | Document, ...],
        outdated: frozenset[PairId],
        left: int,
        *,
        current: bool,
        written: int | None = None,
    ) -> Iterator[Turn]:
        """Everything that can become of the commands among ``effects``, within the bound on faults.

        Those behind the first ``written`` effects come later: whoever sends them was paused.
        """
        commands = [effect for effect in effects if isinstance(effect, SwitchCommand | HostCommand)]
        now = sum(isinstance(effect, SwitchCommand | HostCommand) for effect in effects[:written])
        generations = sorted(
            {e.generation for e in effects if isinstance(e, Want | Document | SwitchCommand | HostCommand)}
        )
        places = {generation: place for place, generation in enumerate(generations, 1)}
        wants = {
            effect.target: (places[effect.generation], effect.items)
            for effect in effects
            if isinstance(effect, Want | Document)
        }
        late = ("is held up",) * (len(commands) - now)
        for on_the_way in product(FATES if left > turn.faults else ("arrives",), repeat=now):
            fates, faults = on_the_way + late, turn.faults + sum(FATES[fate] for fate in on_the_way)
            if faults > left:
                continue
            mail = {target: Mail(wants.get(target), outdated=outdated) for target in self._scenario.targets}
            label = turn.label
            for command, fate in zip(commands, fates, strict=True):
                target, ready = _target(command), Command(command.pair, command.put, command.remove, 0, current)
                box = mail[target]
                mail[target] = box._replace(commands=(*box.commands, (places[command.generation], ready, fate)))
                label += f"; what it asks of {target} {fate}" if FATES[fate] else ""
            yield Turn(label, faults, turn.decider, tuple(mail.items()))

    def drained(self, saga: Saga, turn: Turn) -> Turn:
        """Its frames have arrived by now, but for those that were held up on some host."""
        mail = dict(turn.mail)
        for side in saga.sides or ():
            target = f"host:{side.host}"
            mail[target] = mail[target]._replace(drained=self.rules(saga.pair, side.host, side.vid))
        return turn._replace(mail=tuple(mail.items()))

    def rules(self, pair: PairId, host: HostName, vid: VlanId) -> frozenset[Item]:
        """The send rules of ``pair`` on ``host`` with that tag."""
        places = self._scenario.places(pair)
        ways = [way for both in places for way in ((both.a, both.b), (both.b, both.a))]
        return frozenset(SendRule(me.vni, me.mac, peer.mac, vid) for me, peer in ways if me.host == host)


def _at_once(effects: Effects) -> tuple[Effects, tuple[Want, ...]]:
    """What can be taken as one step, and what cannot: a document that comes after a command.

    Nobody can tell when a document is written and a command sent, as long as that is the order: it is as if both had
    come a little later. The other way round a writer may carry out the command, and start, before it is there.
    """
    sent = [number for number, effect in enumerate(effects) if isinstance(effect, SwitchCommand | HostCommand)]
    later = tuple(effect for effect in effects[min(sent, default=0) :] if sent and isinstance(effect, Want))
    return tuple(effect for effect in effects if effect not in later), later


def _all_is_written(rest: Effects) -> bool:
    """What is left to do when a leader is paused can be done by it: the fence takes no more of its records."""
    return bool(rest) and not any(isinstance(e, Want) or (isinstance(e, Keep) and not e.saga.told) for e in rest)


def _target(command: SwitchCommand | HostCommand) -> str:
    return f"switch:{command.switch}" if isinstance(command, SwitchCommand) else f"host:{command.host}"


def _leaves_traces(effect: Effect) -> bool:
    return isinstance(effect, Keep | Want | SwitchCommand | HostCommand | SagaOutcome)


def _name(effect: Effect) -> str:
    match effect:
        case Keep():
            return f"the record of {effect.saga.pair}"
        case Want():
            return f"the document of {effect.target}"
        case SwitchCommand() | HostCommand():
            return f"the command to {_target(effect)}"
        case _:
            return f"{effect.type} of {effect.pair}"
