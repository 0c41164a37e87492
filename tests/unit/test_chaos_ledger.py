"""Whose packet is missing, and whose fault it is."""

from __future__ import annotations

from ezpath_lab.chaos.ledger import Account, Loss, Receiver, Window, judged, ranges
from ezpath_lab.probe import Probe, encode

ME = "red.a.b>a"
MS = 1_000_000


def _take(receiver: Receiver, *numbers: int, sender: str = ME) -> None:
    for number in numbers:
        receiver.take(encode(Probe(sender, 0, number, sent_ns=number * MS)), now_ns=number * MS + 5 * MS)


def test_what_was_sent_before_the_mark_and_not_seen_is_missing() -> None:
    # Given a receiver that saw 0-9 without 3, 4 and 7, and some of what came after the mark
    receiver = Receiver(ME)
    _take(receiver, 0, 1, 2, 5, 6, 8, 9, 10, 12)

    # When its sender says that it had sent up to 10 by then
    seen = receiver.settle(10)

    # Then these are missing, and what comes after the mark is the next account's
    assert seen.missing == ((3, 4), (7, 7))
    assert seen.received == 9
    assert seen.delay_us_max == 5000
    _take(receiver, 11)
    assert receiver.settle(13).missing == ()


def test_a_packet_missing_at_either_end_of_a_round_is_missing() -> None:
    receiver = Receiver(ME)
    _take(receiver, 1, 2, 3)

    assert receiver.settle(5).missing == ((0, 0), (4, 4))


def test_nothing_at_all_is_all_of_it() -> None:
    assert Receiver(ME).settle(3).missing == ((0, 2),)


def test_the_same_packet_twice_is_doubled_even_a_round_later() -> None:
    receiver = Receiver(ME)
    _take(receiver, 0, 1, 1)
    assert receiver.settle(2).duplicated == 1

    _take(receiver, 0)
    assert receiver.settle(2).duplicated == 1


def test_a_packet_that_was_given_up_and_comes_is_late_and_not_doubled() -> None:
    receiver = Receiver(ME)
    _take(receiver, 0, 2)
    assert receiver.settle(3).missing == ((1, 1),)

    _take(receiver, 1)
    seen = receiver.settle(3)
    assert (seen.late, seen.duplicated, seen.received) == (1, 0, 0)


def test_another_tenants_packet_is_foreign_and_names_its_sender() -> None:
    receiver = Receiver(ME)
    _take(receiver, 0)
    _take(receiver, 1, sender="blue.a.b>a")
    receiver.take(b"what is this", now_ns=0)

    seen = receiver.settle(1)
    assert (seen.foreign, seen.foreign_senders) == (2, ("blue.a.b>a", "unknown"))
    assert receiver.settle(1).foreign == 0


def test_loss_is_excused_where_and_when_a_switch_was_down_and_nowhere_else() -> None:
    # Given a ToR that was down from 1.0 s to 2.0 s, where red.a.b passes and red.c.d does not
    window = Window("tor-empty", frozenset({"red.a.b"}), 1000 * MS, 2000 * MS)

    # When packets are missing before, during and after
    during = Loss("red.a.b", ME, 1, 1500 * MS)
    before, after = Loss("red.a.b", ME, 0, 999 * MS), Loss("red.a.b", ME, 2, 2001 * MS)
    elsewhere = Loss("red.c.d", "red.c.d>c", 0, 1500 * MS)
    unexcused, excused = judged([during, before, after, elsewhere], [window])

    # Then only the one is the switch's fault
    assert unexcused == [before, after, elsewhere]
    assert excused == {"tor-empty": 1}


def test_accounts_add_up() -> None:
    total = Account()
    total.add(Account(sent=10, lost=1, excused={"tor-empty": 2}, delay_us_max=7))
    total.add(Account(sent=5, excused={"tor-empty": 1, "ovs-restart": 1}, delay_us_max=3))

    assert total == Account(sent=15, lost=1, excused={"tor-empty": 3, "ovs-restart": 1}, delay_us_max=7)


def test_ranges() -> None:
    assert ranges([]) == ()
    assert ranges([1, 2, 3, 7, 9, 10]) == ((1, 3), (7, 7), (9, 10))
