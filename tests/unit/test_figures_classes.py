"""CPU by class: what a guest's kernel is at, found from outside, and what hosts spend, told apart."""

from __future__ import annotations

import struct

import pytest
from ezpath_bench.figures.cells.cell import cpu_of
from ezpath_bench.figures.guests.classes import exported
from ezpath_bench.figures.guests.host import CpuSeconds
from ezpath_bench.figures.meter import Spent
from ezpath_lab.shell import LabError


def kernel(names: bytes, table: bytes) -> bytes:
    """The least of an ELF file: two sections of a kernel's exported symbols, at the addresses where they would be."""
    strings = b"\0__ksymtab_strings\0__ksymtab\0.shstrtab\0"
    parts, headers, offset = b"", struct.pack("<IIQQQQIIQQ", *[0] * 10), 64
    for name, address, content in ((1, 0x5000, names), (19, 0x6000, table), (29, 0, strings)):
        headers += struct.pack("<IIQQQQIIQQ", name, 1, 0, address, offset + len(parts), len(content), 0, 0, 1, 0)
        parts += content
    head = b"\x7fELF".ljust(40, b"\0") + struct.pack("<QIHHHHHH", offset + len(parts), 0, 64, 0, 0, 64, 4, 3)
    return head + parts + headers


NAMES = b"\0old_cpu_tasks\0cpu_tasks\0"
TABLE = struct.pack("<6Q", 0x1111, 0x5001, 0, 0x60A56708, 0x500F, 0)


def test_the_running_task_is_where_the_kernel_says_that_it_is() -> None:
    assert exported(kernel(NAMES, TABLE), b"cpu_tasks") == 0x60A56708


def test_a_kernel_that_does_not_say_it_is_named_as_the_cause() -> None:
    with pytest.raises(LabError, match="exports no cpu_tasks"):
        exported(kernel(b"\0old_cpu_tasks\0", TABLE), b"cpu_tasks")


def test_softirqs_are_the_share_of_the_kernels_time_in_which_it_was_found_at_them() -> None:
    before, after = CpuSeconds(1.0, 2.0, 100, 10), CpuSeconds(1.5, 4.0, 300, 60)

    used = after.since(before)

    assert (used.programs, used.kernel) == (0.5, 2.0)
    assert used.softirq == pytest.approx(2.0 * 50 / 200)
    assert used.system == pytest.approx(1.5)


def test_a_kernel_that_was_never_at_work_was_at_no_softirq() -> None:
    assert CpuSeconds(1.0, 0.0).softirq == 0.0


def test_a_machine_of_its_own_accounts_by_itself() -> None:
    used = cpu_of("cpu  100 20 30 900 5 4 16 0 0 0\n100\n")

    assert used.programs == pytest.approx(1.2)
    assert used.softirq == pytest.approx(0.2)
    assert used.system == pytest.approx(0.3)


def test_what_a_thing_costs_is_told_together_and_by_class() -> None:
    spent = Spent(hosts=3.0, tors=1.0, user=1.0, kernel=3.0, softirq=2.0)

    assert spent.each("CPU s/Gbit", 2.0) == {
        "CPU s/Gbit, hosts": 1.5,
        "CPU s/Gbit, user": 0.5,
        "CPU s/Gbit, system": 0.5,
        "CPU s/Gbit, softirq": 1.0,
    }
    assert spent.kernels == 0.75
    assert Spent(hosts=3.0, tors=1.0, user=1.0, kernel=3.0).each("CPU ms", 2.0, 1e3) == {"CPU ms, hosts": 1500.0}
