"""I4, looked at directly: what is sent is new, and what is old changes nothing."""

from __future__ import annotations

from collections.abc import Callable

from ezpath.events import HostCommand, OffloadRequested, PhaseName, RevertRequested, StepReport, SwitchCommand
from ezpath.names import PairId
from ezpath.saga import Effects, Keep, Phase, SagaInput, Want, World
from model.broken import Broken
from model.decider import Scenario

Call = Callable[[World, SagaInput], tuple[World, Effects]]


def check_generations(effects: Effects, given_out: int) -> None:
    """I4: commands carry generations that were never given out before, and that a record knows before they are sent."""
    known: dict[int, PairId] = {}
    for effect in effects:
        if isinstance(effect, Keep):
            if known.setdefault(effect.saga.generation, effect.saga.pair) != effect.saga.pair:
                raise Broken("I4", f"generation {effect.saga.generation} is given out twice")
        elif isinstance(effect, SwitchCommand | HostCommand):
            if effect.generation <= given_out:
                raise Broken("I4", f"a command of generation {effect.generation}, which is not new: {effect}")
            if known.get(effect.generation) != effect.pair:
                raise Broken("I4", f"a command of a generation that no record knows: {effect}")
        elif isinstance(effect, Want):
            newest = max(
                (e.generation for e in effects if isinstance(e, SwitchCommand | HostCommand)), default=given_out
            )
            if effect.generation < newest:
                raise Broken("I4", f"a desired state of generation {effect.generation} goes with commands of {newest}")


def check_old_reports(call: Call, world: World, scenario: Scenario) -> None:
    """Whatever report of an older generation, another phase or another attempt comes, it changes nothing."""
    targets = scenario.targets
    for saga in world.sagas.values():
        phase: PhaseName = saga.phase.value
        late: list[tuple[str, int, PhaseName, str]] = [(saga.id, saga.generation - 1, phase, t) for t in targets]
        late += [(f"{saga.pair}.{saga.attempt - 1}", saga.generation, phase, t) for t in targets]
        late += [(saga.id, saga.generation, phase, t) for t in targets if t not in saga.waiting]
        late += [(saga.id, saga.generation, other.value, targets[0]) for other in Phase if other is not saga.phase]
        for name, generation, where, target in late:
            for ok in (True, False):
                report = StepReport(name, saga.pair, generation, where, target, ok)
                if call(world, report) != (world, ()):
                    raise Broken("I4", f"{report} changes {saga}")


def check_old_requests(call: Call, world: World) -> None:
    """A request that was carried out, and comes once more, changes nothing."""
    for saga in world.sagas.values():
        again = OffloadRequested(saga.pair, saga.tenant, "", 0, saga.offload_asked_at)
        back = RevertRequested(saga.pair, saga.tenant, "", saga.revert_asked_at)
        for request in (again, back) if back.at > 0 else (again,):
            if call(world, request)[1]:
                raise Broken("I4", f"{request}, repeated, changes {saga}")
