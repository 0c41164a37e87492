"""The switch-writer's decisions without a switch: entries, base configuration, generations, waves, undoing."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import grpc
import pytest
from ezpath.desired import Desired, Piece, switch_from_json
from ezpath.events import SwitchCommand
from ezpath.inventory import parse
from ezpath.items import EndpointLocal, EndpointRemote, SwitchItem, TenantTag
from ezpath.names import Mac, PairId, Port, SwitchName, VlanId, Vni
from ezpath_switch_writer.base import base_entries
from ezpath_switch_writer.entries import entry_of, item_of
from ezpath_switch_writer.guard import Guard, Guards
from ezpath_switch_writer.program import NoProgramFound, load_program, load_programs, missing_programs
from ezpath_switch_writer.wave import needs, undo, updates, verdict, waves
from network import NETWORK

from p4rt import P4Info, TableEntry, Update, UpdateFailure

TAG = TenantTag(Port(1), VlanId(100), Vni(5001))
OTHER_TAG = TenantTag(Port(1), VlanId(100), Vni(5002))
LOCAL = EndpointLocal(Vni(5001), Mac("02:00:00:00:00:01"), Port(1), VlanId(100))
REMOTE = EndpointRemote(Vni(5001), Mac("02:00:00:00:00:03"), "10.255.0.1", "10.255.0.2")
MOVED = EndpointRemote(Vni(5001), Mac("02:00:00:00:00:01"), "10.255.0.1", "10.255.0.2")  # LOCAL's key


def command(
    generation: int, put: tuple[SwitchItem, ...] = (), remove: tuple[SwitchItem, ...] = (), saga: str = "s"
) -> SwitchCommand:
    return SwitchCommand(saga, PairId("red.a.b"), generation, "switch-send", SwitchName("tor1"), put, remove)


def holding(*items: SwitchItem) -> dict[tuple[object, ...], TableEntry]:
    return {entry.key: entry for entry in map(entry_of, items)}


# ---- entries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", [TAG, LOCAL, REMOTE])
def test_an_item_becomes_an_entry_and_back(item):
    assert item_of(entry_of(item)) == item


def test_entries_are_what_the_program_takes():
    assert entry_of(REMOTE) == TableEntry(
        "endpoint", {"vni": 5001, "mac": 3 + (2 << 40)}, "to_tunnel", {"local_ip": 0x0AFF0001, "vtep": 0x0AFF0002}
    )


def test_items_of_one_key_are_entries_of_one_key():
    assert LOCAL.key == MOVED.key and entry_of(LOCAL).key == entry_of(MOVED).key
    assert TAG.key == OTHER_TAG.key and entry_of(TAG).key == entry_of(OTHER_TAG).key


# ---- base configuration ----------------------------------------------------------------------------------------------


def test_base_configuration_comes_from_the_inventory(inventory):
    entries = base_entries(inventory, SwitchName("tor1"))
    by_table: dict[str, list[TableEntry]] = {}
    for entry in entries:
        by_table.setdefault(entry.table, []).append(entry)
    mac = 0x02000000FF01
    assert by_table["router_mac"] == [TableEntry("router_mac", {"mac": mac}, "for_router")]
    assert by_table["local_vtep"] == [
        TableEntry("local_vtep", {"vtep": 0x0AFF0001}, "is_local_vtep"),
        TableEntry("local_vtep", {"vtep": 0x0AFF0002}, "is_peer_vtep"),
    ]
    # Tunnels are taken from the other switch, on the fabric port, and nowhere else
    assert by_table["tunnel_source"] == [
        TableEntry("tunnel_source", {"ingress_port": 10, "vtep": 0x0AFF0002}, "allow_source")
    ]
    assert (
        TableEntry("arp_responder", {"ingress_port": 1, "target_ip": 0x0A010100}, "arp_reply", {"mac": mac}) in entries
    )
    assert len(by_table["arp_responder"]) == 3


def test_routes_and_the_default_route():
    from ezpath.inventory import parse
    from network import NETWORK

    text = NETWORK.replace(
        '    mac: "02:00:00:00:ff:01"\n',
        '    mac: "02:00:00:00:ff:01"\n    routes:\n'
        '      - {prefix: 10.1.3.0/31, port: 10, next_hop: "02:00:00:00:ee:01"}\n'
        '      - {prefix: 0.0.0.0/0, port: 10, next_hop: "02:00:00:00:ee:01"}\n',
    )
    routes = [entry for entry in base_entries(parse(text), SwitchName("tor1")) if entry.table == "route"]
    hop = {"port": 10, "src": 0x02000000FF01, "dst": 0x02000000EE01}
    # P4Runtime says "any" by leaving the field out
    assert routes == [
        TableEntry("route", {"prefix": (0x0A010300, 31)}, "next_hop", hop),
        TableEntry("route", {}, "next_hop", hop),
    ]


@pytest.mark.parametrize("name", ["ezpath", "ezpath.bmv2"])
def test_every_entry_fits_the_compiled_programs(inventory, request, name):
    from p4rt.entries import from_proto, to_proto

    program = load_program(request.config.rootpath / "p4", name)
    info: P4Info = program.p4info
    for entry in (*base_entries(inventory, SwitchName("tor1")), *map(entry_of, (TAG, LOCAL, REMOTE))):
        assert from_proto(to_proto(entry, info), info) == entry


def test_a_missing_program_is_named_with_the_remedy(tmp_path):
    with pytest.raises(NoProgramFound, match="make p4"):
        load_program(tmp_path, "ezpath")


def test_each_switch_is_given_the_program_that_the_inventory_names(request):
    # Given a rack of each kind
    mixed = parse(NETWORK.replace("    rack: r2\n", "    rack: r2\n    program: ezpath.bmv2\n"))
    switches = list(mixed.switches.values())
    # When their programs are loaded
    programs = load_programs(request.config.rootpath / "p4", switches)
    # Then they are two, which a switch can tell apart
    assert programs[SwitchName("tor1")].cookie != programs[SwitchName("tor2")].cookie
    assert list(missing_programs(request.config.rootpath / "p4", switches)) == []


def test_every_program_that_is_missing_is_told_with_a_switch_that_wants_it(tmp_path):
    mixed = parse(NETWORK.replace("    rack: r2\n", "    rack: r2\n    program: ezpath.bmv2\n"))
    told = list(missing_programs(tmp_path, list(mixed.switches.values())))
    assert sorted(line.split(" is not there")[0] for line in told) == [
        f"tor1 is to run ezpath: {tmp_path}/ezpath.p4info.txtpb",
        f"tor2 is to run ezpath.bmv2: {tmp_path}/ezpath.bmv2.p4info.txtpb",
    ]


# ---- generations -----------------------------------------------------------------------------------------------------


def test_a_newer_and_a_repeated_command_may_be_carried_out():
    guard = Guard()
    assert guard.stale(command(5, put=(TAG,))) == ""
    guard.record(command(5, put=(TAG,)))
    assert guard.stale(command(5, put=(TAG,))) == ""
    assert guard.stale(command(6, remove=(TAG,))) == ""


def test_a_late_command_that_contradicts_a_newer_one_is_stale():
    guard = Guard()
    guard.record(command(6, remove=(TAG,)))
    assert guard.stale(command(5, put=(TAG,))).startswith("stale: generation 5")
    guard.record(command(8, put=(LOCAL,)))
    assert guard.stale(command(7, remove=(LOCAL,))).startswith("stale")
    assert guard.stale(command(7, put=(MOVED,))).startswith("stale")


def test_a_late_command_that_asks_for_what_is_so_is_no_harm():
    guard = Guard()
    guard.record(command(8, put=(LOCAL,)))
    assert guard.stale(command(7, put=(LOCAL,))) == ""
    assert guard.stale(command(7, remove=(MOVED,))) == ""
    guard.record(command(9, remove=(LOCAL,)))
    assert guard.stale(command(7, remove=(LOCAL,))) == ""


def test_an_older_word_that_agrees_does_not_become_the_newest():
    guard = Guard()
    guard.record(command(8, put=(LOCAL,)))
    guard.record(command(6, put=(LOCAL,)))
    assert guard.stale(command(7, remove=(LOCAL,))).startswith("stale")


def test_one_stale_item_makes_the_command_stale_and_others_are_untouched():
    guard = Guard()
    guard.record(command(6, remove=(TAG,)))
    assert guard.stale(command(5, put=(LOCAL, TAG))).startswith("stale")
    assert guard.stale(command(5, put=(LOCAL,))) == ""


def test_after_a_restart_the_desired_state_outranks_what_is_not_newer():
    # Given a writer that knows nothing but what KV says as of generation 10
    guard = Guard()
    guard.learn(Desired(10, frozenset({LOCAL})))
    # Then old commands that contradict it are stale, those that agree and those that are newer are not
    assert guard.stale(command(9, put=(TAG,))).startswith("stale")
    assert guard.stale(command(10, remove=(LOCAL,))).startswith("stale")
    assert guard.stale(command(10, put=(LOCAL,))) == ""
    assert guard.stale(command(9, remove=(TAG,))) == ""
    assert guard.stale(command(11, put=(TAG,))) == ""


def test_a_world_that_began_anew_voids_what_was_known():
    guard = Guard()
    assert guard.learn(Desired(100, frozenset())) is False
    guard.record(command(100, remove=(TAG,)))
    assert guard.learn(Desired(101, frozenset())) is False
    assert guard.learn(Desired(0, frozenset())) is True
    assert guard.stale(command(1, put=(TAG,))) == ""


def test_each_shard_of_the_deciders_counts_its_own_generations():
    # Given that shard 0 has come to generation 900, and shard 2 to 3
    guards = Guards()
    assert guards.desired is None
    guards.learn(0, Desired(900, frozenset({LOCAL})))
    guards.learn(2, Desired(3, frozenset({REMOTE})))
    # Then the switch ought to hold what either wants
    assert guards.desired is not None and guards.desired.items == {LOCAL, REMOTE}
    # And a command is as old as its own shard says
    assert guards.stale(replace(command(4, put=(TAG,)), shard=2)) == ""
    assert guards.stale(replace(command(3, put=(TAG,)), shard=2)).startswith("stale")
    assert guards.stale(command(4, put=(TAG,))).startswith("stale")
    guards.record(replace(command(4, put=(TAG,)), shard=2))
    assert guards.stale(replace(command(3, remove=(TAG,)), shard=2)).startswith("stale")
    # And a shard that began anew says nothing about the other
    assert guards.learn(2, Desired(0, frozenset()))
    assert not guards.learn(0, Desired(901, frozenset({LOCAL})))
    assert guards.desired is not None and guards.desired.items == {LOCAL}


def test_the_desired_state_is_read_as_the_decider_writes_it():
    document = {"generation": 7, "items": [asdict(TAG), asdict(LOCAL), asdict(REMOTE)]}
    assert switch_from_json(json.dumps(document).encode()) == Piece(7, frozenset({TAG, LOCAL, REMOTE}))


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b"7", b'{"items":[]}', b'{"generation":"7","items":[]}', b'{"generation":7,"items":[{"kind":"x"}]}'],
)
def test_a_desired_state_that_is_none_says_so(data):
    with pytest.raises(ValueError, match=r"."):
        switch_from_json(data)


# ---- waves -----------------------------------------------------------------------------------------------------------


def test_commands_that_agree_go_in_one_batch():
    commands = [command(1, put=(LOCAL, TAG)), command(2, put=(TAG, REMOTE))]
    (wave,) = waves(commands)
    assert wave == commands
    assert len(updates([need for each in wave for need in needs(each)], {})) == 3  # the tag once


def test_a_contradiction_begins_a_new_batch():
    """P4Runtime promises no order within a batch."""
    commands = [command(1, put=(TAG,)), command(2, put=(LOCAL,)), command(3, remove=(TAG,)), command(4, put=(TAG,))]
    assert [len(wave) for wave in waves(commands)] == [2, 1, 1]
    assert list(waves([])) == []


def test_only_what_is_not_so_is_written():
    def batch(each: SwitchCommand, *there: SwitchItem) -> list[Update]:
        return updates(needs(each), holding(*there))

    assert batch(command(1, put=(TAG,))) == [Update.insert(entry_of(TAG))]
    assert batch(command(1, put=(TAG,)), TAG) == []
    assert batch(command(1, put=(MOVED,)), LOCAL) == [Update.modify(entry_of(MOVED))]
    assert batch(command(1, remove=(TAG,)), TAG) == [Update.delete(entry_of(TAG))]
    assert batch(command(1, remove=(TAG,))) == []
    # The key is there, with something else: what was to be removed is absent already
    assert batch(command(1, remove=(LOCAL,)), MOVED) == []


def test_a_verdict_has_the_switchs_words():
    update = Update.insert(entry_of(TAG))
    failures = {update.entry.key: UpdateFailure(0, update, grpc.StatusCode.RESOURCE_EXHAUSTED, "table is full")}
    assert verdict(command(1, put=(TAG,)), holding(TAG), failures) == ""
    reason = verdict(command(1, put=(TAG,)), {}, failures)
    assert reason.startswith("RESOURCE_EXHAUSTED: table is full") and "tenant_tag" in reason


def test_what_is_not_read_back_is_a_failure_even_if_the_write_was_fine():
    assert verdict(command(1, put=(TAG,)), {}, {}).startswith("read back")
    assert verdict(command(1, remove=(TAG,)), holding(TAG), {}).startswith("read back")


def test_a_failed_command_is_undone_and_what_others_need_is_kept():
    failed = command(1, put=(TAG, LOCAL, REMOTE), saga="bad")
    good = command(2, put=(TAG,), saga="good")
    # Given that LOCAL was a tunnel before, the tag is new and shared, and REMOTE did not get in
    before, after = holding(MOVED), holding(TAG, LOCAL)
    assert undo([failed], [good], before, after) == [Update.modify(entry_of(MOVED))]
    assert set(undo([failed], [], before, after)) == {Update.delete(entry_of(TAG)), Update.modify(entry_of(MOVED))}


def test_what_was_there_before_is_never_undone():
    failed = command(1, put=(TAG, REMOTE))
    assert undo([failed], [], holding(TAG), holding(TAG)) == []
