"""Who ought to have what: even, near, everything once, and no more moves than there have to be."""

from __future__ import annotations

from collections import Counter

from ezpath.leases.sharing import Who, eligible, share
from hypothesis import given
from hypothesis import strategies as st

THINGS = st.dictionaries(st.integers(0, 60).map("tor{}".format), st.sampled_from(["r1", "r2", "r3", ""]), max_size=40)
MEMBERS = st.dictionaries(
    st.sampled_from("abcdefg"), st.sampled_from(["r1", "r2", "r4", ""]).map(Who), min_size=1, max_size=6
)
ANYWHERE = st.sets(st.sampled_from("abcdefgh"), min_size=2, max_size=7)


def shared(things: dict[str, str], members: dict[str, Who], holders: dict[str, str] | None = None) -> dict[str, str]:
    return share(eligible(things, members), holders or {})


def moved(before: dict[str, str], after: dict[str, str]) -> int:
    return sum(after[thing] != holder for thing, holder in before.items())


def loads(owners: dict[str, str], members: set[str] | dict[str, Who]) -> list[int]:
    counts = Counter(owners.values())
    return [counts[name] for name in members]


@given(THINGS, MEMBERS, st.dictionaries(st.integers(0, 60).map("tor{}".format), st.sampled_from("abcdefgxyz")))
def test_each_thing_has_one_owner_who_is_near_where_anybody_is(things, members, holders) -> None:
    owners = shared(things, members, holders)
    assert owners.keys() == things.keys()
    for thing, owner in owners.items():
        near = {name for name, who in members.items() if who.rack and who.rack == things[thing]}
        assert owner in (near or members)


@given(THINGS, MEMBERS, st.dictionaries(st.integers(0, 60).map("tor{}".format), st.sampled_from("abcdefg")))
def test_nobody_has_two_more_than_another_who_may_have_it(things, members, holders) -> None:
    may = eligible(things, members)
    owners = share(may, holders)
    counts = Counter(owners.values())
    for thing, owner in owners.items():
        assert all(counts[owner] - counts[name] <= 1 for name in may[thing]), (thing, owner, counts)


@given(THINGS, MEMBERS, st.dictionaries(st.integers(0, 60).map("tor{}".format), st.sampled_from("abcdefgxyz")))
def test_doing_what_it_says_and_asking_again_changes_nothing(things, members, holders) -> None:
    owners = shared(things, members, holders)
    assert shared(things, members, owners) == owners


@given(st.integers(0, 80), ANYWHERE)
def test_one_that_joins_gets_its_part_and_nothing_else_moves(count, names) -> None:
    things = {f"tor{number}": "" for number in range(count)}
    *there, joins = sorted(names)
    before = shared(things, dict.fromkeys(there, Who()))
    after = shared(things, dict.fromkeys(names, Who()), before)
    assert moved(before, after) == count // len(names)
    assert all(owner == joins for thing, owner in after.items() if before[thing] != owner)


@given(st.integers(0, 80), ANYWHERE)
def test_of_one_that_goes_only_what_it_had_moves(count, names) -> None:
    things = {f"tor{number}": "" for number in range(count)}
    goes, *stay = sorted(names)
    before = shared(things, dict.fromkeys(names, Who()))
    after = shared(things, dict.fromkeys(stay, Who()), before)
    assert all(after[thing] == owner for thing, owner in before.items() if owner != goes)
    assert max(loads(after, set(stay))) - min(loads(after, set(stay))) <= 1


@given(st.dictionaries(st.integers(0, 60).map("tor{}".format), st.sampled_from("abcdxy"), max_size=40), ANYWHERE)
def test_from_whatever_there_was_it_comes_level_with_as_few_moves_as_possible(holders, names) -> None:
    # the fewest: those that have no owner any more, and what somebody has above the level, the level being as kind
    # to those who have most as evenness allows
    owners = shared(dict.fromkeys(holders, ""), dict.fromkeys(names, Who()), holders)
    level, above = divmod(len(holders), len(names))
    have = sorted((Counter(holders.values())[name] for name in names), reverse=True)
    kept = sum(min(count, level + (place < above)) for place, count in enumerate(have))
    assert moved(holders, owners) == len(holders) - kept


def test_those_who_have_none_near_share_what_nobody_is_near_to_with_those_who_have_less() -> None:
    things = {"near1": "r1", "near2": "r1", "far1": "r2", "far2": "r2", "far3": "r3", "far4": ""}
    owners = shared(things, {"a": Who("r1"), "b": Who(), "c": Who("r9")})
    assert owners["near1"] == owners["near2"] == "a"
    assert Counter(owners.values()) == {"a": 2, "b": 2, "c": 2}


def test_one_that_may_have_some_things_only_gets_no_other() -> None:
    may = eligible(dict.fromkeys("pqr", ""), {"a": Who(only=frozenset("p")), "b": Who()}, {("r", "b")})
    assert may == {"p": {"a", "b"}, "q": {"b"}, "r": frozenset()}
    assert share(may, {}) == {"p": "a", "q": "b"}
