"""The model's environment: the saga's core, the real one, and all that can be given to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ezpath.events import OffloadRequested, RevertRequested, StepReport
from ezpath.inventory import Inventory
from ezpath.names import PairId
from ezpath.saga import Effects, InventoryChanged, Phase, Saga, SagaInput, Tick, World, machine, world_of
from model.decider import NEVER, PASSED, SETTINGS, Decider, Mail, Scenario, Turn
from model.newness import check_old_reports, check_old_requests
from model.shell import Shell
from model.targets import Verdict

NOBODY: frozenset[PairId] = frozenset()


class Core:
    """The real core, from the outside."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._index = {pair: index for index, pair in enumerate(scenario.pairs)}
        self._shell = Shell(scenario)
        self._worlds: dict[tuple[Saga | None, ...], World] = {}

    def start(self) -> Decider:
        count = len(self._scenario.pairs)
        return Decider((None,) * count, self._scenario.asks, told=(False,) * count)

    def world(self, decider: Decider) -> World:
        world = self._worlds.get(decider.sagas)
        if world is None:
            world = self._worlds[decider.sagas] = world_of(saga for saga in decider.sagas if saga)
        return world

    # ---- what happens to it -------------------------------------------------

    def requests(self, decider: Decider, left: int) -> Iterator[Turn]:
        """Somebody decides. ``left`` is how many faults there may still be."""
        for index, pair in enumerate(self._scenario.pairs if decider.listens else ()):
            tenant = self._scenario.pair(pair).tenant
            offloads, reverts = decider.asks[index]
            if offloads:
                asked = _less(decider, index, (offloads - 1, reverts))
                yield from self._turns(asked, f"offload {pair}", OffloadRequested(pair, tenant, "", 0, at=2), left)
            if reverts:
                asked = _less(decider, index, (offloads, reverts - 1))
                yield from self._turns(asked, f"revert {pair}", RevertRequested(pair, tenant, "", at=2), left)

    def changes(self, decider: Decider, left: int) -> Iterator[Turn]:
        """The inventory becomes another one, whether or not a decider is there to see it."""
        if self._scenario.after is None or decider.changed or decider.unwritten:
            return
        changed, label = replace(decider, changed=True), "the inventory changes"
        turns = self._turns(changed, label, InventoryChanged(), left) if decider.running else ()
        yield from list(turns) or [Turn(label, 0, changed)]

    def progress(self, decider: Decider, left: int) -> Iterator[Turn]:
        """What it does by itself: it starts, and takes in reports."""
        if not decider.running:
            world, effects = machine.resume(self.world(decider), PASSED, self._inventory(decider), SETTINGS)
            yield from self._shell.outcomes(replace(decider, running=True), "decider starts", world, effects, left)
        if decider.unwritten:
            effects = decider.unwritten
            yield from self._shell.sent(
                Turn("the documents", 0, replace(decider, unwritten=())), effects, NOBODY, 0, current=True
            )
        for report in decider.reports if decider.listens else ():
            taken = replace(decider, reports=tuple(other for other in decider.reports if other != report))
            label = f"{report[1]} reports to {report[0]}: {report[2]}"
            ignored = Turn(label, 0, taken)
            yield from list(self._turns(taken, label, self._step_report(decider, *report), left)) or [ignored]

    def rests(self, decider: Decider) -> Iterator[Turn]:
        """The quarantine of a tag is over, and the last frame with it has arrived."""
        for index, saga in enumerate(decider.sagas if self._scenario.follow_rests else ()):
            for number, rest in enumerate(saga.rests if saga else ()):
                if saga and rest.until > PASSED:
                    rests = (*saga.rests[:number], replace(rest, until=PASSED), *saga.rests[number + 1 :])
                    mail = Mail(rested=self._shell.rules(saga.pair, rest.host, rest.vid))
                    rested = decider.with_saga(index, replace(saga, rests=rests))
                    yield Turn(f"{rest.vid} on {rest.host} has rested", 0, rested, ((f"host:{rest.host}", mail),))

    def deadlines(self, decider: Decider, left: int) -> Iterator[tuple[PairId, Phase, list[Turn]]]:
        """For each pair whose time may be over: the phase it is in, and what follows."""
        for index, saga in enumerate(decider.sagas if decider.listens else ()):
            if saga is None or saga.deadline == NEVER or any(report[0] == saga.pair for report in decider.reports):
                continue
            passed = decider.with_saga(index, replace(saga, deadline=PASSED))
            label = "drained" if saga.phase is Phase.DRAIN else "deadline of"
            turns = list(self._turns(passed, f"{label} {saga.pair}", Tick(), left))
            if saga.phase is Phase.DRAIN:
                turns = [self._shell.drained(saga, turn) for turn in turns]
            yield saga.pair, saga.phase, turns

    def crash(self, decider: Decider, left: int) -> Iterator[Turn]:
        if decider.running and left:
            mail = Mail(outdated=self._shell.everyone)
            yield Turn("decider crashes", 1, decider.stopped(), tuple((t, mail) for t in self._scenario.targets))

    def hear(self, decider: Decider, pair: PairId, target: str, verdict: Verdict) -> Decider:
        """A writer's report on what it was asked last."""
        saga = decider.sagas[self._index[pair]]
        if not decider.running or saga is None or target not in saga.waiting:
            return decider
        if verdict == "ok" and len(saga.waiting) == 1:
            # Who was the last one makes no difference: it is called by one name.
            last = next(other for other in self._scenario.targets if other[0] == target[0])
            decider = decider.with_saga(self._index[pair], replace(saga, waiting=frozenset({last})))
            return replace(decider, reports=(*decider.reports, (pair, last, verdict)))
        world, effects = self._call(decider, self._step_report(decider, pair, target, verdict))
        if not effects:
            return self._shell.after(decider, world)
        report = (pair, target, verdict)
        return decider if report in decider.reports else replace(decider, reports=(*decider.reports, report))

    # ---- calling it, and carrying out what it says --------------------------

    def _call(self, decider: Decider, event: SagaInput) -> tuple[World, Effects]:
        return machine.step(self.world(decider), event, PASSED, self._inventory(decider), SETTINGS)

    def _inventory(self, decider: Decider) -> Inventory:
        after = self._scenario.after
        return after if decider.changed and after is not None else self._scenario.inventory

    def _turns(self, decider: Decider, label: str, event: SagaInput, left: int) -> Iterator[Turn]:
        world, effects = self._call(decider, event)
        if effects:
            yield from self._shell.outcomes(decider, label, world, effects, left)

    def _step_report(self, decider: Decider, pair: PairId, target: str, verdict: Verdict) -> StepReport:
        saga = decider.sagas[self._index[pair]]
        assert saga is not None
        reason = {"ok": "", "stale": "stale: overtaken", "failed": "it could not"}[verdict]
        return StepReport(saga.id, pair, saga.generation, saga.phase.value, target, verdict == "ok", reason)

    def check(self, decider: Decider) -> None:
        """I4, from here."""

        def call(world: World, event: SagaInput) -> tuple[World, Effects]:
            return machine.step(world, event, PASSED, self._inventory(decider), SETTINGS)

        check_old_reports(call, self.world(decider), self._scenario)
        check_old_requests(call, self.world(decider))


def _less(decider: Decider, index: int, asks: tuple[int, int]) -> Decider:
    return replace(decider, asks=(*decider.asks[:index], asks, *decider.asks[index + 1 :]))
