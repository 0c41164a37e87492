"""What flows cost in table entries, and what fits: shared entries once, never more than there is room for."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from ezpath.inventory import Inventory
from ezpath.names import VlanId
from ezpath.saga.plan import sides_of, steps
from ezpath_decider.allowance import FULL_FOR_S, Allowance, BudgetRules
from ezpath_decider.book import NONE, PLACES, TABLES, Book
from ezpath_decider.budgets import FITS, UNLIMITED, Budgets, Room
from ezpath_decider.directory import Directory, directory_of
from ezpath_decider.sim.network import Size, places
from hypothesis import given, settings
from hypothesis import strategies as st

ENDPOINT, TAG = TABLES.index("endpoint"), TABLES.index("tenant_tag")
NO_TAGS = (VlanId(0), VlanId(0))


def key(directory: Directory, pair: str) -> int:
    found = directory.pair_key(pair)  # type: ignore[arg-type]
    assert found is not None
    return found


def keys(directory: Directory, *pairs: str) -> np.ndarray:
    return np.array([key(directory, pair) for pair in pairs], np.uint64)


def test_given_any_pair_then_the_book_says_what_the_sagas_plan_says(inventory: Inventory) -> None:
    directory = directory_of(inventory)
    book = Book(directory)
    meaning: dict[int, frozenset[object]] = {}
    planned_at_all: set[object] = set()
    for one, other in combinations(inventory.endpoints.values(), 2):
        if one.tenant != other.tenant or one.host == other.host:
            continue
        pair = inventory.pair(one, other)
        planned = {
            (target, (item.kind == "tenant-tag" and (item.port, item.vni)) or item.key)  # type: ignore[union-attr]
            for targets in steps(sides_of(pair, NO_TAGS, inventory)).values()
            for target, items in targets.items()
            if target.startswith("switch:")
            for item in items
        }
        (numbers,) = book.entries(keys(directory, pair.id))
        mine = {int(number) for number in numbers if number != NONE}
        assert len(mine) == len(planned), pair.id
        assert {f"switch:{directory.switches[book.switch[n]]}" for n in mine} == {target for target, _ in planned}
        tags = sum(book.table[n] == TAG for n in mine)
        assert tags == sum(isinstance(item[0], int) for _, item in planned)
        for number in mine:
            # a number that two pairs have in common is an entry that their plans have in common
            meaning[number] = meaning.get(number, frozenset(planned)) & planned
            assert meaning[number], f"entry {number} of {pair.id} is none of its plan's"
        planned_at_all |= planned
    assert len(meaning) == len(planned_at_all), "what pairs share is one entry, what they do not is two"


def test_given_pairs_that_share_an_end_then_the_second_costs_less(inventory: Inventory) -> None:
    directory = directory_of(inventory)
    book = Book(directory)
    first, second = book.entries(keys(directory, "red.red-1.red-3", "red.red-1.red-4"))
    new = set(second.tolist()) - set(first.tolist())
    by_switch = sorted(directory.switches[book.switch[number]] for number in new)
    assert by_switch == ["tor1", "tor2", "tor2"], "tag and local endpoint on tor1 are there; tor2 knows red-1 already"


class TestRoom:
    def fits(self, inventory: Inventory, budgets: Budgets, *pairs: str) -> list[bool]:
        directory = directory_of(inventory)
        taken, refused = Room(Book(directory), budgets).fit(keys(directory, *pairs))
        assert ((refused == FITS) == taken).all()
        return taken.tolist()

    def test_given_room_for_one_then_the_first_is_in(self, inventory: Inventory) -> None:
        budgets = Budgets.of(directory_of(inventory), table=2)
        assert self.fits(inventory, budgets, "red.red-1.red-3", "red.red-2.red-4") == [True, False]

    def test_given_entries_that_are_there_already_then_they_cost_nothing(self, inventory: Inventory) -> None:
        budgets = Budgets.of(directory_of(inventory), table=3)
        pairs = ("red.red-1.red-3", "red.red-1.red-4", "red.red-2.red-3")
        assert self.fits(inventory, budgets, *pairs) == [True, True, False]

    def test_given_a_quota_then_it_holds_for_its_tenant_alone(self, inventory: Inventory) -> None:
        directory = directory_of(inventory)
        budgets = Budgets.of(directory)
        budgets.tenants[list(directory.tenants).index("red")] = 2
        assert self.fits(inventory, budgets, "red.red-1.red-3", "blue.blue-1.blue-3") == [False, True]

    def test_given_a_full_peer_then_no_room(self, inventory: Inventory) -> None:
        budgets = Budgets.of(directory_of(inventory))
        budgets.switches[1] = 2
        assert self.fits(inventory, budgets, "red.red-1.red-3", "red.red-1.red-2") == [False, True]

    def test_given_more_held_than_allowed_then_only_what_needs_nothing_new_fits(self, inventory: Inventory) -> None:
        directory = directory_of(inventory)
        room = Room(Book(directory), Budgets.of(directory, table=1))
        room.hold(keys(directory, "red.red-1.red-3", "red.red-2.red-4"))
        taken, _ = room.fit(keys(directory, "red.red-1.red-3", "red.red-1.red-4"))
        assert taken.tolist() == [True, True], "red-4 is known on both ToRs by the other two"
        taken, _ = room.fit(keys(directory, "red.red-5.red-3"))
        assert taken.tolist() == [False]


def holds(book: Book, flows: np.ndarray) -> list[set[int]]:
    return [{int(number) for number in row if number != NONE} for row in book.entries(flows)]


def one_after_the_other(book: Book, budgets: Budgets, flows: np.ndarray) -> list[bool]:
    """The same decision, the plain way."""
    held: set[int] = set()
    taken = []
    for needed in holds(book, flows):
        fits = within(book, budgets, held | needed) or needed <= held
        taken.append(fits)
        held |= needed if fits else set()
    return taken


def within(book: Book, budgets: Budgets, held: set[int]) -> bool:
    switches, tables = budgets.tables.shape
    for switch in range(switches):
        here = [number for number in held if book.switch[number] == switch]
        if len(here) > budgets.switches[switch]:
            return False
        if any(sum(book.table[n] == table for n in here) > budgets.tables[switch, table] for table in range(tables)):
            return False
        for tenant, most in enumerate(budgets.tenants):
            if sum(book.tenant[n] == tenant for n in here) > most:
                return False
    return True


@st.composite
def crowded(draw: st.DrawFn) -> tuple[Directory, np.ndarray, Budgets]:
    """A small data centre, flows in any order, and budgets that do not hold them all."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    size = Size(racks=int(rng.integers(1, 5)), hosts_per_rack=2, containers_per_host=3, tenants=2, spare=0.2)
    directory, _ = places(size, rng)
    one, other = rng.integers(0, len(directory.names), (2, draw(st.integers(1, 60))))
    apart = (directory.host[one] != directory.host[other]) & (directory.tenant[one] == directory.tenant[other])
    low, high = np.minimum(one, other)[apart], np.maximum(one, other)[apart]
    flows = np.unique(low.astype(np.uint64) << np.uint64(32) | high.astype(np.uint64))
    rng.shuffle(flows)
    limits = [draw(st.sampled_from([*range(9), UNLIMITED])) for _ in range(3)]
    return directory, flows, Budgets.of(directory, *limits)


