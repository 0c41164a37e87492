"""The committed compiler output and the P4 sources belong together."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

P4 = Path(__file__).resolve().parents[2] / "p4"


def run_check(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(P4 / "build.py"), "--check", "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(P4, tmp_path / "p4")
    return tmp_path / "p4"


def test_given_what_is_committed_then_it_belongs_together() -> None:
    done = run_check(P4)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["ezpath.p4", "ezpath/tunnel.p4", "ezpath.json", "ezpath.p4info.txtpb"])
def test_given_a_change_in_a_source_or_an_output_then_it_is_told(copy: Path, name: str) -> None:
    with (copy / name).open("a") as file:
        file.write("\n")
    done = run_check(copy)
    assert done.returncode == 1
    assert "make p4" in done.stderr


def test_given_a_new_source_then_it_is_told(copy: Path) -> None:
    (copy / "ezpath" / "more.p4").write_text("// more\n")
    assert run_check(copy).returncode == 1


def test_given_no_stamp_then_the_missing_file_is_named(copy: Path) -> None:
    (copy / "ezpath.stamp").unlink()
    done = run_check(copy)
    assert done.returncode == 1 and "ezpath.stamp" in done.stderr
