"""The book: what ought to be installed, by the newest word on each item."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
from ezpath.desired import Desired, Piece, host_from_json
from ezpath.events import HostCommand
from ezpath.items import HostItem, ReceiveRule, SendRule
from ezpath.names import HostName, Mac, PairId, VlanId, Vni
from ezpath_host_writer.book import Book

RED = Vni(5001)
A, B, C = Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02"), Mac("02:00:00:00:00:03")
SEND, RECEIVE = SendRule(RED, A, B, VlanId(100)), ReceiveRule(RED, VlanId(100), A)
RETAGGED = SendRule(RED, A, B, VlanId(101))


def command(generation: int, put: tuple[HostItem, ...] = (), remove: tuple[HostItem, ...] = ()) -> HostCommand:
    return HostCommand("s", PairId("red.a.b"), generation, "host-send", HostName("h1"), put, remove)


def test_put_and_remove() -> None:
    book = Book()
    book.enter([command(1, put=(SEND, RECEIVE)), command(2, remove=(SEND,))])
    assert book.items == (RECEIVE,)


def test_a_late_command_changes_nothing_and_is_called_stale() -> None:
    book, late = Book(), command(4, put=(SEND,))
    book.enter([command(5, remove=(SEND,)), late])
    assert book.items == ()
    assert book.staleness(late) == f"stale: generation 4, where 5 has spoken about send 5001 {A} {B}"


def test_a_repeated_command_is_not_stale() -> None:
    book = Book()
    book.enter([command(5, put=(SEND,)), command(5, put=(SEND,))])
    assert book.items == (SEND,)
    assert book.staleness(command(5, put=(SEND,))) == ""


def test_what_a_later_command_in_the_batch_overtakes_is_stale() -> None:
    book, first = Book(), command(5, put=(SEND,))
    book.enter([first, command(6, remove=(SEND,))])
    assert book.items == ()
    assert book.staleness(first).startswith("stale: generation 5, where 6")


def test_pairs_that_share_an_item_do_not_call_each_other_stale() -> None:
    book, one, other = Book(), command(5, put=(RECEIVE,)), command(6, put=(RECEIVE, SEND))
    book.enter([other, one])
    assert (book.staleness(one), book.staleness(other)) == ("", "")
    book.enter([command(5, remove=(RECEIVE,))])
    assert RECEIVE in book.items, "and the older word still changes nothing"


def test_of_a_command_that_is_stale_in_part_the_rest_is_carried_out() -> None:
    book, mixed = Book(), command(4, put=(SEND, RECEIVE))
    book.enter([command(5, remove=(SEND,)), mixed])
    assert book.items == (RECEIVE,)
    assert book.staleness(mixed).startswith("stale")


def test_one_thing_replaces_another_of_the_same_key_and_is_not_removed_with_it() -> None:
    book = Book()
    book.enter([command(1, put=(SEND,)), command(2, put=(RETAGGED,)), command(3, remove=(SEND,))])
    assert book.items == (RETAGGED,)


class TestShards:
    """Each shard of the deciders counts its own generations; no two speak about one item."""

    def test_a_command_is_as_old_as_its_own_shard_says(self) -> None:
        book = Book()
        book.adopt(Desired(900, frozenset({RECEIVE})), 0)
        first = replace(command(2, put=(SEND,)), shard=1)
        book.enter([first])
        assert set(book.items) == {RECEIVE, SEND} and book.staleness(first) == ""
        late = replace(command(1, remove=(SEND,)), shard=1)
        book.enter([late, command(899, remove=(RECEIVE,))])
        assert set(book.items) == {RECEIVE, SEND} and book.staleness(late).startswith("stale: generation 1, where 2")

    def test_what_one_wants_is_taken_over_and_what_others_want_stays(self) -> None:
        book = Book()
        book.adopt(Desired(900, frozenset({RECEIVE})), 0)
        assert book.adopt(Desired(2, frozenset({SEND})), 1)
        assert set(book.items) == {RECEIVE, SEND}
        assert book.adopt(Desired(3, frozenset()), 1)
        assert book.items == (RECEIVE,)
        assert not book.adopt(Desired(2, frozenset({SEND})), 1), "an older one"

    def test_what_was_found_and_nobody_wants_goes_when_somebody_has_spoken(self) -> None:
        book = Book([SEND])
        book.adopt(Desired(1, frozenset({RECEIVE})), 3)
        assert book.items == (RECEIVE,)


class TestFailure:
    def test_what_a_failed_command_put_is_as_it_was(self) -> None:
        book = Book([SEND])
        before, failed = book.snapshot(), command(3, put=(RETAGGED, RECEIVE))
        book.enter([failed])
        book.withdraw(failed, before)
        assert book.items == (SEND,)

    def test_what_a_failed_command_removed_stays_removed(self) -> None:
        book = Book([SEND])
        before, failed = book.snapshot(), command(3, remove=(SEND,))
        book.enter([failed])
        book.withdraw(failed, before)
        assert book.items == ()

    def test_a_newer_word_is_not_withdrawn_with_an_older_command(self) -> None:
        book = Book()
        before, failed = book.snapshot(), command(3, put=(SEND,))
        book.enter([failed, command(4, put=(SEND,))])
        book.withdraw(failed, before)
        assert book.items == (SEND,)

    def test_after_a_failure_older_commands_are_still_stale(self) -> None:
        book = Book()
        before, failed = book.snapshot(), command(3, put=(SEND,))
        book.enter([failed])
        book.withdraw(failed, before)
        book.enter([command(2, put=(SEND,))])
        assert book.items == ()


class TestDesired:
    def test_it_replaces_everything(self) -> None:
        book = Book([SEND])
        assert book.adopt(Desired(7, frozenset({RECEIVE})))
        assert book.items == (RECEIVE,)

    def test_one_that_is_older_than_a_command_is_not_adopted(self) -> None:
        book = Book()
        book.enter([command(8, put=(SEND,))])
        assert not book.adopt(Desired(7, frozenset()))
        assert book.items == (SEND,)

    def test_a_command_from_before_it_changes_nothing(self) -> None:
        book, late = Book(), command(6, put=(SEND,))
        book.adopt(Desired(7, frozenset({RECEIVE})))
        book.enter([late])
        assert book.items == (RECEIVE,)
        assert book.staleness(late).startswith("stale")

    def test_a_command_that_it_includes_counts_as_carried_out(self) -> None:
        book = Book()
        book.adopt(Desired(7, frozenset({RECEIVE})))
        for waited in (command(6, put=(RECEIVE,)), command(5, remove=(SEND,))):
            book.enter([waited])
            assert book.staleness(waited) == ""
        assert book.items == (RECEIVE,)

    def test_it_is_read_as_the_decider_writes_it(self) -> None:
        document = json.dumps({"generation": 3, "items": [asdict(SEND), asdict(RECEIVE)]})
        assert host_from_json(document.encode()) == Piece(3, frozenset({SEND, RECEIVE}))

    @pytest.mark.parametrize(
        ("document", "complaint"),
        [
            (b"[", "not a desired state"),
            (b"[]", "not a desired state"),
            (b'{"generation": "x", "items": []}', "not a desired state"),
            (b'{"items": []}', "not a desired state: KeyError: 'generation'"),
            (b'{"generation": 1, "items": [{"kind": "send"}]}', r"items\.0\.send\.vni: Field required"),
            (b'{"generation": 1, "items": [{"kind": "tenant-tag"}]}', r"items\.0"),
        ],
    )
    def test_what_is_wrong_with_it_is_said(self, document: bytes, complaint: str) -> None:
        with pytest.raises(ValueError, match=complaint):
            host_from_json(document)