@settings(max_examples=150, deadline=None)
@given(crowded())
def test_given_any_budgets_then_what_is_taken_fits_and_what_is_refused_would_not(
    case: tuple[Directory, np.ndarray, Budgets],
) -> None:
    directory, flows, budgets = case
    book = Book(directory)
    taken, refused = Room(book, budgets).fit(flows)
    held = set().union(*(needed for needed, is_in in zip(holds(book, flows), taken, strict=True) if is_in), set())
    assert within(book, budgets, held)
    for needed, is_in, limit in zip(holds(book, flows), taken, refused, strict=True):
        if is_in:
            assert limit == FITS
        else:
            assert limit != FITS and not needed <= held and not within(book, budgets, held | needed)


@settings(max_examples=100, deadline=None)
@given(crowded())
def test_given_flows_that_share_nothing_then_it_is_one_after_the_other(
    case: tuple[Directory, np.ndarray, Budgets],
) -> None:
    directory, flows, budgets = case
    book = Book(directory)
    apart, seen = [], set()
    for flow, needed in zip(flows, holds(book, flows), strict=True):
        if not needed & seen:
            apart.append(flow)
            seen |= needed
    few = np.array(apart, np.uint64)
    taken, _ = Room(book, budgets).fit(few)
    assert taken.tolist() == one_after_the_other(book, budgets, few)


def test_given_many_flows_then_the_order_holds_across_the_batches_they_are_looked_at_in() -> None:
    directory, _ = places(
        Size(racks=2, hosts_per_rack=200, containers_per_host=100, tenants=1), np.random.default_rng(1)
    )
    left = np.flatnonzero(directory.switch == 0)[:18000].astype(np.uint64)
    right = np.flatnonzero(directory.switch == 1)[:18000].astype(np.uint64)
    flows = np.minimum(left, right) << np.uint64(32) | np.maximum(left, right)
    taken, _ = Room(Book(directory), Budgets.of(directory, table=2 * 17000)).fit(flows)
    assert taken.sum() == 17000 and taken[:17000].all()


