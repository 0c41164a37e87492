"""The fuzzer itself: it finds what is planted and makes it small, it finds nothing where nothing is, and it repeats."""

from __future__ import annotations

import asyncio
import itertools
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conformance.differ import Differ, Difference, cases
from conformance.parser import Parser
from conformance.pools import SENDERS
from conformance.render import as_source
from conformance.shrink import Case, shrink
from conformance.switches import SoftwareTor
from conformance.target import Program
from conformance.vector import Outcome, Sent, Vector
from conformance.vectors import VECTORS
from packet.entries import default, entry
from packet.frames import mac
from packet.rack import C3, RED

from p4rt import TableEntry

CONFIG = Path(__file__).parents[2] / "p4" / "ezpath.json"
Json = dict[str, Any]


# ---- small and pure


def test_a_case_shrinks_to_what_its_difference_needs() -> None:
    # Given a difference that needs one of many entries and two bytes of one of many frames
    entries = tuple(entry("router_mac", {"mac": number}, "for_router") for number in range(40))
    sent = tuple((1, bytes([number]) * 200) for number in range(60))

    def differs(case: Case) -> bool:
        return entries[17] in case.tables and any(frame[2:4] == b"\x2a\x2a" for _, frame in case.sent)

    # When it is made small, then nothing else is left
    assert shrink(Case(entries, sent), differs) == Case((entries[17],), ((1, b"\0\0\x2a\x2a" + bytes(10)),))


def test_what_is_printed_is_the_vector() -> None:
    program = Program.read(CONFIG)
    parser = Parser(program.config)

    for vector in VECTORS:
        names = {"Vector": Vector, "Outcome": Outcome, "entry": entry, "default": default}
        assert eval(as_source(vector, program.info, parser), names) == vector


def test_a_batch_depends_on_seed_and_number_alone() -> None:
    info = Program.read(CONFIG).info
    (_, (_, second)) = cases(7, info, packets=200, batch=100)

    assert list(cases(7, info, packets=100, batch=100, first=1)) == [(1, second)]
    assert list(cases(8, info, packets=100, batch=100, first=1)) != [(1, second)]


def test_senders_are_alike_to_the_monitor() -> None:
    crcs = {zlib.crc32(RED.to_bytes(3, "big") + mac(sender) + mac(C3)) for sender in SENDERS}

    assert len(set(SENDERS)) == 8
    assert len(crcs) == 1


class Dummy:
    """A switch that passes nothing on and holds as many flows as it was sent frames, with ``more`` for a time."""

    def __init__(self, label: str, more: Iterable[int] = ()) -> None:
        self.label = label
        self._more = iter(more)
        self._sent: Sent = ()

    def install(self, entries: Iterable[TableEntry]) -> None: ...

    def forget(self) -> None: ...

    def observe(self, sent: Sent) -> Outcome:
        self._sent = sent
        return Outcome({}, {})

    def monitored(self) -> Mapping[str, int]:
        return {"unmonitored": 0, "flows": len(self._sent) + next(self._more, 0)}


def checked_dummies(more: Iterable[int]) -> tuple[Differ, Difference | None]:
    dummies: Any = (Dummy("right"), Dummy("wrong", more))
    differ = Differ(dummies, Parser(Program.read(CONFIG).config), monitor=True)
    return differ, differ.check("dummies", Case((), ((1, bytes(60)), (2, bytes(60)))))


def test_monitors_that_differ_are_a_difference() -> None:
    _, difference = checked_dummies(itertools.repeat(1))

    assert difference is not None
    assert {label: outcome.monitored["flows"] for label, outcome in difference.outcomes.items()} == {
        "right": 0,
        "wrong": 1,
    }


def test_monitors_that_differed_by_the_clock_are_none() -> None:
    differ, difference = checked_dummies([1, 0])

    assert difference is None
    assert (differ.tally.monitors_once, differ.tally.frames_once) == (1, [])


