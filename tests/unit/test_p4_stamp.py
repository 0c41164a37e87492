"""The committed compiler output and the P4 sources belong together."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

P4 = Path(__file__).resolve().parents[2] / "p4"
PROGRAM = Path(__file__).parent / "p4_program.json"
"""A program small enough to reckon with: see test_p4_sram.py."""


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


OUTPUTS = ["ezpath.json", "ezpath.p4info.txtpb", "ezpath.bmv2.json", "ezpath.bmv2.p4info.txtpb"]


@pytest.mark.parametrize("name", ["ezpath.p4", "ezpath/tunnel.p4", *OUTPUTS])
def test_given_a_change_in_a_source_or_an_output_then_it_is_told(copy: Path, name: str) -> None:
    with (copy / name).open("a") as file:
        file.write("\n")
    done = run_check(copy)
    assert done.returncode == 1
    assert "make p4" in done.stderr


def test_given_a_new_source_then_it_is_told(copy: Path) -> None:
    (copy / "ezpath" / "more.p4").write_text("// more\n")
    assert run_check(copy).returncode == 1


@pytest.mark.parametrize("name", ["ezpath.stamp", *OUTPUTS])
def test_given_a_missing_stamp_or_output_then_it_is_named(copy: Path, name: str) -> None:
    (copy / name).unlink()
    done = run_check(copy)
    assert done.returncode == 1 and name in done.stderr


def compiler(folder: Path, name: str, body: str) -> Path:
    """An executable called ``name`` on a PATH of its own."""
    place = folder / "bin"
    place.mkdir()
    (place / name).write_text(f"#!/bin/sh\n{body}\n")
    (place / name).chmod(0o755)
    return place


def run_build(folder: Path, path: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(P4 / "build.py"), "--folder", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": path})


def test_given_p4c_on_path_then_its_output_is_taken_and_stamped(copy: Path) -> None:
    # given a p4c (its interface, not its work: the real one is not to be had everywhere)
    given = PROGRAM.read_text()
    body = f'cp {PROGRAM} "$9/ezpath.json"; echo compiled with ${{10}} > "$7"'
    found = compiler(copy.parent, "p4c", body)
    (copy / "ezpath" / "more.p4").write_text("// more\n")
    # when
    done = run_build(copy, f"{found}:/usr/bin:/bin")
    # then both builds are there, each with its own options, and belong to the sources
    assert done.returncode == 0, done.stderr
    assert [(copy / name).read_text() for name in OUTPUTS] == [
        *(given, "compiled with\n"),
        *(given, "compiled with -DNARROW_CELLS\n"),
    ]
    assert run_check(copy).returncode == 0
    # and it said what the program takes
    assert re.search(r"^router +exact +64 .*^total ", done.stdout, re.MULTILINE | re.DOTALL)


def test_given_a_compiler_that_fails_then_what_is_committed_stays(copy: Path) -> None:
    before = (copy / "ezpath.json").read_bytes()
    found = compiler(copy.parent, "p4c", "echo 'ezpath.p4(7): error: syntax' >&2; exit 1")
    done = run_build(copy, f"{found}:/usr/bin:/bin")
    assert done.returncode == 1 and "syntax" in done.stderr
    assert (copy / "ezpath.json").read_bytes() == before


def test_given_no_compiler_then_it_says_how_to_get_one(copy: Path) -> None:
    done = run_build(copy, str(copy.parent / "nothing"))
    assert done.returncode == 1 and "P4C=" in done.stderr
