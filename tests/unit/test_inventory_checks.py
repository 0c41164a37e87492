"""An inventory is refused as a whole, with every mistake's file, line, field, cause and remedy."""

from __future__ import annotations

import pytest
from ezpath.inventory import Inventory, InventoryError, Problem, load, parse
from ezpath.names import EndpointName, Mac, PairId, SwitchName, Tenant, Vni
from hypothesis import given
from hypothesis import strategies as st
from network import NETWORK


def problems(text: str) -> list[Problem]:
    with pytest.raises(InventoryError) as refused:
        parse(text, "n.yaml")
    return refused.value.problems


def with_(old: str, new: str) -> str:
    assert old in NETWORK
    return NETWORK.replace(old, new, 1)


def line_of(text: str, what: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if what in line)


R1 = "    rack: r1\n"
MAC2 = '"02:00:00:00:00:02"'

MISTAKES = {
    # name: (what is changed, into what, field, cause, remedy)
    "unknown host": ("host: h22,", "host: h99,", "endpoints.3.host", "unknown host h99", "h11, h12, h21, h22"),
    "unknown tenant": ("red-4, tenant: red", "red-4, tenant: gray", "endpoints.3.tenant", "gray", "red, blue"),
    "unknown switch": ("h22: {switch: tor2", "h22: {switch: tor9", "hosts.h22.switch", "tor9", "tor1, tor2"),
    "switch VTEP twice": ("vtep: 10.255.0.2", "vtep: 10.255.0.1", "switches.tor2.vtep", "switch tor1's", "of its own"),
    "host VTEP twice": ("vtep: 10.1.4.1", "vtep: 10.1.3.1", "hosts.h22.vtep", "host h21's", "of its own"),
    "host has a switch's VTEP": ("vtep: 10.1.4.1", "vtep: 10.255.0.1", "hosts.h22.vtep", "switch tor1's", "of its own"),
    "VNI twice": ("vni: 5002", "vni: 5001", "tenants.blue.vni", "tenant red's", "of its own"),
    "VNI too great": ("vni: 5002", "vni: 16777216", "tenants.blue.vni", "out of range", "at most 16777215"),
    "VNI zero": ("vni: 5002", "vni: 0", "tenants.blue.vni", "out of range", "at least 1"),
    "VNI as text": ("vni: 5002", 'vni: "5002"', "tenants.blue.vni", "not a whole number", "without quotes"),
    "VNI as truth": ("vni: 5002", "vni: true", "tenants.blue.vni", "not a whole number", "digits"),
    "VNI as float": ("vni: 5002", "vni: 5002.0", "tenants.blue.vni", "not a whole number", "digits"),
    "MAC in two places": (MAC2, '"02:00:00:00:00:01"', "endpoints.1.mac", "endpoint red-1's", "one place only"),
    "MAC of two switches": ("ff:02", "FF:01", "switches.tor2.mac", "switch tor1's", "one place only"),
    "MAC unquoted": (MAC2, "10:11:12:13:14:15", "endpoints.1.mac", "is a number", "in quotes"),
    "MAC of a group": (MAC2, '"03:00:00:00:00:02"', "endpoints.1.mac", "group address", "even first byte"),
    "MAC too short": (MAC2, '"02:00:00:00:00"', "endpoints.1.mac", "no MAC address", "02:00:00:00:00:01"),
    "IP in two places": ("ip: 10.0.0.5", "ip: 10.0.0.1", "endpoints.4.ip", "endpoint red-1's", "one place only"),
    "IP wrong": ("ip: 10.0.0.4", "ip: 10.0.0.400", "endpoints.3.ip", "400", "Correct"),
    "IP a number": ("ip: 10.0.0.4", "ip: 10", "endpoints.3.ip", "no IPv4 address", "10.0.0.1"),
    "interface twice": ("interface: red5", "interface: red1", "endpoints.4.interface", "red-1's", "one place only"),
    "interface empty": ("interface: red5", 'interface: ""', "endpoints.4.interface", "empty", "Give a value"),
    "endpoint twice": ("name: red-2", "name: red-1", "endpoints.1.name", "listed twice", "unique"),
    "name with a wildcard": ("  blue: {", '  "*": {', "tenants.*", "no name", "lower case"),
    "name with a dot": ("name: red-2", "name: red.2", "endpoints.1.name", "no name", "lower case"),
    "name with a line end": ("name: red-2", 'name: "red\\n"', "endpoints.1.name", "no name", "lower case"),
    "name a number": ("name: red-2", "name: 2", "endpoints.1.name", "not text", "quotes"),
    "field unknown": ("rack: r1", "rack: r1\n    color: x", "switches.tor1.color", "not known", "Remove it"),
    "field missing": ("    vtep: 10.255.0.1\n", "", "switches.tor1.vtep", "missing", "Add it"),
    "port twice": ("{number: 2, address: 10.1.2.0}", "{number: 1, address: 10.1.2.0}", "switches.tor1.ports.1.number",
                   "port 1 is listed twice", "Keep one"),
    "port not there": ("switch: tor2, port: 2", "switch: tor2, port: 7", "hosts.h22.port", "no port 7", "ports"),
    "host on the fabric": ("switch: tor2, port: 2", "switch: tor2, port: 10", "hosts.h22.port", "fabric", "not marked"),
    "two hosts, one port": ("switch: tor2, port: 2", "switch: tor2, port: 1", "hosts.h22.port", "h21's", "One host"),
    "flag as text": ("fabric: true", 'fabric: "yes"', "switches.tor1.ports.2.fabric", "true nor false", "quotes"),
    "tags backwards": ("vlans: {first: 100", "vlans: {first: 200", "hosts.h11.vlans", "greater", "Swap"),
    "switch address": ("unix:/run/tor1.sock", "/run/tor1.sock", "switches.tor1.address", "P4Runtime", "unix:/path"),
    "OVSDB address": ("unix:/run/h11/db.sock", "/run/h11/db", "hosts.h11.ovsdb", "no OVSDB", "unix:/path/db.sock"),
    "same device": ("device_id: 2\n    address: unix:/run/tor2.sock", "device_id: 1\n    address: unix:/run/tor1.sock",
                    "switches.tor2.address", "switch tor1 already", "its own address"),
    "registers nowhere": (R1, f"{R1}    registers: thrift://t\n", "switches.tor1.registers", "no place", "thrift://h"),
    "registers elsewhere": (R1, f"{R1}    registers: http://x:1\n", "switches.tor1.registers", "no place", "leave it"),
    "registers at port 0": (R1, f"{R1}    registers: thrift://x:0\n", "switches.tor1.registers", "no place", "Write"),
    "registers too high": (R1, f"{R1}    registers: thrift://x:65536\n", "switches.tor1.registers", "no pl", "Write"),
    "registers a number": (R1, f"{R1}    registers: 9090\n", "switches.tor1.registers", "not text", "quotes"),
    "program in a folder": (R1, f"{R1}    program: p4/x\n", "switches.tor1.program", "no name", "without a folder"),
    "program empty": (R1, f'{R1}    program: ""\n', "switches.tor1.program", "no name", "ezpath.bmv2"),
    "key twice": ("  h12:", "  h11:", "hosts.h11", "given twice", "Keep one"),
    "key twice, deep": ("device_id: 2", "device_id: 2\n    device_id: 3", "switches.tor2.device_id", "twice", "Keep"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_field_cause_and_remedy(name):
    old, new, field, cause, remedy = MISTAKES[name]
    first = problems(with_(old, new))[0]
    assert first.file == "n.yaml"
    assert first.field == field
    assert cause in first.cause
    assert remedy in first.remedy
    assert "\n" not in str(first)


@pytest.mark.parametrize(
    ("old", "new", "marker"),
    [
        ("vni: 5002", "vni: 5001", "blue: {vni: 5001}"),
        ("host: h22,", "host: h99,", "h99"),
        (MAC2, "10:11:12:13:14:15", "10:11:12"),
        ("device_id: 2", "device_id: 2\n    device_id: 3", "device_id: 3"),
        ("vtep: 10.255.0.2", "vtep: 10.255.0.1x", "10.255.0.1x"),
        ("rack: r1", "rack: r1\n    color: x", "color: x"),
    ],
)
def test_the_line_is_the_mistakes(old, new, marker):
    text = with_(old, new)
    assert problems(text)[0].line == line_of(text, marker)


ROUTES = """    mac: "02:00:00:00:ff:01"
    routes:
      - {prefix: 10.1.3.0/31, port: 10, next_hop: "02:00:00:00:ee:01"}
      - {prefix: %s, port: %s, next_hop: "02:00:00:00:ee:01"}
"""


@pytest.mark.parametrize(
    ("prefix", "port", "field", "cause"),
    [
        ("10.1.3.0/31", 10, "prefix", "routed twice"),
        ("10.1.3.1/31", 10, "prefix", "host bits"),
        ("10.1.4.0/31", 11, "port", "not among the ports"),
    ],
)
def test_routes(prefix, port, field, cause):
    text = with_('    mac: "02:00:00:00:ff:01"\n', ROUTES % (prefix, port))
    (problem,) = problems(text)
    assert problem.field == f"switches.tor1.routes.1.{field}" and cause in problem.cause
    assert problem.line == line_of(text, f"prefix: {prefix}, port: {port}") or field == "prefix"


REGISTERS = "thrift://bmv2.example:9090"


def with_registers(one: str, other: str) -> str:
    text = with_("    rack: r1\n", f"    rack: r1\n    registers: {one}\n")
    return text.replace("    rack: r2\n", f"    rack: r2\n    registers: {other}\n    program: ezpath.bmv2\n")


def test_two_switches_do_not_have_the_same_registers():
    text = with_registers(REGISTERS, REGISTERS)
    (problem,) = problems(text)
    assert problem.field == "switches.tor2.registers" and "switch tor1's already" in problem.cause
    assert problem.line == line_of(text, "rack: r2") + 1


def test_where_a_switch_keeps_its_registers_and_what_it_runs():
    switches = parse(with_registers("thrift+unix:/run/t.sock", "'thrift://[fd00::1]:9090'")).switches
    tor1, tor2 = (switches[SwitchName(name)].config for name in ("tor1", "tor2"))
    assert (tor1.registers, tor1.program) == ("thrift+unix:/run/t.sock", "ezpath")
    assert (tor2.registers, tor2.program) == ("thrift://[fd00::1]:9090", "ezpath.bmv2")
    assert parse(NETWORK).switches[SwitchName("tor1")].config.registers is None


def test_all_mistakes_are_told_at_once():
    text = with_("vni: 5002", "vni: 5001").replace("host: h22,", "host: h99,").replace("10.255.0.2", "10.255.0.1")
    found = problems(text)
    assert [problem.field for problem in found] == ["tenants.blue.vni", "switches.tor2.vtep", "endpoints.3.host"]
    with pytest.raises(InventoryError) as refused:
        parse(text)
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", "not a mapping"),
        ("hello", "not a mapping"),
        ("- 1", "not a mapping"),
        ("tenants:\n", "not a mapping"),
        ("a:\n\t- b", "not YAML"),
        ("a: 'b", "not YAML"),
        ("a: \0", "not YAML"),
        ("a: 2020-99-99", "YAML cannot read"),
        ("[" * 500, "nested too deeply"),
        ("a: !!python/object/apply:os.system [x]", "not YAML"),
        ("a: 1\n---\nb: 1", "not YAML"),
        ("a: &a [*a]", "missing"),
        ("? [1]\n: 2", "not YAML"),
    ],
)
def test_what_is_no_inventory_at_all(text, cause):
    assert cause in problems(text)[0].cause


