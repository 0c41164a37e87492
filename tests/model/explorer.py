"""Every interleaving of a small world, breadth first: the invariants in each state, and from each a way to an end.

The bound is on faults: at most so many in a run, of whatever kinds, at whatever points. States are explored in the
order of the faults they cost. One that was reached with fewer is not looked at again with more: all that can follow
there can follow here.

What is checked, in the words of docs/SAGA.md:

I1, I2, I3  in every state: no frame that a host sends now, or sent a moment ago, is lost or reaches another tenant
            (``packets.py``). What falls when a host begins to send is I1, when something goes that it needs is I2
I4          in every decider: no generation is given out twice, no late report or repeated request changes anything
I5          from every state, without a further fault or request, an end can be reached: all sagas at rest, and said so
I6          in every state where nothing is under way: what is installed is what is intended
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from ezpath.saga import Phase
from model.broken import Broken
from model.core import Core
from model.decider import Decider, Scenario
from model.packets import Network
from model.parts import NO_REPORT, Deadline, DeciderStep, Parts, TargetStep
from model.targets import Target
from model.writers import Host, Switch

State = int
"""The number of the decider and of each target, side by side in one."""
BITS = 24
MASK = (1 << BITS) - 1


@dataclass
class Explored:
    """What an exploration came to."""

    scenario: str
    faults: int
    states: list[int] = field(default_factory=list)
    """With no fault, with one, …"""
    transitions: int = 0
    depth: int = 0
    ends: int = 0
    parts: str = ""
    seconds: float = 0.0

    def __str__(self) -> str:
        counts = " + ".join(f"{count:,}" for count in self.states)
        return (
            f"{self.scenario}, at most {self.faults} faults: {sum(self.states):,} states ({counts}), "
            f"{self.transitions:,} transitions, depth {self.depth}, {self.ends:,} ends ({self.parts}), "
            f"{self.seconds:.0f} s"
        )


class Explorer:
    """One scenario, to be explored once."""

    def __init__(self, scenario: Scenario, faults: int, switch: Switch | None = None, host: Host | None = None) -> None:
        self.parts = Parts(scenario, _start(scenario, switch or Switch(at_once=True), host or Host(at_once=True)))
        self.explored = Explored(scenario.name, faults)
        self._faults = faults
        self._network = Network(scenario.inventory)
        self._seen: dict[State, int] = {}
        self._states: list[State] = []
        self._parents = array("i")
        self._depths = array("H")
        self._ends: list[int] = []
        self._edges = (array("I"), array("I"))
        self._shifts = [BITS * number for number in range(1, len(self.parts.names) + 1)]
        self._deliver = self.parts.delivered
        self._views: list[dict[int, int]] = [{} for _ in self._shifts]
        self._quiet: list[dict[int, bool]] = [{} for _ in (0, *self._shifts)]
        self._hurry: list[dict[int, tuple[int, int]]] = [{} for _ in self._shifts]
        self._fine: set[tuple[int, ...]] = set()
        self._forget_steps()

    def run(self) -> Explored:
        """Raises :class:`Broken`, with the way that leads there, for the first state in which an invariant falls."""
        began = time.monotonic()
        later: list[dict[State, int]] = [{} for _ in range(self._faults + 1)]
        later[0][sum(number << BITS * place for place, number in enumerate(self.parts.first))] = -1
        for spent in range(self._faults + 1):
            before = len(self._states)
            for state, parent in later[spent].items():
                if state not in self._seen:
                    self._add(state, parent)
            later[spent] = {}
            self._explore(before, self._faults - spent, later[spent:])
            self.explored.states.append(len(self._states) - before)
        self._check_ends()
        self.explored.depth = max(self._depths)
        self.explored.ends = len(self._ends)
        targets = ", ".join(f"{len(numbers.things):,}" for numbers in self.parts.targets)
        self.explored.parts = f"{len(self.parts.deciders.things):,} deciders; {targets} targets"
        self.explored.seconds = time.monotonic() - began
        return self.explored

    # ---- going on -----------------------------------------------------------

    def _explore(self, number: int, left: int, later: list[dict[State, int]]) -> None:
        """All states that can be reached without a further fault; ``later`` gets those with one more, two more, …"""
        self._forget_steps()
        seen, states, (sources, sinks) = self._seen, self._states, self._edges
        while number < len(states):
            successors = self._successors(states[number], left, number)
            self.explored.transitions += len(successors)
            for faults, asked, then in successors:
                found = seen.get(then)
                if faults:
                    if found is None:
                        later[faults].setdefault(then, number)
                    continue
                if found is None:
                    found = self._add(then, number)
                if not asked:
                    sources.append(number)
                    sinks.append(found)
            number += 1

    def _forget_steps(self) -> None:
        """With fewer faults left, less can happen."""
        self._decider_steps: dict[int, tuple[list[DeciderStep], list[Deadline]]] = {}
        self._target_steps: list[dict[int, list[TargetStep]]] = [{} for _ in self._shifts]
        self._first: list[dict[int, bool]] = [{} for _ in self._shifts]

    def _successors(self, state: State, left: int, number: int) -> list[tuple[int, bool, State]]:
        """How many faults it takes, whether somebody asked for it, and the state then."""
        parts, decider = self.parts, state & MASK
        found: list[tuple[int, bool, State]] = []
        targets = [state >> shift & MASK for shift in self._shifts]
        for index, shift in enumerate(self._shifts):
            mine = targets[index]
            steps = self._target_steps[index].get(mine)
            if steps is None:
                steps = self._target_steps[index][mine] = parts.target_steps(index, mine, left)
                self._first[index][mine] = not left and parts.comes_first(index, mine)
            if self._first[index][mine]:
                found.clear()
            for faults, then, report, _ in steps:
                after = state + (then - mine << shift)
                if report != NO_REPORT:
                    after += parts.hear(decider, report) - decider
                found.append((faults, False, after))
            if self._first[index][mine]:
                return found
        for faults, then, mails, asked, _ in self._due(decider, targets, left, number):
            after = then
            for deliver, mine, mail, shift in zip(self._deliver, targets, mails, self._shifts, strict=True):
                given = deliver.get((mine, mail))
                after += (parts.deliver(self._shifts.index(shift), mine, mail) if given is None else given) << shift
            found.append((faults, asked, after))
        return found

    def _due(self, decider: int, targets: list[int], left: int, number: int) -> list[DeciderStep]:
        """What can happen to the decider in this state, deadlines included."""
        known = self._decider_steps.get(decider)
        if known is None:
            try:
                known = self._decider_steps[decider] = self.parts.decider_steps(decider, left)
            except Broken as broken:
                raise self._broken(broken.invariant, broken.what, number) from None
        steps, deadlines = known
        if not deadlines:
            return steps
        soon = piled = 0
        for index, mine in enumerate(targets):
            hurry = self._hurry[index].get(mine)
            if hurry is None:
                hurry = self._hurry[index][mine] = self.parts.hurry(index, mine)
            soon |= hurry[0]
            piled |= hurry[1]
        due = [d.steps for d in deadlines if not d.pair & soon and not (d.asks_again and d.pair & piled)]
        return [*steps, *(step for some in due for step in some)] if due else steps

    # ---- looking at a state -------------------------------------------------

    def _add(self, state: State, parent: int) -> int:
        number = self._seen[state] = len(self._states)
        self._states.append(state)
        self._parents.append(parent)
        self._depths.append(self._depths[parent] + 1 if parent >= 0 else 0)
        key = self._view(state)
        if key not in self._fine:
            self._check_packets(key, number)
            self._fine.add(key)
        if self._is_quiet(state):
            difference = self.parts.difference(state & MASK, (state >> shift & MASK for shift in self._shifts))
            if difference:
                raise self._broken("I6", difference, number)
            self._ends.append(number)
        return number

    def _view(self, state: State) -> tuple[int, ...]:
        key = []
        for index, shift in enumerate(self._shifts):
            mine = state >> shift & MASK
            view = self._views[index].get(mine)
            if view is None:
                view = self._views[index][mine] = self.parts.view(index, mine)
            key.append(view)
        return tuple(key)

    def _check_packets(self, key: tuple[int, ...], number: int) -> None:
        views = {name: self.parts.views.things[view] for name, view in zip(self.parts.names, key, strict=True)}
        for finding in self._network.findings(views):
            before = self._view(self._states[self._parents[number]])
            sent = self.parts.views.things[before[self.parts.names.index(finding.host)]].installed
            begins = finding.rule in views[finding.host].installed and finding.rule not in sent
            raise self._broken("I3" if finding.leak else "I1" if begins else "I2", finding.what, number)

    def _is_quiet(self, state: State) -> bool:
        """Nothing is under way anywhere."""
        for index, known in enumerate(self._quiet):
            mine = state >> BITS * index & MASK
            quiet = known.get(mine)
            if quiet is None:
                quiet = known[mine] = self.parts.is_quiet(index, mine)
            if not quiet:
                return False
        return True

    def ends(self) -> Iterator[tuple[Decider, list[Target]]]:
        """Where it comes to rest."""
        for state in (self._states[number] for number in self._ends):
            targets = zip(self.parts.targets, self._shifts, strict=True)
            yield self.parts.deciders.things[state & MASK], [n.things[state >> shift & MASK] for n, shift in targets]

    # ---- I5 -----------------------------------------------------------------

    def _check_ends(self) -> None:
        """Backwards from all ends: whoever is not met on the way has none."""
        ending = np.zeros(len(self._states), dtype=bool)
        sources, sinks = (np.frombuffer(edge, dtype=np.uint32) for edge in self._edges)
        order = np.argsort(sinks, kind="stable")
        sources = sources[order]
        starts = np.searchsorted(sinks[order], np.arange(len(self._states) + 1))
        front: npt.NDArray[np.int64] = np.array(self._ends, dtype=np.int64)
        while len(front):
            ending[front] = True
            before = np.concatenate([sources[starts[state] : starts[state + 1]] for state in front])
            front = np.unique(before[~ending[before]]).astype(np.int64)
        if not ending.all():
            raise self._broken("I5", "from here no end can be reached", int(np.argmin(ending)))

    # ---- how it came to this ------------------------------------------------

    def _broken(self, invariant: str, what: str, number: int) -> Broken:
        way = []
        while self._parents[number] >= 0:
            parent = self._parents[number]
            way.append(self._label(self._states[parent], self._states[number], parent))
            number = parent
        return Broken(invariant, what, way[::-1])

    def _label(self, before: State, after: State, number: int) -> str:
        decider = before & MASK
        targets = [before >> shift & MASK for shift in self._shifts]
        self._forget_steps()
        for index, shift in enumerate(self._shifts):
            for step in self.parts.target_steps(index, targets[index], self._faults):
                heard = decider if step.report == NO_REPORT else self.parts.hear(decider, step.report)
                if before + (step.then - targets[index] << shift) + heard - decider == after:
                    return step.label
        for turn in self._due(decider, targets, self._faults, number):
            delivered = (
                self.parts.deliver(i, targets[i], mail) << self._shifts[i] for i, mail in enumerate(turn.mails)
            )
            if turn.then + sum(delivered) == after:
                return turn.label
        return "?"


def _start(scenario: Scenario, switch: Switch, host: Host) -> tuple[Decider, list[Target]]:
    """Nothing anywhere; or that to which it comes when the pairs that are to be active were asked for."""
    if not scenario.active:
        return Core(scenario).start(), [switch if name.startswith("switch:") else host for name in scenario.targets]
    asks = tuple((1, 0) if pair in scenario.active else (0, 0) for pair in scenario.pairs)
    before = Explorer(replace(scenario, asks=asks, active=(), after=None), 0, switch, host)
    before.run()
    for decider, targets in before.ends():
        if {saga.pair for saga in decider.sagas if saga and saga.phase is Phase.ACTIVE} == set(scenario.active):
            return replace(decider, asks=scenario.asks), targets
    raise LookupError(f"{scenario.name}: {scenario.active} never came to be active")
