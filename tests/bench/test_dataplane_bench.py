"""The data-plane benchmark runs, says what it measured, and leaves nothing behind. No figure is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.root
def test_a_quick_run_measures_every_figure_of_every_way(needs: Callable[..., None], tmp_path: Path) -> None:
    needs("ip", "tc", "clang", "iperf3", "taskset", "chrt", "ss", root=True)
    command = [
        str(Path(sys.executable).with_name("ezpath-bench")),
        "dataplane",
        "--quick",
        "--ways",
        "bridge,least,tor",
    ]

    done = subprocess.run(
        [*command, "--out", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )

    assert done.returncode in (0, 1), done.stderr
    document = json.loads((tmp_path / "dataplane.json").read_text())
    values = document["results"]["values"]
    assert set(values) == {"tcp_gbps", "mpps_64", "mpps_350", "mpps_1440", "rtt_us"}
    for figure, by_way in values.items():
        assert set(by_way) == {"bare", "bridge", "least", "tor"}, figure
        assert all(value > 0 for series in by_way.values() for value in series), figure
    assert all(
        nanoseconds > 0
        for by_size in document["results"]["program_ns"].values()
        for series in by_size.values()
        for nanoseconds in series
    )
    assert {"kernel", "cpu", "cores"} <= set(document["machine"])
    assert "reached" in done.stdout or "MISSED" in done.stdout
    left = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    assert not [way for way in ("bare", "bridge", "least", "tor") if f"ezbench-{way}-" in left], left


def test_an_unknown_way_is_refused_by_name() -> None:
    command = [str(Path(sys.executable).with_name("ezpath-bench")), "dataplane", "--ways", "bare,teleport"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 2
    assert "teleport" in done.stderr
    assert "bmv2" in done.stderr