def test_aliases_are_no_trap():
    """Each line doubles the one before: a billion of them, were they followed."""
    levels = "\n".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))
    assert problems(f"a0: &a0 [x]\n{levels}")


@given(st.text(max_size=200))
def test_no_text_does_anything_but_parse_or_be_refused(text):
    with pytest.raises(InventoryError):
        parse(text)


def test_a_file_that_cannot_be_read(tmp_path):
    for file, cause in ((tmp_path / "none", "No such file"), (tmp_path, "directory"), (tmp_path / "latin", "UTF-8")):
        if file.name == "latin":
            file.write_bytes(b"\xe9")
        with pytest.raises(InventoryError, match=cause):
            load(file)


# ---- what a good one answers -----------------------------------------------------------------------------------------


def test_tenants_may_use_the_same_addresses(inventory: Inventory):
    red, blue = (inventory.by_address[(Vni(vni), Mac("02:00:00:00:00:01"))] for vni in (5001, 5002))
    assert (red.name, blue.name) == ("red-1", "blue-1")
    assert red.ip == blue.ip and red.host == blue.host


def test_a_pair_has_one_name_whichever_way_round(inventory: Inventory):
    one, other = inventory.endpoints[EndpointName("red-3")], inventory.endpoints[EndpointName("red-1")]
    assert inventory.pair(one, other) == inventory.pair(other, one)
    assert inventory.pair(one, other).id == "red.red-1.red-3"
    assert inventory.pair_by_id(PairId("red.red-3.red-1")) == inventory.pair(one, other)


@pytest.mark.parametrize(
    "pair", ["red.red-1", "red.red-1.red-1", "red.red-1.blue-3", "blue.red-1.red-3", "red.x.y", ""]
)
def test_what_is_no_pair(inventory: Inventory, pair: str):
    assert inventory.pair_by_id(PairId(pair)) is None


def test_a_pair_of_two_tenants_is_refused(inventory: Inventory):
    with pytest.raises(ValueError, match="no pair of one tenant"):
        inventory.pair(inventory.endpoints[EndpointName("red-1")], inventory.endpoints[EndpointName("blue-3")])


def test_an_endpoint_knows_its_switch(inventory: Inventory):
    assert inventory.switch_of(inventory.endpoints[EndpointName("red-3")]).name == SwitchName("tor2")
    assert inventory.tenants[Tenant("blue")] == 5002
