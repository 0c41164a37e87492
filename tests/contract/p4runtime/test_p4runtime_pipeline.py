"""Loading programs: what is accepted, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
import pytest
from ezpath_tor.plane import Malformed, PlaneError, Unsupported
from google.protobuf import text_format
from p4rt.arbitration import uint128

from p4rt import P4RuntimeError, TableEntry, Update, messages

SET, GET = messages.SetForwardingPipelineConfigRequest, messages.GetForwardingPipelineConfigRequest
ENTRY = TableEntry("endpoint", {"vni": 5001, "mac": 1}, "to_port", {"port": 1, "vid": 7})


async def set_raw(
    rig: Any, p4info: messages.P4Info | None, config: bytes, action: str = "VERIFY_AND_COMMIT", cookie: int = 5
) -> tuple[str, str]:
    """Code and details of a SetForwardingPipelineConfig from the primary with election id 1."""
    request = SET(
        device_id=1,
        election_id=uint128(1),
        action=SET.Action.Value(action),
        config=messages.ForwardingPipelineConfig(
            p4info=p4info,
            p4_device_config=config,
            cookie=messages.ForwardingPipelineConfig.Cookie(cookie=cookie),
        ),
    )
    try:
        await rig.stub().set_pipeline(request)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""


async def test_before_a_pipeline_is_set_there_is_none_and_nothing_can_be_read_or_written(rig: Any) -> None:
    client = await rig.client()
    await client.become_primary(1)
    assert await client.get_pipeline() is None
    client.p4info = rig.info
    with pytest.raises(P4RuntimeError, match=r"FAILED_PRECONDITION.*set a forwarding pipeline first"):
        await client.write([Update.insert(ENTRY)])
    with pytest.raises(P4RuntimeError, match="FAILED_PRECONDITION"):
        await client.read_table()


async def test_what_was_set_is_what_is_got(rig: Any) -> None:
    await rig.primary()
    stub = rig.stub()
    for kind, p4info, config in (
        ("ALL", True, True),
        ("COOKIE_ONLY", False, False),
        ("P4INFO_AND_COOKIE", True, False),
        ("DEVICE_CONFIG_AND_COOKIE", False, True),
    ):
        answer = await stub.get_pipeline(GET(device_id=1, response_type=GET.ResponseType.Value(kind)))
        assert answer.config.cookie.cookie == 1
        assert answer.config.p4info == (rig.info.proto if p4info else messages.P4Info())
        assert answer.config.p4_device_config == (rig.config if config else b"")


async def test_a_reader_learns_the_names_from_the_switch(rig: Any) -> None:
    await rig.primary()
    reader = await rig.client()
    pipeline = await reader.get_pipeline()
    assert pipeline is not None
    assert (pipeline.cookie, pipeline.p4info.proto) == (1, rig.info.proto)


async def test_a_new_pipeline_starts_with_empty_tables(rig: Any) -> None:
    client = await rig.primary()
    await client.write([Update.insert(ENTRY)])
    await client.set_pipeline(rig.info, rig.config, cookie=2)
    assert await client.read_table() == []
    assert await client.write([Update.insert(ENTRY)]) == []


async def test_the_running_program_can_be_kept_with_all_its_state(rig: Any) -> None:
    client = await rig.primary()
    await client.write([Update.insert(ENTRY)])
    assert await set_raw(rig, rig.info.proto, rig.config, "RECONCILE_AND_COMMIT", cookie=77) == ("OK", "")
    assert rig.plane.loads == 1
    assert await client.read_table() == [ENTRY]
    assert (await client.get_pipeline()).cookie == 77


@pytest.mark.parametrize("action", ["VERIFY", "VERIFY_AND_SAVE", "COMMIT"])
async def test_actions_it_does_not_have_are_refused_by_name(rig: Any, action: str) -> None:
    await rig.primary()
    code, details = await set_raw(rig, rig.info.proto, rig.config, action)
    assert (code, details) == ("UNIMPLEMENTED", f"pipeline action {action} is not supported by this switch")


def _edited(rig: Any, text: str) -> messages.P4Info:
    p4info = messages.P4Info()
    p4info.CopyFrom(rig.info.proto)
    text_format.Merge(text, p4info)
    return p4info


def _json(rig: Any, edit: Callable[[Any], Any]) -> bytes:
    program = json.loads(rig.config)
    edit(program)
    return json.dumps(program).encode()


def _with_kind(rig: Any, kind: str) -> messages.P4Info:
    """The first field of ``endpoint`` as another kind of match."""
    p4info = _edited(rig, "")
    (table,) = (table for table in p4info.tables if table.preamble.alias == "endpoint")
    table.match_fields[0].match_type = table.match_fields[0].MatchType.Value(kind)
    return p4info


def _with_width(rig: Any, width: int) -> messages.P4Info:
    """The first field of ``endpoint`` as p4info has it where a type is translated."""
    p4info = _edited(rig, "")
    (table,) = (table for table in p4info.tables if table.preamble.alias == "endpoint")
    table.match_fields[0].bitwidth = width
    return p4info


_BAD: dict[str, tuple[Callable[[Any], tuple[messages.P4Info | None, bytes]], str, str]] = {
    "no p4info": (lambda rig: (None, rig.config), "INVALID_ARGUMENT", "has no p4info"),
    "no config": (lambda rig: (rig.info.proto, b""), "INVALID_ARGUMENT", "has no device config"),
    "no JSON": (lambda rig: (rig.info.proto, b"\x7fELF"), "INVALID_ARGUMENT", "it is no JSON"),
    "JSON of something": (
        lambda rig: (rig.info.proto, b'{"a": 1}'),
        "INVALID_ARGUMENT",
        "the document: 'register_arrays' is missing",
    ),
    "JSON of nonsense": (
        lambda rig: (rig.info.proto, b'{"pipelines": 5}'),
        "INVALID_ARGUMENT",
        "'register_arrays' is missing",
    ),
    "deep JSON": (lambda rig: (rig.info.proto, b"[" * 100000), "INVALID_ARGUMENT", "it is no JSON"),
    "action that is not there": (
        lambda rig: (_edited(rig, "tables { preamble { id: 1 name: 't' } action_refs { id: 5 } }"), rig.config),
        "INVALID_ARGUMENT",
        "refers to action id 5",
    ),
    "table of another program": (
        lambda rig: (_edited(rig, "tables { preamble { id: 1 name: 't' } }"), rig.config),
        "INVALID_ARGUMENT",
        "not of one program: the latter has no table t",
    ),
    "register of another size": (
        lambda rig: (rig.info.proto, _json(rig, lambda program: program["register_arrays"][0].update(size=9))),
        "INVALID_ARGUMENT",
        "register EzIngress.monitor.stage1 has 16384 cells in the one and 9 in the other",
    ),
    "ternary match that is exact in the program": (
        lambda rig: (_with_kind(rig, "TERNARY"), rig.config),
        "INVALID_ARGUMENT",
        "field vni of table EzIngress.tunnel.endpoint is ternary in the one and exact in the other",
    ),
    "translated type": (
        lambda rig: (_with_width(rig, 32), rig.config),
        "UNIMPLEMENTED",
        "a translated type (field vni of table EzIngress.tunnel.endpoint: 32 bits for controllers, 24 bits",
    ),
    "translated to strings": (
        lambda rig: (_with_width(rig, 0), rig.config),
        "UNIMPLEMENTED",
        "field vni of table EzIngress.tunnel.endpoint: a string for controllers, 24 bits",
    ),
    "action profile": (
        lambda rig: (_edited(rig, "tables { preamble { id: 1 name: 't' } implementation_id: 5 }"), rig.config),
        "UNIMPLEMENTED",
        "an action profile (implementation of table t) is not supported",
    ),
    "direct meter": (
        lambda rig: (_edited(rig, "tables { preamble { id: 1 name: 't' } direct_resource_ids: 5 }"), rig.config),
        "UNIMPLEMENTED",
        "a direct meter (of table t) is not supported",
    ),
    "struct register": (
        lambda rig: (_edited(rig, "registers { preamble { id: 1 name: 'r' } size: 1 }"), rig.config),
        "UNIMPLEMENTED",
        "register r of something else than bit<W> is not supported",
    ),
}


@pytest.mark.parametrize("case", _BAD)
async def test_a_bad_pipeline_is_refused_and_the_old_one_runs_on(rig: Any, case: str) -> None:
    # Given a program that runs, with an entry
    client = await rig.primary()
    await client.write([Update.insert(ENTRY)])
    # When a bad one is set
    make, code, message = _BAD[case]
    p4info, config = make(rig)
    found, details = await set_raw(rig, p4info, config)
    # Then it is refused, saying why, and nothing has changed
    assert (found, message in details) == (code, True), details
    assert rig.plane.loads == 1
    assert (await client.get_pipeline()).cookie == 1
    assert await client.read_table() == [ENTRY]


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (Unsupported("varbit", "x.p4:7"), "UNIMPLEMENTED", "x.p4:7: varbit is not supported"),
        (PlaneError("clang said no"), "INTERNAL", "the data plane failed: clang said no"),
        (OSError(1, "Operation not permitted"), "INTERNAL", "Operation not permitted"),
        (Malformed("actions[0]: 'name' is missing"), "INVALID_ARGUMENT", "actions[0]: 'name' is missing"),
        (ZeroDivisionError("oops"), "INTERNAL", "a bug: ZeroDivisionError('oops')"),
    ],
)
async def test_what_the_data_plane_cannot_do_reaches_the_controller(
    rig: Any, error: Exception, code: str, message: str
) -> None:
    client = await rig.primary()
    await client.write([Update.insert(ENTRY)])
    rig.plane.refuse = error
    with pytest.raises(P4RuntimeError) as caught:
        await client.set_pipeline(rig.info, rig.config, cookie=2)
    assert (caught.value.code.name, message in caught.value.answer) == (code, True), caught.value.answer
    assert await client.read_table() == [ENTRY]


async def test_a_limit_for_a_table_the_program_does_not_have_is_refused(serve: Callable[..., Any]) -> None:
    async with serve(limits={"endpiont": 5}) as rig:
        client = await rig.client()
        await client.become_primary(1)
        with pytest.raises(P4RuntimeError, match="started with a limit for table endpiont: the program has no"):
            await client.set_pipeline(rig.info, rig.config, cookie=1)


async def test_capabilities_name_the_version(rig: Any) -> None:
    client = await rig.client()
    assert await client.capabilities() == "1.3.0"


async def test_another_device_is_not_here(rig: Any) -> None:
    client = await rig.client()
    client.device_id = 9
    with pytest.raises(P4RuntimeError, match="NOT_FOUND: no device 9 here: this is device 1"):
        await client.get_pipeline()
    with pytest.raises(P4RuntimeError, match="NOT_FOUND"):
        await client.capabilities()


VTEP = 0x0AFF0001


def _with_constants(rig: Any) -> tuple[messages.P4Info, bytes]:
    """The program as if ``local_vtep`` had one constant entry, and ``endpoint`` a constant default action."""
    p4info = messages.P4Info()
    p4info.CopyFrom(rig.info.proto)
    for table in p4info.tables:
        if table.preamble.alias == "local_vtep":
            table.is_const_table = table.has_initial_entries = True
        if table.preamble.alias == "endpoint":
            table.const_default_action_id = rig.info.actions["unknown_endpoint"].id
            for ref in table.action_refs:
                if ref.id == rig.info.actions["to_port"].id:
                    ref.scope = ref.TABLE_ONLY
                if ref.id == rig.info.actions["unknown_endpoint"].id:
                    ref.scope = ref.DEFAULT_ONLY

    def edit(program: Any) -> None:
        actions = {action["name"]: action["id"] for action in program["actions"]}
        (table,) = (
            table for table in program["pipelines"][0]["tables"] if table["name"] == "EzIngress.tunnel.local_vtep"
        )
        call = {"action_id": actions["EzIngress.tunnel.is_local_vtep"], "action_data": []}
        key = [{"match_type": "exact", "key": f"{VTEP:#x}"}]
        table["entries"] = [{"match_key": key, "action_entry": call, "priority": 1}]

    return p4info, _json(rig, edit)


async def test_constant_entries_and_defaults_are_read_and_never_written(rig: Any) -> None:
    # Given a program with a constant entry and a constant default action
    client = await rig.client()
    await client.become_primary(1)
    p4info, config = _with_constants(rig)
    assert await set_raw(rig, p4info, config) == ("OK", "")
    constant = TableEntry("local_vtep", {"vtep": VTEP}, "is_local_vtep")
    # Then it is read
    assert await client.read_table() == [constant]
    # And whoever wants to change it is refused
    changes = [
        Update.modify(constant),
        Update.delete(constant),
        Update.insert(TableEntry("local_vtep", {"vtep": 1}, "is_local_vtep")),
        Update.modify(TableEntry("endpoint", action="unknown_endpoint", default=True)),
        Update.insert(TableEntry("endpoint", {"vni": 1, "mac": 1}, "unknown_endpoint")),
    ]
    failures = await client.write(changes)
    assert [(failure.index, failure.code.name) for failure in failures] == [
        (index, "PERMISSION_DENIED") for index in range(5)
    ]
    assert failures[0].message == "the entries of table local_vtep are constant"
    assert failures[3].message == "the default action of table endpoint is constant"
    assert failures[4].message == "action unknown_endpoint may not stand in an entry of table endpoint"
