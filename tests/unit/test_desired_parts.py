"""A desired document in pieces: a change costs what changes, and no reader ever takes half of it for the whole."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from unittest.mock import patch

import pytest
from ezpath.desired import (
    Assembly,
    Filing,
    Piece,
    item_to_json,
    key_of,
    keys_of,
    place_of,
    switch_from_json,
    texts_from_json,
)
from ezpath.desired import filing as filing_module
from ezpath.desired.filing import HEAD_MOST, PART_MOST
from ezpath.items import EndpointLocal, SwitchItem
from ezpath.names import Port, VlanId, Vni, mac_from_int
from hypothesis import given, settings
from hypothesis import strategies as st

TARGET = "switch:tor1"


def item(number: int) -> SwitchItem:
    return EndpointLocal(Vni(5001), mac_from_int(number), Port(1), VlanId(100))


def texts(numbers: Iterable[int]) -> list[str]:
    return [item_to_json(item(number)) for number in numbers]


@dataclass
class Store:
    """KV as it is, and its history."""

    values: dict[str, bytes] = field(default_factory=dict)
    history: list[tuple[str, bytes]] = field(default_factory=list)

    def write(self, pieces: Mapping[str, bytes]) -> None:
        self.values |= pieces
        self.history += pieces.items()

    def found(self, shard: int = 0) -> Filing:
        places = {place_of(key): texts_from_json(value) for key, value in self.values.items()}
        return Filing.found(TARGET, shard, {place.part: piece for place, piece in places.items()})


def read(pieces: Iterable[tuple[str, bytes]]) -> Assembly[SwitchItem]:
    reader = Assembly[SwitchItem]()
    for key, value in pieces:
        reader.enter(place_of(key).part, switch_from_json(value))
    return reader


def whole(store: Store) -> Assembly[SwitchItem]:
    return read(sorted(store.values.items(), key=lambda entry: -entry[0].count(".")))


# ---- what it costs -------------------------------------------------------------------


def test_given_more_than_20_000_items_then_each_piece_fits_a_message_and_one_change_writes_two_of_them() -> None:
    filing, store = Filing(TARGET, 0), Store()
    # Given 25,000 items that came a few at a time
    for generation, start in enumerate(range(0, 25_000, 50), 1):
        store.write(filing.change(generation, texts(range(start, start + 50)), ()))
    assert max(map(len, store.values.values())) < 32_768, "NATS takes a million bytes"
    document = whole(store).document
    assert document is not None and document.items == {item(number) for number in range(25_000)}
    # When one comes, and another one goes that has been there for long
    comes, goes = filing.change(501, texts([25_000]), ()), filing.change(502, (), texts([7]))
    # Then that many bytes are written, of two million and a half
    assert list(comes) == ["switch.tor1"] and len(goes) == 2
    assert sum(map(len, comes.values())) < 16_384 and sum(map(len, goes.values())) < 32_768
    assert sum(map(len, store.values.values())) > 2_000_000


def test_given_a_few_items_then_there_is_one_key_as_people_read_it() -> None:
    (entry,) = Filing(TARGET, 2).change(7, texts(range(2)), ()).items()
    assert entry[0] == "switch.tor1.2"
    assert json.loads(entry[1]) == {"generation": 7, "items": [json.loads(text) for text in texts(range(2))]}


def test_given_items_that_come_and_go_for_long_then_parts_are_used_again() -> None:
    filing, chance, there = Filing(TARGET, 0), random.Random(1), set(range(1000))
    store, fresh = Store(), iter(range(1000, 10**6))
    store.write(filing.to(1, texts(there)))
    for generation in range(2, 1000):
        gone = chance.sample(sorted(there), 20)
        new = [next(fresh) for _ in gone]
        there = there.difference(gone).union(new)
        store.write(filing.change(generation, texts(new), texts(gone)))
    assert len(store.values) < 2 * 1000 // (PART_MOST - HEAD_MOST)
    document = whole(store).document
    assert document is not None and document.items == {item(number) for number in there}


@pytest.mark.parametrize("key", ["switch", "switch.tor1.x", "switch.tor1.1.2.3", "switch.tor1.1.x"])
def test_given_another_key_then_it_is_none_of_them(key: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        place_of(key)
    assert all(place_of(key_of(TARGET, shard, part)) == (shard, part) for shard in (0, 3) for part in (None, 0, 17))
    assert keys_of(TARGET) == ("switch.tor1", "switch.tor1.>")


# ---- what a reader sees ----------------------------------------------------------------

small = patch.multiple(filing_module, HEAD_MOST=4, PART_MOST=8)
"""Pieces of a few items: a few changes take them through all that can happen to them."""


@dataclass
class Change:
    """One batch: what was wanted before it, what is wanted after it, and what it writes."""

    before: frozenset[int]
    after: frozenset[int]
    pieces: list[tuple[str, bytes]]


def changes(filing: Filing, chance: random.Random, count: int) -> Iterator[Change]:
    """Bursts that overflow the head, and removals all over the place; the first 5 numbers stay wanted for ever."""
    wanted = frozenset(range(5))
    yield Change(frozenset(), wanted, list(filing.to(1, texts(wanted)).items()))
    for generation in range(2, count + 2):
        gone = frozenset(chance.sample(sorted(wanted - set(range(5))), min(len(wanted) - 5, chance.randrange(6))))
        new = frozenset(chance.sample(range(5, 60), chance.choice((1, 3, 20)))) - gone
        after = (wanted - gone) | new
        pieces = filing.change(generation, texts(sorted(after & new)), texts(sorted(gone)))
        yield Change(wanted, after, list(pieces.items()))
        wanted = after


@small
@given(st.randoms(use_true_random=False), st.integers(1, 12))
@settings(max_examples=100, deadline=None)
def test_given_a_reader_anywhere_in_the_middle_then_it_misses_nothing_that_is_wanted_all_along(
    chance: random.Random, count: int
) -> None:
    # Given one that follows heads and parts by two subscriptions, each as late as it likes
    reader, waiting = Assembly[SwitchItem](), ([], [])  # type: ignore[var-annotated]
    history: list[Change] = []
    seen = [0, 0]
    for change in changes(Filing(TARGET, 0), chance, count):
        history.append(change)
        for key, value in change.pieces:
            waiting[place_of(key).part is None].append((len(history), key, value))
            while chance.random() < 0.6 and any(waiting):
                mine = chance.choice([queue for queue in waiting if queue])
                number, key, value = mine.pop(0)
                seen[mine is waiting[1]] = number
                reader.enter(place_of(key).part, switch_from_json(value))
                # Then what it believes lacks nothing that was wanted since the time that it says
                document = reader.document
                if document is not None:
                    assert document.generation <= len(history)
                    since = [each.after for each in history[document.generation - 1 :]]
                    kept = frozenset.intersection(*since)
                    assert {item(number) for number in kept} <= document.items
    # And in the end it has all of it
    for queue in waiting:
        for _, key, value in queue:
            reader.enter(place_of(key).part, switch_from_json(value))
    assert reader.whole and reader.document is not None
    assert reader.document.items == {item(number) for number in history[-1].after}
    assert reader.document.generation == len(history)


def test_given_a_part_that_is_missing_or_old_then_the_head_is_not_believed() -> None:
    filing, store = Filing(TARGET, 0), Store()
    store.write(filing.to(1, texts(range(500))))
    old = dict(store.values)
    store.write(filing.change(2, (), texts([7])))
    (changed,) = (key for key, value in store.values.items() if old[key] != value and key != "switch.tor1")
    for there in ({**store.values, changed: old[changed]}, {k: v for k, v in store.values.items() if k != changed}):
        reader = read(sorted(there.items()))
        assert reader.document is None and not reader.whole and reader.missing == [place_of(changed).part]
    reader.enter(place_of(changed).part, switch_from_json(store.values[changed]))
    assert reader.whole and reader.document is not None and len(reader.document.items) == 499


def test_given_a_store_that_began_anew_then_nothing_of_the_life_before_is_left() -> None:
    filing, store = Filing(TARGET, 0), Store()
    store.write(filing.to(900, texts(range(500))))
    reader = whole(store)
    for key, value in Filing(TARGET, 0).to(3, texts(range(1000, 1200))).items():
        reader.enter(place_of(key).part, switch_from_json(value))
    assert reader.document is not None and reader.document.generation == 3
    assert reader.document.items == {item(number) for number in range(1000, 1200)}


def test_given_a_head_that_was_removed_then_whoever_has_its_document_keeps_it() -> None:
    reader = whole_of(range(200))
    kept = reader.document
    reader.remove(None)
    assert reader.document is None and kept is not None and len(kept.items) == 200
    reader.enter(None, Piece(9, frozenset({item(1)})))
    assert reader.document is not None and reader.document.items == {item(1)}


def whole_of(numbers: Iterable[int]) -> Assembly[SwitchItem]:
    store = Store()
    store.write(Filing(TARGET, 0).to(1, texts(numbers)))
    return whole(store)


# ---- who takes over ---------------------------------------------------------------------


@small
@given(st.randoms(use_true_random=False), st.integers(1, 6), st.floats(0, 1))
@settings(max_examples=100, deadline=None)
def test_given_a_decider_that_died_between_two_pieces_then_its_successor_brings_it_to_what_is_wanted(
    chance: random.Random, count: int, cut: float
) -> None:
    store = Store()
    *done, last = changes(Filing(TARGET, 0), chance, count)
    for change in done:
        store.write(dict(change.pieces))
    store.write(dict(last.pieces[: round(cut * len(last.pieces))]))
    if chance.random() < 0.3 and len(store.values) > 1:
        del store.values[chance.choice(sorted(set(store.values) - {"switch.tor1"}) or ["switch.tor1"])]
    # When another one finds that, and wants what the records say
    kept = {item(number) for number in last.before & last.after}
    reader = read(sorted(store.values.items(), key=lambda entry: -entry[0].count(".")))
    pieces = store.found().to(100, texts(sorted(last.after)))
    for key, value in pieces.items():
        reader.enter(place_of(key).part, switch_from_json(value))
        if reader.document is not None and reader.whole and reader.document.generation > 1:
            assert kept <= reader.document.items, "nothing that is wanted was missing on the way"
    store.write(pieces)
    for document in (reader.document, whole(store).document):
        assert document is not None and document.generation == 100
        assert document.items == {item(number) for number in last.after}


def test_given_a_document_of_one_piece_with_thousands_of_items_then_the_next_change_divides_it() -> None:
    head = json.dumps({"generation": 5, "items": [json.loads(text) for text in texts(range(5000))]}).encode()
    store = Store({"switch.tor1": head})
    store.write(store.found().change(6, texts([5000]), ()))
    assert max(map(len, store.values.values())) < 32_768
    document = whole(store).document
    assert document is not None and len(document.items) == 5001


def test_given_a_store_that_lost_all_then_every_piece_is_written_where_it_was() -> None:
    filing, store = Filing(TARGET, 0), Store()
    store.write(filing.to(1, texts(range(500))))
    filing.lost()
    again = filing.to(2, texts(range(500)))
    assert again.keys() == store.values.keys()
    for key, value in again.items():
        assert texts_from_json(value).items == texts_from_json(store.values[key]).items
