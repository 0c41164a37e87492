"""The data plane as the P4Runtime server sees it: loading, swapping, taking off, and what it says of wrong requests."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from ezpath_tor.hook import TcHook
from ezpath_tor.plane import ActionCall, DataPlane, Lpm, PlaneError, TableFull, Unsupported
from ezpath_tor.tc import TcPlane
from packet.calculator import CONFIG, DST, ETHER_TYPE, SRC, Calculator, Numbers
from packet.frames import ethernet
from packet.wire import Wires, inside

pytestmark = pytest.mark.root

PORTS = {1: "ezt-pl-1", 2: "ezt-pl-2"}
CALCULATOR = CONFIG.read_bytes()
LABEL = ActionCall("Calc.label", (3,))


@pytest.fixture
def wires(needs: Callable[..., None]) -> Iterator[Wires]:
    needs("ip", "tc", "clang", "sysctl", root=True)
    with Wires(PORTS, name="plane") as up:
        yield up


@pytest.fixture
def plane(wires: Wires) -> Iterator[TcPlane]:
    plane = TcPlane(PORTS, limits={"Calc.wide_exact": 2})
    with inside(wires.switch):
        try:
            plane.load(CALCULATOR)
            yield plane
        finally:
            plane.close()


def still_calculates(wires: Wires, plane: TcPlane) -> bool:
    return Calculator(wires, plane).ask(Numbers(0x50, n5=1)).n7 == 9


def qdiscs(wires: Wires) -> str:
    return wires.switch_command("tc", "qdisc", "show")


def test_it_is_a_data_plane() -> None:
    plane: DataPlane = TcPlane(PORTS)
    assert plane.ports == PORTS


def test_nothing_is_left_after_close(wires: Wires) -> None:
    plane = TcPlane(PORTS)
    with inside(wires.switch):
        plane.load(CALCULATOR)
        assert qdiscs(wires).count("clsact") == 2
        assert "PROMISC" in wires.switch_command("ip", "link", "show", "ezt-pl-1")
        plane.close()
        plane.close()

    assert "clsact" not in qdiscs(wires)
    assert "PROMISC" not in wires.switch_command("ip", "link", "show", "ezt-pl-1")


def test_a_qdisc_that_was_there_before_stays_with_its_filters(wires: Wires) -> None:
    wires.switch_command("tc", "qdisc", "add", "dev", "ezt-pl-1", "clsact")
    plane = TcPlane(PORTS)
    with inside(wires.switch):
        plane.load(CALCULATOR)
        plane.close()

    assert qdiscs(wires).count("clsact") == 1
    assert wires.switch_command("tc", "filter", "show", "dev", "ezt-pl-1", "ingress") == ""


def test_what_a_killed_switch_left_is_taken_over_and_removed(wires: Wires) -> None:
    killed = textwrap.dedent(f"""
        import os, signal
        from pathlib import Path
        from ezpath_tor.tc import TcPlane
        TcPlane({PORTS}).load(Path("{CONFIG}").read_bytes())
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    command = ["ip", "netns", "exec", wires.switch, sys.executable, "-c", killed]
    subprocess.run(command, check=False, capture_output=True)
    assert qdiscs(wires).count("clsact") == 2

    plane = TcPlane(PORTS)
    with inside(wires.switch):
        plane.load(CALCULATOR)
        assert still_calculates(wires, plane)
        plane.close()

    assert "clsact" not in qdiscs(wires)


def test_a_program_takes_the_place_of_another_with_empty_tables(wires: Wires, plane: TcPlane) -> None:
    plane.insert("Calc.wide_exact", (5, 1), LABEL)

    plane.load(CALCULATOR)

    assert still_calculates(wires, plane)
    with pytest.raises(PlaneError, match="no entry"):
        plane.delete("Calc.wide_exact", (5, 1))
    assert wires.switch_command("tc", "filter", "show", "dev", "ezt-pl-1", "ingress").count("direct-action") == 1


def changed(**sections: object) -> bytes:
    return json.dumps({**json.loads(CALCULATOR), **sections}).encode()


