"""The bill of `make p4`: what it adds up, by hand, on a small program; and that it is the committed program's."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

P4 = Path(__file__).resolve().parents[2] / "p4"
PROGRAM = Path(__file__).parent / "p4_program.json"
SRAM: Any = runpy.run_path(str(P4 / "sram.py"))


def bill(path: Path) -> dict[str, Any]:
    return {one.name: one for one in SRAM["memories"](json.loads(path.read_text()))}


@pytest.mark.parametrize(
    ("name", "key", "action", "data", "overhead", "entries"),
    [
        # VNI and MAC; one of three actions; the widest of them takes a port and a MAC; used or not
        ("endpoint", 24 + 48, 2, 9 + 48, 1, 1024),
        # prefix; one of two; used or not, and a length from 0 to 32
        ("route", 32, 1, 57, 1 + 6, 256),
        # one action only: nothing to tell apart, nothing to hand over
        ("router", 48, 0, 0, 1, 64),
        ("cells", 0, 0, 256, 0, 16384),
        # packets and bytes
        ("drops", 0, 0, 128, 0, 16),
    ],
)
def test_an_entry_is_its_key_its_action_and_its_data(
    name: str, key: int, action: int, data: int, overhead: int, entries: int
) -> None:
    one = bill(PROGRAM)[name]
    assert (one.key, one.action, one.data, one.overhead, one.entries) == (key, action, data, overhead, entries)
    assert one.bits == key + action + data + overhead
    assert one.kib == one.bits * entries / 8192


def test_what_the_compiler_made_of_plain_statements_is_no_memory() -> None:
    assert "tbl_code12" not in bill(PROGRAM)


def test_the_largest_comes_first_and_the_total_last() -> None:
    bill_text = SRAM["report"](list(bill(PROGRAM).values())).removesuffix(SRAM["NOTE"])
    lines = bill_text.splitlines()
    assert [line.split()[0] for line in lines[2:-2]] == ["cells", "endpoint", "route", "router", "drops"]
    total = 16384 * 256 + 1024 * 132 + 256 * 97 + 64 * 49 + 16 * 128
    assert lines[-1].split() == ["total", f"{total / 8192:,.1f}"]


def test_both_builds_of_the_program_take_the_same_memory() -> None:
    wide, narrow = bill(P4 / "ezpath.json"), bill(P4 / "ezpath.bmv2.json")
    assert sum(one.kib for one in wide.values()) == sum(one.kib for one in narrow.values())
    assert sum(one.kib for name, one in wide.items() if ".stage" in name) == 65536 * 256 / 8192


def test_every_table_register_and_counter_of_the_p4info_is_on_the_bill() -> None:
    p4info = (P4 / "ezpath.p4info.txtpb").read_text()
    sections = ("tables {", "registers {", "counters {")
    named = [
        block.split('name: "')[1].split('"')[0]
        for block in p4info.split("\n}\n")
        if block.lstrip().startswith(sections)
    ]
    assert len(named) > 10 and set(bill(P4 / "ezpath.json")) == set(named)


def test_something_else_than_a_program_is_named() -> None:
    command = [sys.executable, str(P4 / "sram.py"), str(P4 / "ezpath.stamp")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "ezpath.stamp is not what p4c-bm2-ss writes" in done.stderr
