"""Every way to match, on the wire: ``programs/matches.p4`` against a search through all entries in Python."""

from __future__ import annotations

import random
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from ezpath_tor.plane import ActionCall, Key, Lpm, PlaneError, Priority, Range, TableFull, Ternary
from packet.asked import (
    ACL,
    ANY,
    ANY_PORT,
    ANY_PREFIX,
    CONSTANT,
    HIT_OR_MISS,
    INITIAL,
    M16,
    M128,
    MASKED,
    MASKED_PREFIX,
    MISS,
    OPTIONALS,
    QUERY,
    Asked,
    Query,
    answer,
    expected,
    near,
    some_key,
)
from packet.calculator import CONFIG, DST, SRC, Calculator, calculator
from packet.frames import ethernet
from packet.wire import Wires

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def running(needs: Callable[..., None]) -> Iterator[Calculator]:
    needs("ip", "clang", "sysctl", root=True)
    ports = {1: "ezt-mt-1", 2: "ezt-mt-2"}
    with Wires(ports, name="match") as wires, calculator(wires, ports, CONFIG.with_name("matches.json")) as up:
        yield up


@pytest.fixture
def asked(running: Calculator) -> Iterator[Asked]:
    asked = Asked(running)
    yield asked
    for table, key in list(asked.entries):
        asked.delete(table, key)


# ---- ternary


def test_the_highest_priority_of_all_that_match_counts(asked: Asked) -> None:
    asked.insert("acl", (ANY, ANY_PORT, ANY_PREFIX, ANY, Priority(1)), answer(1))
    asked.insert("acl", (Ternary(0x1200, 0xFF00), ANY_PORT, ANY_PREFIX, ANY, Priority(10)), answer(2))
    asked.insert("acl", (Ternary(0x1234, M16), ANY_PORT, Lpm(0x0A000000, 8), ANY, Priority(5)), answer(3))
    asked.insert("acl", (ANY, Range(80, 90), ANY_PREFIX, ANY, Priority(20)), answer(4))
    for query, value in (
        (Query(ACL), 1),
        (Query(ACL, a=0x1234, c=0x0A000001), 2),
        (Query(ACL, a=0x1234, b=85, c=0x0A000001), 4),
        (Query(ACL, b=90), 4),
        (Query(ACL, b=91), 1),
    ):
        assert asked.ask(query) == (value, value)


def test_one_match_may_stand_there_with_several_priorities(asked: Asked) -> None:
    match = (Ternary(5, M16), ANY_PORT, ANY_PREFIX, ANY)
    for priority in (3, 9, 6):
        asked.insert("acl", (*match, Priority(priority)), answer(priority))
    assert asked.ask(Query(ACL, a=5)) == (9, 9)
    asked.delete("acl", (*match, Priority(9)))
    assert asked.ask(Query(ACL, a=5)) == (6, 6)
    asked.plane.modify("Ask.acl", (*match, Priority(6)), answer(66))
    asked.plane.modify("Ask.acl", (*match, Priority(3)), answer(33))
    assert asked.ask(Query(ACL, a=5)) == (66, 66)
    asked.delete("acl", (*match, Priority(6)))
    assert asked.ask(Query(ACL, a=5)) == (33, 33)


def test_masks_of_128_bits_reach_both_ends(asked: Asked) -> None:
    asked.insert("acl", (ANY, ANY_PORT, ANY_PREFIX, Ternary(1 << 127 | 1, 1 << 127 | 1), Priority(1)), answer(7))
    assert asked.ask(Query(ACL, w=1 << 127 | 1)) == (7, 7)
    assert asked.ask(Query(ACL, w=M128)) == (7, 7)
    assert asked.ask(Query(ACL, w=1 << 127)) == MISS
    assert asked.ask(Query(ACL, w=1)) == MISS


def test_hit_and_miss_are_told_apart_where_the_action_is_the_same(asked: Asked) -> None:
    asked.insert("hit_or_miss", (Ternary(8, 8), 1, Priority(1)), ActionCall("Ask.nothing"))
    assert asked.ask(Query(HIT_OR_MISS, a=0xF))[0] == 1
    assert asked.ask(Query(HIT_OR_MISS, a=0x7))[0] == 2


