"""What a run adds up to."""

from __future__ import annotations

from ezpath_lab.results import Check, Results, percentile
from ezpath_lab.workload import Pair, StreamResult, Tally, tallies

RED = Pair("red", "red-11", "red-21")


def _report(sent: dict[str, int], received: dict[str, int]) -> dict[str, object]:
    return {
        "sent": sent,
        "received": {act: {"received": n, "duplicated": 0, "reordered": 0} for act, n in received.items()},
        "foreign": 0,
        "foreign_senders": [],
        "refused": 0,
        "socket_drops": 0,
        "sender": "red.red-11.red-21>somebody",
        "gaps": [],
    }


def test_loss_is_what_one_end_sent_and_the_other_did_not_get_act_by_act() -> None:
    # Given the two ends of a pair: a's packets of act 1 arrived but for one, b's all
    a = _report(sent={"0": 10, "1": 20}, received={"0": 11, "1": 21})
    b = _report(sent={"0": 11, "1": 21}, received={"0": 10, "1": 19})

    # When they are put together
    result = tallies(RED, [a, b])

    # Then the one packet is missing in its act
    assert {act: (tally.sent, tally.lost) for act, tally in result.acts.items()} == {0: (21, 0), 1: (41, 1)}


def test_an_act_of_which_nothing_arrived_is_lost_not_forgotten() -> None:
    result = tallies(RED, [_report({"2": 5}, {}), _report({}, {})])

    assert result.acts[2].lost == 5


def test_a_run_passes_only_with_checks_and_without_a_failed_one() -> None:
    assert not Results().passed
    assert Results(checks=[Check("a", True)]).passed
    assert not Results(checks=[Check("a", True), Check("b", False)]).passed


def test_the_summary_adds_up_streams_by_act() -> None:
    streams = [StreamResult(RED, {0: Tally(10, 10), 1: Tally(5, 3)}), StreamResult(RED, {1: Tally(7, 7)})]
    summary = Results(acts={0: "overlay", 1: "offload"}, streams=streams).summary()

    assert [(act["act"], act["sent"], act["lost"]) for act in summary["acts"]] == [
        ("overlay", 10, 0),
        ("offload", 12, 2),
    ]
    assert (summary["packets_sent"], summary["packets_lost"]) == (22, 2)


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([], 99) == 0
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
