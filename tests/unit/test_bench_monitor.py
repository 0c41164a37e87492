"""The flow monitor's benchmark: models against examples worked out by hand, the traces, the reader, the verdict."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from ezpath_bench import monitor, monitor_models, monitor_score, monitor_trace
from ezpath_bench.monitor_models import EPOCH, KEY, OCTETS, PACKETS, STRENGTH

A, B, C, D, E, F = range(6)
CRCS = np.arange(6, dtype=np.int64)
"""Where every stage has one cell only, hashes do not matter."""
EPOCH_US = 1 << 20


def columns(*packets: tuple[int, ...]) -> list[np.ndarray]:
    return [np.array(column, np.int64) for column in zip(*packets, strict=True)]


def one_cell(stages: int, width: int) -> np.ndarray:
    return np.zeros((stages, 1, width), np.int64)


# ---- HashPipe --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("packets", "first", "second"),
    [
        ([(A, 10)], (A, 10, 1), None),
        # The newcomer is always taken in; who was there goes on to the empty second stage
        ([(A, 10), (B, 5)], (B, 5, 1), (A, 10, 1)),
        # B is carried on, is lighter than A, and is forgotten
        ([(A, 10), (B, 5), (C, 7)], (C, 7, 1), (A, 10, 1)),
        # C is carried on, is heavier than the lighter A, and takes its place
        ([(A, 6), (C, 7), (B, 5)], (B, 5, 1), (C, 7, 1)),
        # As heavy is not heavier
        ([(A, 7), (C, 7), (B, 5)], (B, 5, 1), (A, 7, 1)),
        # A flow in both stages is brought together when its first part is carried on
        ([(A, 10), (B, 5), (A, 3), (D, 1)], (D, 1, 1), (A, 13, 2)),
        # A packet of who is in the first stage counts there
        ([(A, 10), (B, 5), (B, 6)], (B, 11, 2), (A, 10, 1)),
    ],
)
def test_hashpipe_does_as_its_paper_says(
    packets: list[tuple[int, int]], first: tuple[int, ...] | None, second: tuple[int, ...] | None
) -> None:
    cells = one_cell(2, 3)

    monitor_models.hashpipe(cells, CRCS, *columns(*packets))

    held = [None if not cell[KEY] else (cell[KEY] - 1, cell[OCTETS], cell[PACKETS]) for cell in cells[:, 0].tolist()]
    assert held == [first, second]


# ---- a plain hash table ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patience", "packets", "holder"),
    [
        # The first holds it while it sends
        (1, [(A, 10, 0), (B, 90, 1), (A, 5, 2)], (A, 15, 2)),
        # Silent for one epoch is not long enough, for two it is
        (1, [(A, 10, 0), (B, 90, EPOCH_US)], (A, 10, 1)),
        (1, [(A, 10, 0), (B, 90, 2 * EPOCH_US)], (B, 90, 1)),
        # Without patience the last one holds it
        (-1, [(A, 10, 0), (A, 10, 1), (B, 1, 1)], (B, 1, 1)),
    ],
)
def test_a_plain_hash_table_keeps_to_its_rule(
    patience: int, packets: list[tuple[int, int, int]], holder: tuple[int, int, int]
) -> None:
    cells = one_cell(1, 4)

    monitor_models.single(cells, CRCS, *columns(*packets), patience)

    cell = cells[0, 0]
    assert (cell[KEY] - 1, cell[OCTETS], cell[PACKETS]) == holder


# ---- EZPath's own: test_monitor_model.py holds it against the P4 program; here one life of a cell ------------------


def test_a_cell_is_won_defended_and_lost() -> None:
    cells = one_cell(1, 5)

    def after(*packets: tuple[int, int, int]) -> tuple[tuple[int, ...], tuple[int, int]]:
        lost = monitor_models.ezpath(cells, CRCS, *columns(*packets))
        cell = cells[0, 0]
        return (cell[KEY] - 1, cell[OCTETS], cell[PACKETS], cell[EPOCH], cell[STRENGTH]), lost

    assert after((A, 101, 0), (A, 100, 1)) == ((A, 201, 2, 0, 201), (0, 0))
    # B's 60 bytes weaken it, 201 - 60; its counters stay
    assert after((B, 60, 2)) == ((A, 201, 2, 0, 141), (1, 60))
    # an epoch later half of that is left, 70 and the lowest bit; less 60
    assert after((B, 60, EPOCH_US)) == ((A, 201, 2, 1, 11), (1, 60))
    # and now B has more than A
    assert after((B, 60, EPOCH_US)) == ((B, 60, 1, 1, 60), (0, 0))


def test_a_flow_goes_to_the_weakest_of_its_cells() -> None:
    cells = one_cell(2, 5)
    cells[0, 0] = A + 1, 900, 3, 0, 31
    cells[1, 0] = B + 1, 900, 3, 0, 21

    monitor_models.ezpath(cells, CRCS, *columns((C, 25, 0)))

    assert cells[:, 0, KEY].tolist() == [A + 1, C + 1]


# ---- traces ----------------------------------------------------------------------------------------------------------

TRACE = monitor_trace.Trace(flows=2000, skew=1.2, seconds=3, packets_s=20_000, churn=0.1, seed=5)


def packets(trace: monitor_trace.Trace) -> tuple[np.ndarray, np.ndarray]:
    seconds = list(monitor_trace.seconds(trace))
    return np.concatenate([each.flows for each in seconds]), np.concatenate([each.octets for each in seconds])


def test_a_seed_gives_its_packets_and_another_others() -> None:
    one, again, other = packets(TRACE), packets(TRACE), packets(replace(TRACE, seed=6))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_packets_are_by_zipfs_law_and_of_two_sizes() -> None:
    flows, octets = packets(replace(TRACE, churn=0.0, packets_s=200_000))
    counts = np.sort(np.bincount(flows))[::-1]
    shares = np.arange(1, 2001) ** -1.2
    expected = counts.sum() * shares / shares.sum()
    assert np.allclose(counts[:20], expected[:20], rtol=0.1)
    assert set(np.unique(octets // 128)) == {0, 1, 10, 11}
    assert 0.3 < (octets > 1000).mean() < 0.7


def test_flows_end_and_new_ones_come_heavy_ones_too() -> None:
    seconds = list(monitor_trace.seconds(TRACE))
    first, last = (np.bincount(seconds[number].flows, minlength=TRACE.ever) for number in (0, 2))
    heavy_first, heavy_last = (set(np.argsort(counts)[-200:]) for counts in (first, last))
    assert 0.05 < len(heavy_last - heavy_first) / 200 < 0.6
    assert max(heavy_last) >= TRACE.flows
    assert max(int(each.flows.max()) for each in seconds) < TRACE.ever


def test_a_keys_hash_is_the_crc_of_its_bytes_and_all_keys_differ() -> None:
    vni, src, dst = monitor_trace.keys(5000)
    crcs = monitor_trace.hashes(vni, src, dst)
    for flow in (0, 1, 99, 100, 4999):
        packed = b"".join(
            int(value).to_bytes(octets, "big") for value, octets in ((vni[flow], 3), (src[flow], 6), (dst[flow], 6))
        )
        assert crcs[flow] == zlib.crc32(packed)
    assert len(set(zip(vni.tolist(), src.tolist(), dst.tolist(), strict=True))) == 5000


# ---- what a reader makes of it ---------------------------------------------------------------------------------------


def test_the_error_is_of_the_truly_heaviest_and_recall_of_both() -> None:
    truth = np.array([0, 100, 400, 50, 500, 1])
    estimate = np.array([0, 90, 0, 60, 500, 0])
    found = monitor_score.error(truth, estimate, top=3)
    assert found.recall == pytest.approx(2 / 3)  # 4 and 1; 3 in the place of 2
    assert found.total == pytest.approx((10 + 400 + 0) / 1000)
    assert found.mean == pytest.approx((10 / 100 + 400 / 400 + 0) / 3)


def test_a_reader_adds_differences_and_starts_from_zero_where_a_counter_shrank() -> None:
    reader = monitor_score.Reader(np.zeros(6, np.int64))
    truth = np.ones(6, np.int64)
    for keys, octets in (
        ([A, B], [100, 10]),
        ([A, B], [150, 4]),  # B was pushed out and is back
        ([A], [160]),  # B is gone
        ([A, B], [160, 7]),  # and back once more
    ):
        reader.read(np.array(keys), np.array(octets), truth)
    assert reader.total.tolist() == [160, 10 + 4 + 7, 0, 0, 0, 0]


def test_equal_keys_are_added_up_and_empty_cells_are_nobody() -> None:
    cells = np.array([[[3, 10, 1], [0, 0, 0]], [[2, 5, 1], [3, 7, 2]]])
    keys, octets = monitor_score.held(cells)
    assert (keys.tolist(), octets.tolist()) == ([1, 2], [5, 17])


def test_all_monitors_have_the_same_memory() -> None:
    for one in monitor_score.candidates(1 << 16, 10):
        assert one.kib == pytest.approx(2048, rel=0.001) and one.kib <= 2048


# ---- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "traces", lambda *_, **__: [replace(TRACE, flows=5000)])


@pytest.mark.usefixtures("short")
def test_met_targets_end_well_and_the_figures_are_kept(tmp_path: Path) -> None:
    done = CliRunner().invoke(monitor.command, ["--quick", "--out", str(tmp_path)])

    assert done.exit_code == 0, done.output
    assert "2,048 KiB of SRAM" in done.output and "met on every trace" in done.output
    results = json.loads((tmp_path / "monitor.json").read_text())["results"]
    assert {run["monitor"] for run in results["runs"]} > {"EZPath", "HashPipe"}
    assert all(run["whole"]["recall"] > 0.5 for run in results["runs"])


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("target", "value"), [("LEAST_RECALL", 1.1), ("MOST_ERROR", -1.0)])
def test_a_missed_target_is_said_and_ends_with_status_1(
    monkeypatch: pytest.MonkeyPatch, target: str, value: float
) -> None:
    monkeypatch.setattr(monitor, target, value)

    done = CliRunner().invoke(monitor.command, ["--quick"])

    assert done.exit_code == 1
    assert "MISSED" in done.output and "missed on 1 of 1 traces" in done.output
