"""The rules of arbitration, by example and by property."""

from __future__ import annotations

import grpc
import pytest
from ezpath_tor.election import MAX_CONTROLLERS, Election
from ezpath_tor.faults import Fault
from hypothesis import given
from hypothesis import strategies as st

OK, BACKUP, VACANT = grpc.StatusCode.OK, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.NOT_FOUND


def test_the_first_to_stand_is_primary_and_may_write() -> None:
    election: Election[str] = Election()
    assert election.stand("a", 5) == ["a"]
    assert election.notice("a").code is OK
    assert election.may_write(5)
    assert not election.may_write(4)
    assert not election.may_write(None)


def test_a_higher_id_takes_over_and_everybody_is_told_the_new_one_last() -> None:
    election: Election[str] = Election()
    election.stand("a", 5)
    election.stand("b", 3)
    assert election.stand("c", 6) == ["a", "b", "c"]
    assert [election.notice(member).code for member in "abc"] == [BACKUP, BACKUP, OK]
    assert not election.may_write(5)


def test_a_lower_id_is_a_backup_and_only_it_is_told() -> None:
    election: Election[str] = Election()
    election.stand("a", 5)
    assert election.stand("b", 4) == ["b"]
    notice = election.notice("b")
    assert (notice.code, notice.highest) == (BACKUP, 5)


def test_when_the_primary_leaves_there_is_none_until_one_stands_as_high() -> None:
    # Given a primary and a backup
    election: Election[str] = Election()
    election.stand("a", 5)
    election.stand("b", 4)
    # When the primary is gone, then the backup is told, and may not write
    assert election.leave("a") == ["b"]
    assert election.notice("b").code is VACANT
    assert not election.may_write(4)
    # And standing with less than the highest id ever seen does not help, as much as that does
    election.stand("b", 4)
    assert not election.may_write(4)
    election.stand("b", 5)
    assert election.may_write(5)


def test_an_id_that_another_one_uses_is_refused_and_changes_nothing() -> None:
    election: Election[str] = Election()
    election.stand("a", 5)
    with pytest.raises(Fault, match="Election id already exists"):
        election.stand("b", 5)
    assert election.members == ["a"]
    assert election.may_write(5)


def test_a_primary_may_step_down() -> None:
    election: Election[str] = Election()
    election.stand("a", 5)
    election.stand("b", 1)
    assert election.stand("a", 2) == ["b", "a"]
    assert election.primary is None
    assert election.notice("a").code is VACANT


def test_without_an_election_id_nobody_becomes_primary_and_many_may_listen() -> None:
    election: Election[str] = Election()
    election.stand("a", None)
    election.stand("b", None)
    assert election.primary is None
    assert election.notice("a").highest is None
    assert not election.may_write(None)


def test_id_zero_is_an_id() -> None:
    election: Election[str] = Election()
    election.stand("a", 0)
    assert election.may_write(0)


def test_there_is_room_for_so_many_controllers_and_no_more() -> None:
    election: Election[int] = Election()
    for member in range(MAX_CONTROLLERS):
        election.stand(member, member)
    with pytest.raises(Fault, match="16 controllers are connected already"):
        election.stand(99, 99)
    election.stand(0, 50)  # one that is in may still change its id
    assert election.may_write(50)


steps = st.lists(
    st.tuples(st.sampled_from(["stand", "leave"]), st.sampled_from("abcd"), st.none() | st.integers(0, 6)), max_size=40
)


@given(steps)
def test_the_primary_is_always_the_connected_holder_of_the_highest_id_ever_seen(
    sequence: list[tuple[str, str, int | None]],
) -> None:
    election: Election[str] = Election()
    ids: dict[str, int | None] = {}
    highest = -1
    for what, member, election_id in sequence:
        if what == "leave":
            election.leave(member)
            ids.pop(member, None)
            continue
        taken = {ids[other] for other in ids if other != member} - {None}
        if election_id in taken:
            with pytest.raises(Fault):
                election.stand(member, election_id)
        else:
            told = election.stand(member, election_id)
            assert told[-1] == member
            ids[member] = election_id
            highest = max(highest, election_id if election_id is not None else -1)
        holders = [each for each, held in ids.items() if held is not None and held == highest]
        assert election.primary == (holders[0] if holders else None)
        assert [each for each in ids if election.notice(each).code is OK] == holders
        assert election.may_write(highest) == bool(holders)
