"""Who has what, as one member sees it: leases that are renewed, left, lost, shared out. Shown on deciders' shards."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from ezpath.leases import DECIDERS, Leases, Member, Timing
from ezpath.leases.leases import PASSED_OVER_S
from hypothesis import given, settings
from hypothesis import strategies as st

BEAT_S, TTL_S = Timing().beat_s, Timing().ttl_s


class Bucket:
    """What NATS keeps, with revisions; and deciders that look at it, each with a clock of its own."""

    def __init__(self, shards: int | dict[str, str], *names: str) -> None:
        things = {str(number): "" for number in range(shards)} if isinstance(shards, int) else shards
        self.kept: dict[str, tuple[bytes, int]] = {}
        self.revision = 0
        self.now = 100.0
        self.things = things
        self.deciders: dict[str, Leases] = {}
        self.epochs: dict[str, int] = {}
        for name in names:
            self.join(name)

    def join(self, name: str, rack: str = "", *only: str, process: str = "", **options: Any) -> None:
        member = Member(process, rack, only)
        self.deciders[name] = Leases(name, self.things, DECIDERS, member=member, **options)

    def beat(self, *names: str, seconds: float = BEAT_S) -> None:
        """Time passes, and these of the deciders (all, where none is named) look and write, one after the other."""
        self.now += seconds
        for name in names or self.deciders:
            self.writes(name, self.now)

    def writes(self, name: str, now: float, *, only_renewals: bool = False) -> None:
        decider = self.deciders[name]
        for write in decider.look(dict(self.kept), now):
            if only_renewals and write.thing is not None:
                continue
            kept = self.kept.get(write.key)
            if write.value is None:
                self.kept.pop(write.key, None)
            elif (kept[1] if kept else None) != write.revision:
                continue
            else:
                self.revision += 1
                self.kept[write.key] = (write.value, self.revision)
                self.check_epoch(write.key, write.value)
            decider.written(write, self.revision, now)

    def check_epoch(self, key: str, value: bytes) -> None:
        """Whoever takes a lease does so in a later epoch than anybody before."""
        if key.startswith("shard."):
            thing, lease = key.partition(".")[2], json.loads(value)
            assert lease["epoch"] >= self.epochs.get(thing, 0)
            self.epochs[thing] = lease["epoch"]

    def holders(self) -> list[str]:
        return [
            json.loads(self.kept[f"shard.{thing}"][0])["holder"] if f"shard.{thing}" in self.kept else ""
            for thing in self.things
        ]

    def led(self) -> Counter[str]:
        return Counter(self.holders())


def test_given_nobody_then_the_first_leads_all_at_once() -> None:
    bucket = Bucket(3, "a")
    bucket.beat()
    assert bucket.holders() == ["a"] * 3
    assert bucket.deciders["a"].held == {"0": 1, "1": 1, "2": 1}


def test_given_a_leader_that_renews_then_nobody_takes_its_lease() -> None:
    bucket = Bucket(1, "a", "b")
    for _ in range(20):
        bucket.beat()
    assert bucket.holders() == ["a"] and bucket.deciders["a"].held == {"0": 1} and not bucket.deciders["b"].held


def test_given_a_leader_that_is_silent_then_another_leads_after_the_lease_and_in_a_later_epoch() -> None:
    bucket = Bucket(1, "a", "b")
    bucket.beat()
    beats = 0
    while bucket.holders() == ["a"]:
        bucket.beat("b")
        beats += 1
    assert TTL_S <= beats * BEAT_S <= TTL_S + 2 * BEAT_S
    assert bucket.deciders["b"].held == {"0": 2}
    # and when the first one looks again, it knows that it leads no longer
    bucket.beat("a")
    assert not bucket.deciders["a"].held and bucket.holders() == ["b"]


def test_given_a_leader_that_leaves_then_another_leads_at_the_next_beat() -> None:
    bucket = Bucket(1, "a", "b")
    bucket.beat()
    bucket.beat()
    leaving = bucket.deciders.pop("a")
    for write in leaving.farewell():
        if write.value is None:
            bucket.kept.pop(write.key)
        else:
            bucket.revision += 1
            bucket.kept[write.key] = (write.value, bucket.revision)
    bucket.beat("b")
    assert bucket.holders() == ["b"]


def test_given_a_process_of_this_machine_that_has_ended_then_nobody_waits_for_its_lease() -> None:
    bucket = Bucket(1)
    ended: set[str] = set()
    for name in ("a", "b"):
        bucket.join(name, process=f"process-{name}", is_gone=ended.__contains__)
    bucket.beat()
    ended.add("process-a")
    bucket.beat("b")
    assert bucket.holders() == ["b"]


def test_given_a_decider_that_could_not_look_for_a_while_then_it_takes_nothing_by_its_old_knowledge() -> None:
    # given that NATS was away for all, or that this one was paused: the leader could not renew, or did unseen
    bucket = Bucket(1, "a", "b")
    bucket.beat()
    bucket.beat()
    bucket.beat("b", seconds=60)
    assert bucket.holders() == ["a"]
    bucket.beat("a", seconds=0)
    assert bucket.deciders["a"].held == {"0": 1}


def test_given_a_leader_that_the_fence_deposed_then_it_begins_in_an_epoch_after_that() -> None:
    bucket = Bucket(1, "a")
    bucket.beat()
    bucket.deciders["a"].deposed("0", 40)
    assert not bucket.deciders["a"].held
    bucket.beat()
    assert bucket.deciders["a"].held == {"0": 41}


def test_given_a_store_that_was_lost_then_the_leader_has_the_time_of_a_lease_to_write_it_again() -> None:
    bucket = Bucket(1, "a", "b")
    bucket.beat()
    bucket.beat()
    bucket.kept.clear()
    bucket.beat("b")
    assert bucket.holders() == [""]
    bucket.beat("a")
    assert bucket.holders() == ["a"] and bucket.deciders["a"].held == {"0": 1}


@pytest.mark.parametrize("value", [b"", b"[", b"7", b'{"holder": 1}', b'{"epoch": "x", "holder": "a"}'])
def test_given_a_lease_that_cannot_be_read_then_it_is_nobodys(value: bytes) -> None:
    bucket = Bucket(1, "a")
    bucket.kept["shard.0"], bucket.revision = (value, 1), 1
    bucket.beat()
    assert bucket.holders() == ["a"]


def test_given_one_that_joins_then_it_gets_its_part_and_no_more_moves_than_that() -> None:
    bucket = Bucket(4, "a")
    bucket.beat()
    bucket.join("b")
    for _ in range(12):
        bucket.beat()
    assert bucket.led() == {"a": 2, "b": 2}
    epochs = dict(bucket.epochs)
    for _ in range(20):
        bucket.beat()
    assert bucket.epochs == epochs, "at rest"
    assert sum(epoch - 1 for epoch in epochs.values()) == 2, "two leases changed hands"


def test_given_one_that_runs_where_a_thing_is_then_that_one_has_it_and_when_it_is_gone_another_has() -> None:
    bucket = Bucket({"tor1": "r1", "tor2": "r2", "tor3": "r2"})
    bucket.join("a", "r1")
    bucket.beat()
    assert bucket.holders() == ["a", "a", "a"]
    bucket.join("b", "r2")
    for _ in range(4):
        bucket.beat()
    assert bucket.holders() == ["a", "b", "b"]
    del bucket.deciders["b"]
    for _ in range(8):
        bucket.beat()
    assert bucket.holders() == ["a", "a", "a"]


def test_given_one_that_can_have_some_things_only_then_the_others_have_the_rest_and_nothing_goes_to_and_fro() -> None:
    bucket = Bucket(4)
    bucket.join("a", "", "0")
    bucket.join("b")
    for _ in range(6):
        bucket.beat()
    assert bucket.holders() == ["a", "b", "b", "b"]
    epochs = dict(bucket.epochs)
    for _ in range(10):
        bucket.beat()
    assert bucket.epochs == epochs


def test_given_one_whose_inventory_lacks_a_thing_then_it_is_offered_once_and_stays_with_who_knows_it() -> None:
    bucket = Bucket(4, "b")
    bucket.beat()
    bucket.deciders["a"] = Leases("a", ["0"], DECIDERS)
    for _ in range(10):
        bucket.beat()
    assert bucket.led()["b"] >= 3 and set(bucket.holders()) <= {"a", "b"}
    epochs = dict(bucket.epochs)
    for _ in range(20):
        bucket.beat()
    assert bucket.epochs == epochs


def test_given_one_whose_inventory_lacks_a_thing_then_it_is_offered_ever_more_rarely() -> None:
    bucket = Bucket(4, "b")
    bucket.beat()
    bucket.deciders["a"] = Leases("a", [], DECIDERS)
    offers = []
    for beats in (100, 200, 400, 800):
        before = sum(bucket.epochs.values())
        for _ in range(beats):
            bucket.beat()
        offers.append((sum(bucket.epochs.values()) - before) / beats)
    assert bucket.led() == {"b": 4}
    assert sorted(offers, reverse=True) == offers and 0 < offers[-1] < offers[0] / 4


def test_given_one_that_was_too_slow_to_take_its_part_then_it_has_it_a_while_later() -> None:
    # given one that joins and is alive, but so busy that nothing but its renewals gets through
    bucket = Bucket(4, "a")
    bucket.beat()
    bucket.join("b")
    while bucket.led() != {"a": 4} or bucket.epochs == {"0": 1, "1": 1, "2": 1, "3": 1}:
        bucket.beat("a")
        bucket.writes("b", bucket.now, only_renewals=True)
    # when it is busy no longer
    for _ in range(int(PASSED_OVER_S + 4 * BEAT_S)):
        bucket.beat()
    # then it has what is its part
    assert bucket.led() == {"a": 2, "b": 2}


def test_given_one_that_slept_then_it_is_not_certain_of_what_it_has_until_it_has_looked() -> None:
    bucket = Bucket(1, "a")
    bucket.beat()
    assert bucket.deciders["a"].certain(bucket.now + TTL_S - 0.1)
    assert not bucket.deciders["a"].certain(bucket.now + TTL_S)


@settings(deadline=None, max_examples=50)
@given(
    shards=st.integers(1, 6),
    history=st.lists(st.tuples(st.sets(st.sampled_from("abcd")), st.sampled_from([0.1, 1.0, 3.0, 30.0])), max_size=25),
    alive=st.sets(st.sampled_from("abcd"), min_size=1),
)
def test_given_any_history_then_epochs_only_grow_and_peace_leads_to_an_even_share(
    shards: int, history: list[tuple[set[str], float]], alive: set[str]
) -> None:
    # given deciders that look or are silent, for any time, on clocks that have nothing to do with each other
    bucket = Bucket(shards, *"abcd")
    offset = {name: 1e6 * number for number, name in enumerate("abcd")}
    for names, seconds in history:
        bucket.now += seconds
        for name in sorted(names):
            bucket.writes(name, bucket.now + offset[name])
    # when some are alive and the others are not heard of any more
    for _ in range(8 + 4 * shards):
        bucket.now += BEAT_S
        for name in sorted(alive):
            bucket.writes(name, bucket.now + offset[name])
    # then each shard has one leader among them, who knows it, and nobody leads two more than another
    led = bucket.led()
    assert set(led) <= alive
    assert max(led[name] for name in alive) - min(led[name] for name in alive) <= 1
    for thing, holder in zip(bucket.things, bucket.holders(), strict=True):
        assert bucket.deciders[holder].held[thing] == bucket.epochs[thing]
        assert not any(thing in bucket.deciders[name].held for name in alive - {holder})