class TestAllowance:
    def of(self, inventory: Inventory, **rules: object) -> Allowance:
        return Allowance(directory_of(inventory), BudgetRules(**rules))  # type: ignore[arg-type]

    def endpoint(self, allowance: Allowance, now: float = 0.0) -> list[int]:
        return allowance.budgets(now).tables[:, ENDPOINT].tolist()

    def test_given_nothing_known_of_a_table_then_the_operators_budget_alone_holds(self, inventory: Inventory) -> None:
        budgets = self.of(inventory, entries=7, switches={"tor2": 3}).budgets(0)
        assert budgets.switches.tolist() == [7, 3] and (budgets.tables == UNLIMITED).all()

    def test_given_a_tables_size_then_share_and_reserve_and_what_others_hold_are_taken_off(
        self, inventory: Inventory
    ) -> None:
        allowance = self.of(inventory, share=0.5)
        allowance.report("tor1", "endpoint", size=100, used=30, ours=30)
        assert self.endpoint(allowance) == [50, UNLIMITED]
        allowance.rules = BudgetRules(share=1.0, reserve=20)
        assert self.endpoint(allowance) == [80, UNLIMITED]
        for _ in range(3):
            allowance.report("tor1", "endpoint", size=100, used=60, ours=30)
        assert self.endpoint(allowance) == [70, UNLIMITED]

    def test_given_entries_of_ours_on_their_way_out_then_they_are_not_taken_for_others(
        self, inventory: Inventory
    ) -> None:
        allowance = self.of(inventory)
        for used in (30, 45, 30):
            allowance.report("tor1", "endpoint", size=100, used=used, ours=30)
        assert self.endpoint(allowance) == [100, UNLIMITED]

    def test_given_tables_or_switches_of_nobody_then_they_are_not_listened_to(self, inventory: Inventory) -> None:
        allowance = self.of(inventory)
        allowance.report("tor9", "endpoint", 1, 1, 0)
        allowance.report("tor1", "route", 1, 1, 0)
        assert (allowance.budgets(0).tables == UNLIMITED).all()

    def test_given_a_full_table_then_no_more_than_was_held_and_later_a_few_more_each_time(
        self, inventory: Inventory
    ) -> None:
        allowance = self.of(inventory)
        held = np.array([[10, 2], [5, 1]])
        reason = "switch:tor2: RESOURCE_EXHAUSTED: table EzIngress.tunnel.endpoint is full: 5 entries (INSERT ...)"
        assert allowance.refused(reason, held, now=100)
        allowed = [self.endpoint(allowance, 100 + periods * FULL_FOR_S)[1] for periods in (0, 0.9, 1, 2, 3)]
        assert allowed == [5, 5, 13, 21, 37]
        assert allowance.budgets(100).tables[1, TAG] == UNLIMITED and self.endpoint(allowance, 100)[0] == UNLIMITED

    def test_given_a_table_that_is_full_again_and_again_then_it_is_left_alone_for_longer(
        self, inventory: Inventory
    ) -> None:
        allowance = self.of(inventory)
        held, now, waits = np.zeros((2, 2), int), 0.0, []
        for _ in range(8):
            allowance.refused("switch:tor1: RESOURCE_EXHAUSTED: table endpoint is full", held, now)
            until = now
            while self.endpoint(allowance, until)[0] == 0:
                until += 1
            waits.append(until - now)
            now = until
        assert waits == [30, 60, 120, 240, 480, 600, 600, 600]

    def test_given_a_switch_that_does_not_say_which_table_then_all_are_taken_to_be_full(
        self, inventory: Inventory
    ) -> None:
        allowance = self.of(inventory)
        allowance.refused("switch:tor1: RESOURCE_EXHAUSTED: no space", np.full((2, 2), 3), now=0)
        assert allowance.budgets(0).tables[0].tolist() == [3, 3]

    @pytest.mark.parametrize(
        "reason",
        [
            "deadline: no answer from switch:tor1 in 10.0 s",
            "host:h11: RESOURCE_EXHAUSTED: x",
            "switch:tor9: RESOURCE_EXHAUSTED: x",
        ],
    )
    def test_given_another_reason_then_nothing_is_learned(self, inventory: Inventory, reason: str) -> None:
        allowance = self.of(inventory)
        assert not allowance.refused(reason, np.zeros((2, 2), int), now=0)
        assert (allowance.budgets(0).tables == UNLIMITED).all()

    def test_given_headroom_then_settled_flows_leave_it_free(self, inventory: Inventory) -> None:
        allowance = self.of(inventory, entries=1000, headroom=0.02)
        allowance.report("tor1", "endpoint", size=500, used=0, ours=0)
        settled = allowance.settled(allowance.budgets(0))
        assert settled.switches.tolist() == [980, 980] and settled.tables[0, ENDPOINT] == 490
        assert settled.tables[1, ENDPOINT] > 1 << 39, "no limit stays none"


def test_every_entry_has_a_place(inventory: Inventory) -> None:
    directory = directory_of(inventory)
    assert Book(directory).entries(keys(directory, "red.red-1.red-2")).shape == (1, PLACES)
