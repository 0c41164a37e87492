"""The saga's table: complete, free of contradiction, and what docs/SAGA.md says."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import pytest
from ezpath.inventory import Inventory
from ezpath.names import PairId, VlanId
from ezpath.saga import Phase, Saga, Settings, World, desired, saga_from_json, saga_to_json
from ezpath.saga.diagram import PARTS, in_step
from ezpath.saga.phases import _ROWS, AT_REST, ENDED, HOLDS, INSTALLS, REMOVES, TABLE, TAKES_OFF, On
from ezpath.saga.picture import picture
from ezpath.saga.plan import steps
from ezpath.saga.pmap import PMap
from ezpath.saga.turn import Turn
from saga_support import run_to_active

PAGE = Path(__file__).parents[2] / "docs" / "SAGA.md"
RED = PairId("red.red-1.red-3")


def in_phase(inventory: Inventory, phase: Phase) -> tuple[World, Saga]:
    world = run_to_active(inventory, RED)
    saga = replace(world.sagas[RED], phase=phase, sides=None if phase in ENDED else world.sagas[RED].sides)
    return world.with_saga(saga), saga


class TestTable:
    def test_given_all_rows_then_none_contradicts_another(self) -> None:
        count = sum((1 if isinstance(phases, Phase) else len(phases)) * len(events) for phases, events, _, _ in _ROWS)
        assert count == len(TABLE)

    @pytest.mark.parametrize(("phase", "on"), list(itertools.product(Phase, On)))
    def test_given_what_is_not_in_the_table_then_nothing_changes(
        self, inventory: Inventory, phase: Phase, on: On
    ) -> None:
        world, saga = in_phase(inventory, phase)
        turn = Turn(world, 0.0, inventory, Settings())
        turn.happen(saga, on, "whatever")
        after, effects = turn.result()
        if (phase, on) in TABLE:
            assert effects
        else:
            assert after is world and not effects

    def test_given_any_phase_then_a_start_leads_on_and_an_end_can_be_reached(self) -> None:
        leads_to = {phase: {move.then for (start, _), move in TABLE.items() if start is phase} for phase in Phase}
        for phase in Phase:
            assert phase is Phase.REQUESTED or (phase, On.RESUMED) in TABLE
            reached = {phase}
            while more := set().union(*(leads_to[each] for each in reached)) - reached:
                reached |= more
            assert reached & ENDED, f"no way from {phase} to an end"

    def test_given_the_way_there_then_every_phase_of_it_has_a_way_back_for_every_trouble(self) -> None:
        for phase, on in itertools.product(INSTALLS, (On.FAILED, On.DEADLINE, On.REVERT)):
            assert TABLE[(phase, on)].then in REMOVES
        for phase in REMOVES:
            assert TABLE[(phase, On.DEADLINE)].then is phase, "the way back is not given up"

    def test_given_any_move_then_what_is_let_go_is_what_is_taken_off(self) -> None:
        for (phase, _), move in TABLE.items():
            let_go = set(HOLDS[phase]) - set(HOLDS[move.then])
            assert let_go == set(TAKES_OFF.get(move.then, ())) & set(HOLDS[phase]), f"{phase} to {move.then}"
        assert set(HOLDS) == set(Phase)
        assert not any(HOLDS[phase] for phase in AT_REST if phase is not Phase.ACTIVE)


class TestPage:
    def test_given_the_page_then_its_generated_parts_are_what_the_table_says(self) -> None:
        page = PAGE.read_text()
        assert all(f"<!-- {part}, generated -->" in page for part in PARTS)
        assert page == in_step(page), "run `make saga-doc` and commit docs/SAGA.md"
        drawn = (PAGE.parent / "img/saga.svg").read_text()
        assert drawn == picture(), "run `make saga-doc` and commit docs/img/saga.svg"

    def test_given_another_table_then_the_page_would_not_be_in_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(TABLE, (Phase.DRAIN, On.DEADLINE))  # type: ignore[arg-type]
        assert PAGE.read_text() != in_step(PAGE.read_text())


class TestPlan:
    def test_given_a_pair_over_two_racks_then_its_plan_names_each_target_it_needs(self, inventory: Inventory) -> None:
        saga = run_to_active(inventory, RED).sagas[RED]
        assert saga.sides is not None and saga.vids == (VlanId(100), VlanId(100))
        assert {phase: sorted(targets) for phase, targets in steps(saga.sides).items()} == {
            Phase.SWITCH_RECEIVE: ["switch:tor1", "switch:tor2"],
            Phase.SWITCH_SEND: ["switch:tor1", "switch:tor2"],
            Phase.HOST_RECEIVE: ["host:h11", "host:h21"],
            Phase.HOST_SEND: ["host:h11", "host:h21"],
        }

    @pytest.mark.parametrize("phase", Phase)
    def test_given_any_phase_then_the_record_alone_says_what_is_desired(
        self, inventory: Inventory, phase: Phase
    ) -> None:
        world, saga = in_phase(inventory, phase)
        again = World().with_saga(saga_from_json(saga_to_json(saga), inventory))
        assert desired(again, inventory) == desired(world, inventory)
        assert json.loads(saga_to_json(saga))["phase"] == phase.value


class TestPMap:
    def test_given_changes_then_the_old_one_is_as_it_was(self) -> None:
        empty: PMap[str, int] = PMap()
        one = empty.put("a", 1)
        two = one.put("b", 2).put("a", 3)
        assert (dict(empty), dict(one), dict(two)) == ({}, {"a": 1}, {"a": 3, "b": 2})
        assert dict(two.without("a").without("nobody")) == {"b": 2} and len(two) == 2 and len(two.without("a")) == 1
        assert two == PMap([("b", 2), ("a", 3)]) and "a" in two and two.get("c") is None and two.get("c", 7) == 7
        with pytest.raises(KeyError):
            two["c"]

    def test_given_an_older_one_then_it_names_the_keys_that_are_not_as_they_were(self) -> None:
        before: PMap[str, int] = PMap((f"red.a-{n}.b-{n}", n) for n in range(500))
        after = before.put("red.new.pair", 1).put("red.a-7.b-7", 70).without("red.a-8.b-8").put("red.a-9.b-9", 0)
        assert after.changed_since(before) == {"red.new.pair", "red.a-7.b-7", "red.a-8.b-8", "red.a-9.b-9"}
        assert before.changed_since(before) == set() and PMap().changed_since(PMap()) == set()

    def test_given_thousands_then_it_is_a_mapping_like_any_other(self) -> None:
        plain = {f"red.a-{n}.b-{n}": n for n in range(3000)}
        assert sorted(PMap(plain.items()).values()) == sorted(plain.values())
        assert dict(PMap(plain.items()).items()) == plain and ("red.a-1.b-1", 1) in PMap(plain.items()).items()
        assert dict(PMap(plain.items())) == plain and list(PMap(plain.items())) == list(PMap(plain.items()))