@pytest.mark.parametrize("seed", range(3))
def test_random_tables_answer_as_a_search_through_all_entries(asked: Asked, seed: int) -> None:
    source = random.Random(seed)
    entries: dict[Key, int] = {}
    hits = 0
    for round_ in range(6):
        for key in source.sample(sorted(entries, key=str), len(entries) // 3):
            asked.delete("acl", key)
            del entries[key]
        for number in range(12):
            key = some_key(source, 1000 * round_ + number + 1)  # no two alike, so that the answer is one
            entries[key] = source.getrandbits(16)
            asked.insert("acl", key, answer(entries[key]))
        for key in entries:
            query = near(source, key)
            answered = asked.ask(query)
            assert answered == expected(entries, query)
            hits += answered != MISS
    assert hits > 60, "else nothing much was looked up"


def test_as_many_masks_as_entries_are_looked_up_to_the_last(asked: Asked) -> None:
    masks = list(range(1, M16, 77))[:256]
    for number, mask in enumerate(masks):
        asked.insert("acl", (Ternary(mask, mask), ANY_PORT, ANY_PREFIX, ANY, Priority(256 - number)), answer(number))
    with pytest.raises(TableFull, match="room for 256 entries"):
        asked.insert("acl", (ANY, ANY_PORT, ANY_PREFIX, ANY, Priority(1)), answer(1))
    for number in (0, 100, 255):
        first = next(index for index, mask in enumerate(masks) if masks[number] & mask == mask)
        assert asked.ask(Query(ACL, a=masks[number])) == (first, first)
    assert asked.ask(Query(ACL)) == MISS


# ---- the other kinds


def test_optional_fields_match_one_value_or_any(asked: Asked) -> None:
    one, other = Ternary(5, M16), Ternary(6, M16)
    asked.insert("optionals", (one, ANY, OPTIONALS, Priority(1)), answer(1))
    asked.insert("optionals", (one, other, OPTIONALS, Priority(2)), answer(2))
    asked.insert("optionals", (ANY, ANY, 99, Priority(9)), answer(9))
    assert asked.ask(Query(OPTIONALS, a=5, b=1))[0] == 1
    assert asked.ask(Query(OPTIONALS, a=5, b=6))[0] == 2
    assert asked.ask(Query(OPTIONALS, a=4, b=6))[0] == 0


@pytest.mark.parametrize(
    ("a", "b", "value"),
    [(0x1234, 5, 1), (0x1234, 9, 1), (0x1234, 10, 2), (0x12FF, 7, 2), (0x1300, 7, 4), (0x1300, 8, 0)],
)
def test_of_constant_entries_the_first_that_matches_counts(asked: Asked, a: int, b: int, value: int) -> None:
    assert asked.ask(Query(CONSTANT, a=a, b=b)) == (value, value)


def test_entries_that_the_program_brings_can_be_changed_where_they_are_not_constant(asked: Asked) -> None:
    assert [asked.ask(Query(INITIAL, a=a))[0] for a in (1, 2, 3)] == [11, 22, 0]
    asked.plane.modify("Ask.initial", (1,), answer(111))
    asked.plane.delete("Ask.initial", (2,))
    asked.plane.insert("Ask.initial", (3,), answer(33))
    assert [asked.ask(Query(INITIAL, a=a))[0] for a in (1, 2, 3)] == [111, 0, 33]
    # p4c gives such a table room for as many entries as it comes with, whatever its size says
    with pytest.raises(TableFull, match="room for 2 entries"):
        asked.plane.insert("Ask.initial", (4,), answer(44))


def test_a_mask_in_the_key_takes_away_what_is_outside_it(asked: Asked) -> None:
    asked.insert("masked", (0x0230, 0xAB << 72 | 1), answer(1))
    assert asked.ask(Query(MASKED, a=0x1234, w=0xAB << 72 | 0xFFF1))[0] == 1
    assert asked.ask(Query(MASKED, a=0x1244, w=0xAB << 72 | 1))[0] == 0
    assert asked.ask(Query(MASKED, a=0x1234, w=0xAB << 72))[0] == 0


def test_the_same_beside_a_prefix(asked: Asked) -> None:
    asked.insert("masked_prefix", (0x0230, Lpm(0x0A000000, 8)), answer(1))
    assert asked.ask(Query(MASKED_PREFIX, a=0xF23F, c=0x0A010101))[0] == 1
    assert asked.ask(Query(MASKED_PREFIX, a=0xF24F, c=0x0A010101))[0] == 0


# ---- direct counters


def test_each_entry_counts_the_packets_and_bytes_that_hit_it(asked: Asked) -> None:
    one = (Ternary(1, M16), ANY_PORT, ANY_PREFIX, ANY, Priority(1))
    other = (ANY, Range(7, 7), ANY_PREFIX, ANY, Priority(5))
    asked.insert("acl", one, answer(1))
    asked.insert("acl", other, answer(2))
    length = 14 + 25 + 4
    for query in (Query(ACL, a=1), Query(ACL, a=1), Query(ACL, a=1, b=7), Query(ACL, a=3)):
        asked.ask(query)
    asked.ask(Query(ACL, a=1), behind=bytes(100))
    assert asked.plane.read_hits("Ask.acl", one) == (3, 3 * length + 100)
    assert asked.plane.read_hits("Ask.acl", other) == (1, length)
    # and go on after a change of the action, and start again with the entry
    asked.plane.modify("Ask.acl", one, answer(9))
    asked.ask(Query(ACL, a=1))
    assert asked.plane.read_hits("Ask.acl", one)[0] == 4
    asked.plane.write_hits("Ask.acl", one, 100, 1000)
    asked.ask(Query(ACL, a=1))
    assert asked.plane.read_hits("Ask.acl", one) == (101, 1000 + length)
    asked.delete("acl", one)
    asked.insert("acl", one, answer(1))
    assert asked.plane.read_hits("Ask.acl", one) == (0, 0)


def test_exact_tables_have_them_too_and_no_more_cells_than_entries(asked: Asked) -> None:
    for round_ in range(3):
        keys: list[Key] = [(number << 4, round_) for number in range(16)]
        for key in keys:
            asked.insert("masked", key, answer(round_))
        asked.ask(Query(MASKED, a=3 << 4, w=round_ & 1))
        found = [asked.plane.read_hits("Ask.masked", key)[0] for key in keys]
        assert found == [int(number == 3 and round_ < 2) for number in range(16)]
        for key in keys:
            asked.delete("masked", key)


def test_what_is_not_there_has_not_counted(asked: Asked) -> None:
    with pytest.raises(PlaneError, match="has no entry"):
        asked.plane.read_hits("Ask.acl", (ANY, ANY_PORT, ANY_PREFIX, ANY, Priority(1)))
    with pytest.raises(PlaneError, match="has no direct counter"):
        asked.plane.read_hits("Ask.optionals", (ANY, ANY, 1, Priority(1)))


# ---- writes while packets pass


def test_no_packet_sees_half_a_write(asked: Asked) -> None:
    """A thread changes the table as fast as it can, in ways that leave the same few answers right at any moment."""
    everything = (ANY, ANY_PORT, ANY_PREFIX, ANY)
    asked.insert("acl", (*everything, Priority(1)), answer(1, 1))
    # In front of it, masks enough to make a lookup long: most of them meet a write.
    for number in range(200):
        mask = number + 1 << 5
        asked.insert("acl", (ANY, ANY_PORT, ANY_PREFIX, Ternary(mask, mask), Priority(2 + number)), answer(8, 8))
    stop = threading.Event()
    failures: list[BaseException] = []
    writes = 0

    def churn() -> None:
        nonlocal writes
        source = random.Random(1)
        try:
            while not stop.is_set():
                # an entry with a mask of its own above the first, its action changed, its ranges cut anew, gone again
                key = (Ternary(0x0100, 0x0F00), Range(1, source.randint(2, 4000)), ANY_PREFIX, ANY, Priority(900))
                other = (Ternary(0x8000, 0x8000 | source.getrandbits(8)), ANY_PORT, ANY_PREFIX, ANY, Priority(500))
                asked.plane.insert("Ask.acl", other, answer(7, 7))
                asked.plane.insert("Ask.acl", key, answer(2, 2))
                asked.plane.modify("Ask.acl", key, answer(3, 3))
                asked.plane.delete("Ask.acl", other)
                asked.plane.delete("Ask.acl", key)
                writes += 5
        except BaseException as error:  # noqa: BLE001 - shown in the test
            failures.append(error)

    thread = threading.Thread(target=churn)
    thread.start()
    seen: set[tuple[int, int]] = set()
    try:
        # On a machine that has much else to do it takes longer until enough was written.
        least, most = time.monotonic() + 3, time.monotonic() + 60
        while not failures and time.monotonic() < (least if writes > 500 else most):
            seen |= answers_to(asked, Query(ACL, a=0x0100, b=2), 200)
    finally:
        stop.set()
        thread.join()
    assert failures == []
    assert writes > 500
    assert seen <= {(1, 1), (2, 2), (3, 3)} and len(seen) > 1


def answers_to(asked: Asked, query: Query, count: int) -> set[tuple[int, int]]:
    """The answers to one query, asked many times in a row."""
    wires, frame = asked.running.wires, ethernet(DST, SRC, QUERY, query.pack() + bytes(4))
    found = set()
    for _ in range(count):
        wires.far[1].send(frame)
    for _ in range(count):
        received = wires.far[2].receive(5)
        assert received is not None
        found.add(struct.unpack_from("!HH", received.data, 14 + len(query.pack())))
    return found
