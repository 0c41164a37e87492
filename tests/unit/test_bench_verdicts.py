"""What the data-plane benchmark says of its targets: reached, missed, and missed where no program could reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ezpath_bench.dataplane.verdicts import verdicts

Series = Mapping[str, Sequence[float]]


def said(values: Mapping[str, Series], growth: Mapping[str, Mapping[int, Sequence[float]]] | None = None) -> list[str]:
    return [str(verdict) for verdict in verdicts(values, growth or {})]


def test_a_target_that_is_reached_says_what_bounds_it() -> None:
    [line] = said({"tcp_gbps": {"bare": [10, 20], "least": [9.8, 19.6], "tor": [9.6, 19.2]}})

    assert line.startswith("reached  TCP through two ToRs, of a bare veth: 0.96 (bare veth 1.00, by hand 0.98)")
    assert "out of reach" not in line


def test_a_target_is_missed_where_a_tunnel_by_hand_reaches_it() -> None:
    [line] = said({"mpps_64": {"bare": [2.0], "least": [1.0], "tor": [0.8]}})

    assert line.startswith("MISSED ")
    assert line.endswith("(target 0.9)"), "the program is to blame, nothing else"


def test_a_target_is_missed_and_out_of_reach_where_not_even_a_tunnel_by_hand_reaches_it() -> None:
    [line] = said({"mpps_64": {"bare": [1.0], "least": [0.5], "tor": [0.4]}})

    assert line.startswith("MISSED ")
    assert "out of reach on this machine's kernel, where a tunnel made by hand makes 0.50 at best" in line
    assert "80% of its median" in line


def test_what_a_tunnel_by_hand_reached_in_one_round_is_not_out_of_reach() -> None:
    [line] = said({"tcp_gbps": {"bare": [10, 10, 10], "least": [8, 8.5, 9.6], "tor": [8, 8, 8]}})

    assert line.startswith("MISSED ")
    assert "out of reach" not in line


def test_without_a_tunnel_by_hand_the_bare_veth_is_the_bound() -> None:
    [line] = said({"mpps_64": {"bare": [0.5], "tor": [0.4]}})

    assert "where a bare veth makes 0.50" in line


def test_tables_are_judged_by_one_destination_only() -> None:
    growth = {"one destination": {10: [100.0], 100_000: [109.0]}, "all destinations": {10: [100.0], 100_000: [900.0]}}

    assert said({}, growth) == ["reached  100,000 entries against 10: 1.09 (target at most 1.1)"]


def test_what_was_not_measured_is_not_judged() -> None:
    assert said({"rtt_us": {"bare": [1.0], "tor": [2.0]}}) == []