def test_after_a_refused_program_the_old_one_runs_on_with_its_entries(wires: Wires, plane: TcPlane) -> None:
    plane.insert("Calc.wide_exact", (5, 1), LABEL)

    with pytest.raises(Unsupported, match="meter m"):
        plane.load(changed(meter_arrays=[{"name": "m"}]))
    with pytest.raises(PlaneError, match="p4c-bm2-ss"):
        plane.load(b"not JSON")

    assert still_calculates(wires, plane)
    assert Calculator(wires, plane).ask(Numbers(0x50, w=5)).n7 == 3


def test_after_a_program_that_the_kernel_refuses_the_old_one_runs_on(wires: Wires, plane: TcPlane) -> None:
    """Half a terabyte of registers."""
    huge = {"size": 1 << 31, "bitwidth": 2048}
    registers = [{**register, **huge} for register in json.loads(CALCULATOR)["register_arrays"]]

    with pytest.raises(PlaneError, match="the kernel refuses the program"):
        plane.load(changed(register_arrays=registers))

    assert still_calculates(wires, plane)


def test_where_one_port_does_not_take_the_program_all_keep_the_old_one(
    wires: Wires, plane: TcPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.insert("Calc.wide_exact", (5, 1), LABEL)
    before = filters(wires, *PORTS.values())
    attach = TcHook.attach

    def refuse(hook: TcHook, program_fd: int) -> None:
        if hook.name == PORTS[2] and program_fd != plane.program_fd:
            raise PlaneError("no")
        attach(hook, program_fd)

    monkeypatch.setattr(TcHook, "attach", refuse)
    with pytest.raises(PlaneError, match="no"):
        plane.load(CALCULATOR)

    assert filters(wires, *PORTS.values()) == before
    assert Calculator(wires, plane).ask(Numbers(0x50, w=5)).n7 == 3


def filters(wires: Wires, *interfaces: str) -> list[str]:
    """With the ids of the programs."""
    return [wires.switch_command("tc", "filter", "show", "dev", each, "ingress") for each in interfaces]


def test_out_of_a_link_that_is_down_comes_nothing_and_out_of_one_that_is_up_again_everything(
    wires: Wires, plane: TcPlane
) -> None:
    """Also where frames go straight to the other end, and would not notice that this end is down."""
    wires.switch_command("ip", "link", "set", "ezt-pl-2", "down")
    plane.refresh()
    wires.far[1].send(ethernet(DST, SRC, ETHER_TYPE, Numbers(0x50, n5=1).pack()))
    assert wires.far[2].receive(0.3) is None

    wires.switch_command("ip", "link", "set", "ezt-pl-2", "up")
    plane.refresh()

    assert still_calculates(wires, plane)


def test_a_port_whose_interface_is_gone_gets_a_new_program_when_it_is_back(wires: Wires, plane: TcPlane) -> None:
    wires.switch_command("ip", "link", "set", "ezt-pl-2", "name", "away")
    plane.refresh()
    plane.load(CALCULATOR)
    assert filters(wires, "away") == [""]

    wires.switch_command("ip", "link", "set", "away", "name", "ezt-pl-2")
    plane.refresh()

    assert still_calculates(wires, plane)


INTERRUPTED = """
import os, signal
from pathlib import Path
from ezpath_tor.hook import TcHook
from ezpath_tor.hook import TcHook
from ezpath_tor.plane import ActionCall
from ezpath_tor.tc import TcPlane
config = Path("{config}").read_bytes()
plane = TcPlane({ports})
plane.load(config)
plane.insert("Calc.wide_exact", (5, 1), ActionCall("Calc.label", (3,)))
attach, done = TcHook.attach, []
def count(hook, program_fd):
    if len(done) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    attach(hook, program_fd)
    done.append(hook)
TcHook.attach = count
plane.load(config)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("after", "survives"), [(0, "old"), (1, "old"), (2, "new")])
def test_killed_while_it_changes_programs_one_of_them_runs_on_all_ports_afterwards(
    wires: Wires, after: int, survives: str
) -> None:
    # Given a switch that was killed when the new program was on so many of two ports
    code = INTERRUPTED.format(config=CONFIG, ports=PORTS, after=after)
    command = ["ip", "netns", "exec", wires.switch, sys.executable, "-c", code]
    subprocess.run(command, check=False, capture_output=True)
    # When another process takes over, then it is the old one with its entry, as long as the new one was not everywhere
    plane = TcPlane(PORTS)
    with inside(wires.switch):
        try:
            assert plane.take_over() is not None
            plane.refresh()
            assert still_calculates(wires, plane)
            assert dict(plane.entries("Calc.wide_exact")) == ({(5, 1): LABEL} if survives == "old" else {})
            one, two = filters(wires, *PORTS.values())
            assert one[one.index("id ") :] == two[two.index("id ") :]
        finally:
            plane.close()


def test_what_another_version_left_is_not_taken_over(
    wires: Wires, plane: TcPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.leave()
    monkeypatch.setattr("ezpath_tor.tc.generate", lambda _: "// other C")
    other = TcPlane(PORTS)
    with pytest.raises(PlaneError, match="compiled by another version of ezpath-tor"):
        other.take_over()
    other.close()
    assert "clsact" not in qdiscs(wires)


def test_every_kind_of_entry_is_read_back_as_it_was_written(wires: Wires, plane: TcPlane) -> None:
    written = {
        "Calc.wide_exact": [((1 << 127) + 5, 1)],
        "Calc.prefixes": [(Lpm(0xAB << 120, 8), 1, 1), (Lpm(0, 0), 3, 1), (Lpm((1 << 128) - 1, 128), 1, 0)],
    }
    for table, keys in written.items():
        for number, key in enumerate(keys):
            plane.insert(table, key, ActionCall("Calc.label", (127 - number,)))
    plane.write_register("Calc.odd", 1, (1 << 100) - 2)
    plane.leave()

    again = TcPlane(PORTS)
    assert again.take_over() is not None
    try:
        for table, keys in written.items():
            expected = {key: ActionCall("Calc.label", (127 - number,)) for number, key in enumerate(keys)}
            assert dict(again.entries(table)) == expected
        assert int.from_bytes(bytes(again.read_register("Calc.odd")[1]), "big") == (1 << 100) - 2
        with pytest.raises(PlaneError, match="already"):
            again.insert("Calc.prefixes", written["Calc.prefixes"][0], LABEL)
    finally:
        again.close()


def test_a_full_table_says_so_and_has_room_again_after_a_delete(plane: TcPlane) -> None:
    plane.insert("Calc.wide_exact", (1, 1), LABEL)
    plane.insert("Calc.wide_exact", (2, 1), LABEL)

    with pytest.raises(TableFull, match="room for 2 entries"):
        plane.insert("Calc.wide_exact", (3, 1), LABEL)

    plane.delete("Calc.wide_exact", (1, 1))
    plane.insert("Calc.wide_exact", (3, 1), LABEL)


def test_the_programs_own_size_counts_where_no_limit_is_smaller(plane: TcPlane) -> None:
    for number in range(16):
        plane.insert("Calc.prefixes", (Lpm(number << 120, 8), 1, 1), LABEL)

    with pytest.raises(TableFull, match="room for 16 entries"):
        plane.insert("Calc.prefixes", (Lpm(16 << 120, 8), 1, 1), LABEL)


def test_a_limit_for_an_unknown_table_is_refused(wires: Wires) -> None:
    with inside(wires.switch), pytest.raises(PlaneError, match=r"Calc\.typo"):
        TcPlane(PORTS, limits={"Calc.typo": 3}).load(CALCULATOR)
    assert "clsact" not in qdiscs(wires)


def insert_twice(plane: TcPlane) -> None:
    for _ in (1, 2):
        plane.insert("Calc.prefixes", (Lpm(0, 0), 9, 9), LABEL)


WRONG: dict[str, tuple[Callable[[TcPlane], object], str]] = {
    "insert twice": (lambda plane: insert_twice(plane), "already"),
    "modify nothing": (lambda plane: plane.modify("Calc.wide_exact", (9, 1), LABEL), "no entry"),
    "delete nothing": (lambda plane: plane.delete("Calc.wide_exact", (9, 1)), "no entry"),
    "unknown table": (lambda plane: plane.insert("Calc.typo", (1,), LABEL), "no table Calc.typo"),
    "unknown action": (
        lambda plane: plane.insert("Calc.wide_exact", (9, 1), ActionCall("Calc.add")),
        "no action Calc.add",
    ),
    "too few parameters": (
        lambda plane: plane.insert("Calc.wide_exact", (9, 1), ActionCall("Calc.label")),
        "takes 1 parameters",
    ),
    "parameter too large": (
        lambda plane: plane.insert("Calc.wide_exact", (9, 1), ActionCall("Calc.label", (128,))),
        "does not fit 7 bits",
    ),
    "key too short": (lambda plane: plane.insert("Calc.wide_exact", (9,), LABEL), "has 2 key fields"),
    "key too large": (lambda plane: plane.insert("Calc.wide_exact", (1 << 128, 1), LABEL), "does not fit 128 bits"),
    "prefix as exact": (lambda plane: plane.insert("Calc.wide_exact", (Lpm(0, 0), 1), LABEL), "matched exactly"),
    "exact as prefix": (lambda plane: plane.insert("Calc.prefixes", (1, 1, 1), LABEL), "matched by prefix"),
    "bits behind prefix": (lambda plane: plane.insert("Calc.prefixes", (Lpm(1, 64), 1, 1), LABEL), "behind its /64"),
    "prefix too long": (lambda plane: plane.insert("Calc.prefixes", (Lpm(1, 129), 1, 1), LABEL), "longer than 128"),
    "unknown register": (lambda plane: plane.read_register("Calc.typo"), "no register Calc.typo"),
    "register index": (lambda plane: plane.write_register("Calc.full", 4, 0), "has 4 cells"),
    "register value": (lambda plane: plane.write_register("Calc.odd", 0, 1 << 100), "does not fit"),
    "unknown counter": (lambda plane: plane.read_counter("Calc.typo"), "no counter Calc.typo"),
    "counter index": (lambda plane: plane.write_counter("Calc.seen", 4, 0, 0), "has 4 cells"),
}


def test_a_wrong_request_is_refused_with_its_reason(plane: TcPlane) -> None:
    for name, (request, reason) in WRONG.items():
        with pytest.raises(PlaneError, match=reason):
            request(plane)
            pytest.fail(f"{name} was accepted")


def test_counters_and_registers_are_written_and_read_back(plane: TcPlane) -> None:
    plane.write_counter("Calc.seen", 3, 5, 1 << 40)
    plane.write_register("Calc.odd", 1, (1 << 100) - 2)

    assert plane.read_counter("Calc.seen").tolist() == [[0, 0], [0, 0], [0, 0], [5, 1 << 40]]
    cells = plane.read_register("Calc.odd")
    assert cells.dtype == np.uint8
    assert [int.from_bytes(bytes(cell), "big") for cell in cells] == [0, (1 << 100) - 2, 0]


def test_without_a_program_it_says_what_to_do() -> None:
    with pytest.raises(PlaneError, match="set a forwarding pipeline first"):
        TcPlane(PORTS).read_counter("Calc.seen")


@pytest.mark.parametrize("ports", [{511: "x"}, {-1: "x"}, {1: "same", 2: "same"}])
def test_impossible_ports_are_refused(ports: dict[int, str]) -> None:
    with pytest.raises(PlaneError):
        TcPlane(ports)


def test_a_frame_to_a_port_that_is_not_there_is_dropped(wires: Wires) -> None:
    only_one = {1: PORTS[1]}
    plane = TcPlane(only_one)
    with inside(wires.switch):
        plane.load(CALCULATOR)
    wires.drain()

    for _ in range(3):
        wires.far[1].send(ethernet(DST, SRC, ETHER_TYPE, Numbers(11, a=1).pack()))

    with inside(wires.switch):
        assert plane.read_counter("Calc.seen").tolist()[1][0] == 3, "the program ran"
        assert wires.drain() == {}
        assert plane.losses == {"out of a port that the switch does not have": 3}
        plane.close()
