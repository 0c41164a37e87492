"""The control benchmark runs, says what it measured, and leaves nothing behind. No figure is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.root
def test_a_quick_run_measures_every_figure(needs: Callable[..., None], tmp_path: Path) -> None:
    needs("ip", "clang", root=True)
    command = [str(Path(sys.executable).with_name("ezpath-bench")), "control", "--quick", "--out", str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode in (0, 1), done.stderr
    results = json.loads((tmp_path / "control.json").read_text())["results"]
    assert set(results["milliseconds"]) == {"insert", "modify", "delete", "read back", "cells, all in use"}
    assert all(value > 0 for series in results["milliseconds"].values() for value in series)
    assert (results["entries"], results["cells"]) == (100, 65536)
    assert "insert" in done.stdout
    assert "(target 30)" in done.stdout
    assert "ezbench-control" not in subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