# ---- two software ToRs


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]) -> Iterator[list[SoftwareTor]]:
    """Two of them; the first runs the program."""
    needs("ip", "clang", "sysctl", root=True)
    directory = tmp_path_factory.mktemp("pair")
    with asyncio.Runner() as runner:
        switches = [SoftwareTor(runner, directory, label) for label in ("right", "wrong")]
        try:
            for switch in switches:
                switch.start()
            switches[0].load(Program.read(CONFIG))
            yield switches
        finally:
            for switch in switches:
                switch.stop()


def fuzz(pair: list[SoftwareTor], packets: int, *, monitor: bool) -> tuple[Differ, Difference | None]:
    program = Program.read(CONFIG)
    differ = Differ(pair, Parser(program.config), monitor=monitor)
    checked = (differ.check(f"batch {number}", case) for number, case in cases(1, program.info, packets, batch=300))
    return differ, next(filter(None, checked), None)


@pytest.mark.root
def test_nothing_is_found_between_two_that_are_the_same(pair: list[SoftwareTor]) -> None:
    pair[1].load(Program.read(CONFIG))

    differ, difference = fuzz(pair, packets=3000, monitor=True)

    assert difference is None
    assert differ.tally.packets == 3000
    assert differ.tally.frames_out > 500, "most packets must not be dropped at once: then nothing would be compared"
    assert differ.tally.flows > 100
    assert len(differ.tally.drops) >= 12


def keep_priority(program: Json) -> None:
    retag = _action(program, "EzIngress.tunnel.retag")
    retag["primitives"] = [one for one in retag["primitives"] if one["parameters"][0]["value"] != ["vlan", "pcp"]]


def accept_ttl_1(program: Json) -> None:
    conditions = _ingress(program)["conditionals"]
    (condition,) = [one for one in conditions if "hdr.ipv4.ttl <= 1" in one["source_info"]["source_fragment"]]
    condition["expression"]["value"]["right"]["value"] = "0x00"


def count_no_route_as_something_else(program: Json) -> None:
    _action(program, "EzIngress.underlay.no_route")["primitives"][0]["parameters"][1]["value"] = "0x0f"


def let_any_source_in(program: Json) -> None:
    (table,) = [one for one in _ingress(program)["tables"] if one["name"] == "EzIngress.tunnel.tunnel_source"]
    table["next_tables"]["__MISS__"] = table["next_tables"]["__HIT__"]


def read_vxlan_at_another_port(program: Json) -> None:
    (state,) = [one for one in program["parsers"][0]["parse_states"] if one["name"] == "parse_udp"]
    state["transitions"][0]["value"] = "0x12b6"


def _action(program: Json, name: str) -> Json:
    found: Json = next(one for one in program["actions"] if one["name"] == name)
    return found


def _ingress(program: Json) -> Json:
    found: Json = program["pipelines"][0]
    return found


@pytest.mark.root
@pytest.mark.parametrize(
    "plant",
    [keep_priority, accept_ttl_1, count_no_route_as_something_else, let_any_source_in, read_vxlan_at_another_port],
)
def test_a_planted_fault_is_found_and_made_small(pair: list[SoftwareTor], plant: Callable[[Json], None]) -> None:
    # Given a switch whose program has a fault
    program = Program.read(CONFIG)
    faulty = json.loads(program.config)
    plant(faulty)
    pair[1].load(Program("faulty", program.info, json.dumps(faulty).encode()))

    # When packets are thrown at it and at one that has none
    _, difference = fuzz(pair, packets=3000, monitor=False)

    # Then the fault is found, and what is printed shows it again with one short frame and few entries
    assert difference is not None
    assert len(difference.vector.sent) == 1
    assert len(difference.vector.sent[0][1]) <= 100
    assert len(difference.vector.tables) <= 5
    for switch, agrees in zip(pair, (True, False), strict=True):
        switch.install(difference.vector.tables)
        assert (switch.observe(difference.vector.sent) == difference.vector.expected) is agrees
