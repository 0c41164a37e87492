"""Writing and reading table entries: every update of a batch gets its own status, and reads see all of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc.aio
import pytest
from p4rt.entries import from_proto, to_proto

from p4rt import P4Info, P4RuntimeError, TableEntry, Update, messages


def endpoint(mac: int, port: int = 1) -> TableEntry:
    return TableEntry("endpoint", {"vni": 5001, "mac": mac}, "to_port", {"port": port, "vid": 7})


def route(prefix: int, length: int, port: int = 1) -> TableEntry:
    match = {"prefix": (prefix, length)} if length else {}
    return TableEntry("route", match, "next_hop", {"port": port, "src": 1, "dst": 2})


def proto(info: P4Info, entry: TableEntry, kind: str = "INSERT") -> messages.Update:
    return messages.Update(
        type=messages.Update.Type.Value(kind), entity=messages.Entity(table_entry=to_proto(entry, info))
    )


async def read_raw(rig: Any, *wanted: messages.TableEntry) -> list[messages.TableEntry]:
    entities = [messages.Entity(table_entry=each) for each in wanted]
    found = []
    async for data in rig.stub().read(messages.ReadRequest(device_id=1, entities=entities)):
        found += [entity.table_entry for entity in messages.ReadResponse.FromString(data).entities]
    return found


async def test_what_is_written_is_read_and_stands_in_the_data_plane(rig: Any) -> None:
    client = await rig.primary()
    entries = [endpoint(mac) for mac in range(3)] + [route(0x0A000000, 8), route(0, 0)]
    assert await client.write([Update.insert(entry) for entry in entries]) == []
    assert await client.read_table() == entries
    assert await client.read_table("route") == entries[3:]
    assert await client.read_table("EzIngress.tunnel.endpoint") == entries[:3]
    assert len(rig.plane.tables["EzIngress.tunnel.endpoint"]) == 3


async def test_each_update_of_a_batch_succeeds_or_fails_on_its_own(rig: Any) -> None:
    # Given an entry
    client = await rig.primary()
    await client.write([Update.insert(endpoint(1))])
    # When a batch has everything that can be wrong in the middle
    updates = [
        Update.insert(endpoint(2)),
        Update.insert(endpoint(1)),
        Update.modify(endpoint(9)),
        Update.delete(endpoint(9)),
        Update.insert(TableEntry("endpoint", {"vni": 1, "mac": 2**48}, "to_port", {"port": 1, "vid": 7})),
        Update.insert(TableEntry("tenant_tag", {"ingress_port": 1, "vid": 1}, "to_port", {"port": 1, "vid": 7})),
        Update.insert(endpoint(3)),
    ]
    failures = await client.write(updates)
    # Then each is named with its own code, and the others are in
    assert [(failure.index, failure.code.name) for failure in failures] == [
        (1, "ALREADY_EXISTS"),
        (2, "NOT_FOUND"),
        (3, "NOT_FOUND"),
        (4, "OUT_OF_RANGE"),
        (5, "INVALID_ARGUMENT"),
    ]
    assert str(failures[0]) == (
        "update 1 (INSERT endpoint[vni=0x1389, mac=0x1] -> to_port(port=0x1, vid=0x7)) was refused with "
        "ALREADY_EXISTS: table endpoint has this entry already"
    )
    assert failures[4].message == "table tenant_tag has no action to_port"
    assert await client.read_table() == [endpoint(1), endpoint(2), endpoint(3)]


async def test_every_way_of_being_wrong_in_one_batch_gets_its_own_status_and_the_others_are_in(
    serve: Callable[..., Any],
) -> None:
    async with serve(limits={"endpoint": 4}) as rig:
        # Given a table with room for four entries, of which one is taken
        client = await rig.primary()
        await client.write([Update.insert(endpoint(1))])
        # When a batch has right and wrong updates, and some that are so by what stands before them
        prioritised = proto(rig.info, endpoint(9))
        prioritised.entity.table_entry.priority = 3
        elsewhere = proto(rig.info, endpoint(9))
        elsewhere.entity.table_entry.table_id = rig.info.tables["route"].id
        nobody = messages.Update(type=messages.Update.INSERT)
        kindless = proto(rig.info, endpoint(9))
        kindless.type = messages.Update.UNSPECIFIED
        long = proto(rig.info, endpoint(9))
        long.entity.table_entry.metadata = bytes(5000)
        batch = [
            ("OK", proto(rig.info, endpoint(2))),
            ("ALREADY_EXISTS", proto(rig.info, endpoint(2, port=2))),  # the same key, twice in the batch
            ("INVALID_ARGUMENT", prioritised),
            ("OK", proto(rig.info, endpoint(3))),
            ("INVALID_ARGUMENT", elsewhere),
            ("NOT_FOUND", proto(rig.info, route(0x0A000000, 8), "DELETE")),
            ("OK", proto(rig.info, route(0x0A000000, 8))),
            ("RESOURCE_EXHAUSTED", long),
            ("OK", proto(rig.info, endpoint(4))),
            ("RESOURCE_EXHAUSTED", proto(rig.info, endpoint(5))),  # the fifth
            ("OK", proto(rig.info, endpoint(1), "DELETE")),
            ("OK", proto(rig.info, endpoint(6))),  # in the place of the one that went
            ("RESOURCE_EXHAUSTED", proto(rig.info, endpoint(7))),
            ("INVALID_ARGUMENT", nobody),
            ("INVALID_ARGUMENT", kindless),
            ("OK", proto(rig.info, endpoint(6, port=2), "MODIFY")),
            ("OK", proto(rig.info, endpoint(6), "DELETE")),
            ("NOT_FOUND", proto(rig.info, endpoint(6), "MODIFY")),
            ("OK", proto(rig.info, endpoint(6, port=3))),
        ]
        code, errors = await rig.write(*(update for _, update in batch))
        # Then each has its own status, in order, and what is right is in
        assert code == "UNKNOWN"
        assert [found for found, _ in errors] == [wanted for wanted, _ in batch]
        assert set(await client.read_table()) == {
            *(endpoint(2), endpoint(3), endpoint(4), endpoint(6, port=3)),
            route(0x0A000000, 8),
        }


async def test_modify_and_delete(rig: Any) -> None:
    client = await rig.primary()
    await client.write([Update.insert(endpoint(1)), Update.insert(endpoint(2))])
    assert await client.write([Update.modify(endpoint(1, port=2)), Update.delete(endpoint(2))]) == []
    assert await client.read_table() == [endpoint(1, port=2)]
    keys = list(rig.plane.tables["EzIngress.tunnel.endpoint"].items())
    assert keys[0][1].params == (2, 7)
    assert len(keys) == 1


async def test_a_delete_needs_the_key_only(rig: Any) -> None:
    client = await rig.primary()
    await client.write([Update.insert(endpoint(1))])
    update = proto(rig.info, endpoint(1), "DELETE")
    update.entity.table_entry.action.action.action_id = 99  # to be ignored, however silly
    assert await rig.write(update) == ("OK", [])
    assert await client.read_table() == []


async def test_a_modify_without_action_keeps_it(rig: Any) -> None:
    client = await rig.primary()
    await client.write([Update.insert(endpoint(1))])
    update = proto(rig.info, endpoint(1), "MODIFY")
    update.entity.table_entry.ClearField("action")
    update.entity.table_entry.metadata = b"mine"
    assert await rig.write(update) == ("OK", [])
    (found,) = await read_raw(rig, messages.TableEntry())
    assert found.metadata == b"mine"
    assert from_proto(found, rig.info) == endpoint(1)


async def test_a_full_table_refuses_by_name_and_takes_again_after_a_delete(serve: Callable[..., Any]) -> None:
    async with serve(limits={"endpoint": 3}) as rig:
        client = await rig.primary()
        failures = await client.write([Update.insert(endpoint(mac)) for mac in range(5)])
        assert [(each.index, each.code.name, each.message) for each in failures] == [
            (3, "RESOURCE_EXHAUSTED", "table endpoint is full: 3 entries"),
            (4, "RESOURCE_EXHAUSTED", "table endpoint is full: 3 entries"),
        ]
        assert await client.write([Update.modify(endpoint(0, port=2)), Update.delete(endpoint(1))]) == []
        assert await client.write([Update.insert(endpoint(7))]) == []
        assert len(await client.read_table("endpoint")) == 3


async def test_the_program_s_own_size_is_a_limit_too(rig: Any) -> None:
    client = await rig.primary()
    size = rig.info.tables["local_vtep"].size
    entries = [TableEntry("local_vtep", {"vtep": number}, "is_local_vtep") for number in range(size + 1)]
    failures = await client.write([Update.insert(entry) for entry in entries])
    assert [(each.index, each.code.name) for each in failures] == [(size, "RESOURCE_EXHAUSTED")]


async def test_more_entries_than_one_request_takes_go_in_and_out(rig: Any) -> None:
    client = await rig.primary()
    entries = [endpoint(mac) for mac in range(10000)]
    assert await client.write([Update.insert(entry) for entry in entries]) == []
    assert await client.read_table("endpoint") == entries


async def test_a_batch_that_fails_a_thousandfold_is_answered_in_full(rig: Any) -> None:
    client = await rig.primary()
    failures = await client.write([Update.delete(endpoint(mac)) for mac in range(4000)])
    assert [failure.index for failure in failures] == list(range(4000))
    assert {failure.code.name for failure in failures} == {"NOT_FOUND"}


async def test_zero_padded_values_are_taken_and_answered_in_their_shortest_form(rig: Any) -> None:
    await rig.primary()
    update = proto(rig.info, endpoint(1))
    for match in update.entity.table_entry.match:
        match.exact.value = b"\x00\x00\x00\x00" + match.exact.value
    assert await rig.write(update) == ("OK", [])
    (found,) = await read_raw(rig, messages.TableEntry())
    assert found == to_proto(endpoint(1), rig.info)


async def test_metadata_and_cookie_come_back(rig: Any) -> None:
    await rig.primary()
    update = proto(rig.info, endpoint(1))
    update.entity.table_entry.metadata, update.entity.table_entry.controller_metadata = b"m", 12
    await rig.write(update, proto(rig.info, endpoint(2)))
    (found,) = await read_raw(rig, messages.TableEntry(table_id=rig.info.tables["endpoint"].id, metadata=b"m"))
    assert found == update.entity.table_entry


async def test_a_read_selects_by_match_and_by_action(rig: Any) -> None:
    client = await rig.primary()
    tunnel = TableEntry("endpoint", {"vni": 1, "mac": 9}, "to_tunnel", {"local_ip": 1, "vtep": 2})
    await client.write([Update.insert(endpoint(1)), Update.insert(tunnel), Update.insert(route(0, 0))])
    by_match = to_proto(endpoint(1), rig.info)
    by_match.ClearField("action")
    absent = to_proto(endpoint(5), rig.info)
    by_action = messages.TableEntry(table_id=tunnel_id(rig))
    by_action.action.action.action_id = rig.info.actions["to_tunnel"].id
    assert await read_raw(rig, by_match) == [to_proto(endpoint(1), rig.info)]
    assert await read_raw(rig, absent) == []
    assert await read_raw(rig, by_action) == [to_proto(tunnel, rig.info)]


def tunnel_id(rig: Any) -> int:
    number: int = rig.info.tables["endpoint"].id
    return number


async def test_default_actions_are_set_read_and_put_back(rig: Any) -> None:
    client = await rig.primary()
    name = "EzIngress.tunnel.endpoint"
    default = TableEntry("endpoint", action="to_port", params={"port": 3, "vid": 4}, default=True)
    wanted = messages.TableEntry(table_id=tunnel_id(rig), is_default_action=True)
    # The program's own, to begin with
    (found,) = await read_raw(rig, wanted)
    assert from_proto(found, rig.info) == TableEntry("endpoint", action="unknown_endpoint", default=True)
    # Changed
    assert await client.write([Update.modify(default)]) == []
    (found,) = await read_raw(rig, wanted)
    assert from_proto(found, rig.info) == default
    assert rig.plane.defaults[name].params == (3, 4)
    assert await client.read_table("endpoint") == []  # it is no entry like the others
    # And back
    assert await client.write([Update.modify(TableEntry("endpoint", default=True))]) == []
    (found,) = await read_raw(rig, wanted)
    assert from_proto(found, rig.info).action == "unknown_endpoint"
    assert name not in rig.plane.defaults


@pytest.mark.parametrize("kind", ["INSERT", "DELETE"])
async def test_a_default_action_is_neither_inserted_nor_deleted(rig: Any, kind: str) -> None:
    await rig.primary()
    default = TableEntry("endpoint", action="unknown_endpoint", default=True)
    _, errors = await rig.write(proto(rig.info, default, kind))
    assert errors == [("INVALID_ARGUMENT", "the default entry of table endpoint can be modified only")]


def _break(entry: messages.TableEntry, what: str) -> None:
    {
        "priority": lambda: setattr(entry, "priority", 1),
        "default with match": lambda: setattr(entry, "is_default_action", True),
        "counter": lambda: entry.counter_data.SetInParent(),
        "meter": lambda: entry.meter_config.SetInParent(),
        "timeout": lambda: setattr(entry, "idle_timeout_ns", 1),
        "constant": lambda: setattr(entry, "is_const", True),
        "no action": lambda: entry.ClearField("action"),
        "empty action": lambda: entry.action.ClearField("action"),
        "no match": lambda: entry.ClearField("match"),
        "unknown table": lambda: setattr(entry, "table_id", 5),
    }[what]()


@pytest.mark.parametrize(
    ("what", "code", "message"),
    [
        ("priority", "INVALID_ARGUMENT", "table endpoint takes no priority"),
        ("default with match", "INVALID_ARGUMENT", "the default entry of table endpoint"),
        ("counter", "INVALID_ARGUMENT", "table endpoint has no direct counter"),
        ("meter", "INVALID_ARGUMENT", "table endpoint has no direct meter"),
        ("timeout", "INVALID_ARGUMENT", "table endpoint has no idle timeout"),
        ("constant", "INVALID_ARGUMENT", "constant entries come with the program"),
        ("no action", "INVALID_ARGUMENT", "an entry of table endpoint needs an action"),
        ("empty action", "INVALID_ARGUMENT", "it takes an action, not nothing"),
        ("no match", "INVALID_ARGUMENT", "exact field vni is missing"),
        ("unknown table", "NOT_FOUND", "no table with id 5"),
    ],
)
async def test_an_entry_that_breaks_a_rule_is_refused(rig: Any, what: str, code: str, message: str) -> None:
    client = await rig.primary()
    update = proto(rig.info, endpoint(1))
    _break(update.entity.table_entry, what)
    _, ((found, said),) = await rig.write(update)
    assert (found, message in said) == (code, True), said
    assert await client.read_table() == []


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"device_id": 2}, "NOT_FOUND", "no device 2 here"),
        ({"role": "sdn"}, "NOT_FOUND", "no role sdn here"),
        ({"atomicity": 1}, "UNIMPLEMENTED", "atomicity ROLLBACK_ON_ERROR is not supported"),
        ({"atomicity": 2}, "UNIMPLEMENTED", "atomicity DATAPLANE_ATOMIC is not supported"),
        ({"atomicity": 7}, "UNIMPLEMENTED", "atomicity 7 is not supported"),
    ],
)
async def test_a_whole_batch_that_breaks_a_rule_is_refused(
    rig: Any, fields: dict[str, Any], code: str, message: str
) -> None:
    client = await rig.primary()
    found, ((_, said),) = await rig.write(proto(rig.info, endpoint(1)), **fields)
    assert (found, message in said) == (code, True), said
    assert await client.read_table() == []


async def test_updates_that_say_nothing_are_refused_one_by_one(rig: Any) -> None:
    await rig.primary()
    no_kind = proto(rig.info, endpoint(1), "UNSPECIFIED")
    no_entity = messages.Update(type=messages.Update.INSERT)
    other = messages.Update(type=messages.Update.INSERT)
    other.entity.meter_entry.meter_id = 1
    code, errors = await rig.write(no_kind, no_entity, other, proto(rig.info, endpoint(1)))
    assert code == "UNKNOWN"
    assert errors == [
        ("INVALID_ARGUMENT", "an update has to say INSERT, MODIFY or DELETE"),
        ("INVALID_ARGUMENT", "no entity is given"),
        ("UNIMPLEMENTED", "meter_entry is not supported by this switch"),
        ("OK", ""),
    ]


async def test_reads_that_make_no_sense_are_refused_beside_those_that_do(rig: Any) -> None:
    # Given an entry
    client = await rig.primary()
    await client.write([Update.insert(endpoint(1))])
    # When one of two things asked for is not there
    wanted = [messages.TableEntry(table_id=5), messages.TableEntry()]
    request = messages.ReadRequest(device_id=1, entities=[messages.Entity(table_entry=each) for each in wanted])
    found = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for data in rig.stub().read(request):
            found += list(messages.ReadResponse.FromString(data).entities)
    # Then the other is answered, and the status has a line for each
    assert len(found) == 1
    assert rig.errors(caught.value) == [("NOT_FOUND", "the program has no table with id 5"), ("OK", "")]


async def test_a_name_the_program_does_not_have_is_said_before_asking(rig: Any) -> None:
    client = await rig.primary()
    with pytest.raises(P4RuntimeError, match="no table 'endpiont'; it has"):
        await client.read_table("endpiont")


async def test_single_entries_are_read_by_their_key_and_only_those_that_are_there(rig: Any) -> None:
    # Given entries in two tables, more than one portion of an answer has room for
    client = await rig.primary()
    entries = [endpoint(mac) for mac in range(3000)]
    assert await client.write([Update.insert(entry) for entry in entries]) == []
    await client.write([Update.modify(endpoint(5, port=2))])
    # When some are asked for, and some that are not there
    found = await client.read_entries([endpoint(5), endpoint(2999), endpoint(7000)])
    # Then they come as they are, and nothing for the others
    assert found == [endpoint(5, port=2), endpoint(2999)]
    assert await client.read_entries(entries) == [endpoint(5, port=2) if n == 5 else endpoint(n) for n in range(3000)]
    assert await client.read_entries([]) == []


async def test_a_key_that_makes_no_sense_is_named_and_asks_nobody(rig: Any) -> None:
    client = await rig.primary()
    with pytest.raises(P4RuntimeError, match="no match field colour"):
        await client.read_entries([TableEntry("endpoint", {"vni": 1, "mac": 1, "colour": 1})])
