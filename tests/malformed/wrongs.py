"""Ways to spoil one part of a request, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from p4rt.arbitration import from_uint128, uint128

from p4rt import P4Info, messages

Wrongs = Mapping[str, Callable[..., object]]
"""Each takes the source of randomness first, then what it spoils."""

UNKNOWN_IDS = (1, 7, 2**31, 2**32 - 1)
ENDLESS = 1 << 20


def _sets(name: str, *values: Any) -> Callable[..., object]:
    return lambda source, part, *_: setattr(part, name, source.choice(values))


def _entry(name: str, *values: Any) -> Callable[..., object]:
    return lambda source, update: setattr(update.entity.table_entry, name, source.choice(values))


def _entry_has(name: str) -> Callable[..., object]:
    return lambda _, update: getattr(update.entity.table_entry, name).SetInParent()


# ---- requests that change something


def _other_election_id(source: Random, request: Any, election_id: int) -> None:
    ids = (source.randrange(election_id), source.randrange(election_id + 1, 2**128), 0)
    request.election_id.CopyFrom(uint128(source.choice(ids)))
    assert from_uint128(request.election_id) != election_id


def _other_choice(source: Random, request: Any, _: int) -> None:
    if isinstance(request, messages.WriteRequest):
        request.atomicity = source.choice((1, 2, 3, 99))  # type: ignore[assignment]
    else:
        request.action = source.choice((0, 77, -1))


ENVELOPES: Wrongs = {
    "device": _sets("device_id", 0, 2, 2**64 - 1),
    "role": _sets("role", "x", "\u20ac" * 1000),
    "role by number": _sets("role_id", 1, 2**64 - 1),
    "election id": _other_election_id,
    "no election id": lambda _, request, __: request.ClearField("election_id"),
    "choice": _other_choice,
}


def _other_entity(source: Random, entity: Any) -> None:
    supported = ("table_entry", "register_entry", "counter_entry", "direct_counter_entry")
    names = [field.name for field in entity.DESCRIPTOR.fields if field.name not in supported]
    getattr(entity, source.choice(names)).SetInParent()


def _values(source: Random, entry: Any) -> None:
    """Values that no field is wide enough for, or none."""
    value = source.choice((b"", b"\xff" * 20, b"\x01" + source.randbytes(400), b"\x7f" + bytes(ENDLESS)))
    for match in entry.match:
        (match.lpm if match.HasField("lpm") else match.exact).value = value


def _match(source: Random, entry: Any) -> None:
    first = entry.match[0]
    match source.randrange(5):
        case 0:
            entry.match.add().CopyFrom(first)
        case 1:
            entry.match.add(field_id=source.choice((0, 33, 2**32 - 1))).exact.value = b"\x01"
        case 2:
            getattr(first, source.choice(("range", "optional", "ternary", "other"))).SetInParent()
        case 3:
            first.ClearField("field_match_type")
        case _ if first.HasField("lpm"):
            first.lpm.prefix_len = source.choice((-1, 0, 6, 33, 2**31 - 1))  # 10.0.0.0/6 has a bit behind it
        case _:
            del entry.match[0]


def _params(source: Random, entry: Any) -> None:
    params = entry.action.action.params
    match source.randrange(4):
        case 0:
            params.add(param_id=source.choice((1, 99)), value=b"\x01")  # twice, or unknown
        case 1:
            del params[0]
        case 2:
            params[0].param_id = 77
        case _:
            params[0].value = source.choice((b"", b"\xff" * 9, b"\x01" + bytes(ENDLESS)))


def _in_entry(spoil: Callable[[Random, Any], None]) -> Callable[..., object]:
    return lambda source, update: spoil(source, update.entity.table_entry)


def _action(source: Random, entry: Any) -> None:
    entry.action.action.action_id = source.choice(UNKNOWN_IDS)


def _profile(source: Random, entry: Any) -> None:
    name = source.choice(("action_profile_member_id", "action_profile_group_id"))
    setattr(entry.action, name, 1)


ENTRIES: Wrongs = {
    "unknown table": _entry("table_id", 0, *UNKNOWN_IDS),
    "priority": _entry("priority", 1, -1, 2**31 - 1),
    "constant": _entry("is_const", True),
    "default with a match": _entry("is_default_action", True),
    "idle timeout": _entry("idle_timeout_ns", 1, -1, 2**63 - 1),
    "endless metadata": _entry("metadata", bytes(ENDLESS)),
    "direct counter": _entry_has("counter_data"),
    "direct meter": _entry_has("meter_config"),
    "coloured counter": _entry_has("meter_counter_data"),
    "no action": lambda _, update: update.entity.table_entry.ClearField("action"),
    "unknown action": _in_entry(_action),
    "action profile": _in_entry(_profile),
    "values": _in_entry(_values),
    "match": _in_entry(_match),
    "parameters": _in_entry(_params),
    "entity": lambda source, update: _other_entity(source, update.entity),
    "no entity": lambda _, update: update.ClearField("entity"),
    "kind": _sets("type", 0, 4, 99, -1),
}


def _register(index: int, width: int, *, known: bool = True) -> Callable[..., object]:
    """A cell with an index from the register's end on, and a value as much too wide (None: no value)."""

    def spoil(source: Random, update: Any, info: P4Info) -> None:
        register = source.choice(list(info.registers))
        entry = update.entity.register_entry
        entry.register_id = register.id if known else 9
        entry.index.index = index if index < 0 else register.size * index
        if width >= 0:
            entry.data.bitstring = b"\x01" * (register.width_bytes * width + 1) if width else b""

    return spoil


def _counter(index: int, octets: int, *, known: bool = True) -> Callable[..., object]:
    def spoil(source: Random, update: Any, info: P4Info) -> None:
        counter = source.choice(list(info.counters))
        entry = update.entity.counter_entry
        entry.counter_id = counter.id if known else 9
        entry.index.index = index if index < 0 else counter.size * index
        entry.data.byte_count = octets

    return spoil


def _direct(source: Random, update: Any, info: P4Info) -> None:
    """The direct counter of a table that has none."""
    plain = [table.id for table in info.tables if not table.direct_counter]
    update.entity.direct_counter_entry.table_entry.table_id = source.choice([*plain, 0, *UNKNOWN_IDS])


def _inserted(source: Random, update: Any, info: P4Info) -> None:
    _counter(0, 5)(source, update, info)
    update.type = source.choice((messages.Update.INSERT, messages.Update.DELETE))


CELLS: Wrongs = {
    "unknown register": _register(0, 1, known=False),
    "register's index": _register(1, 0),
    "register's negative index": _register(-(2**40), 1),
    "register's value": _register(0, 1),
    "register's endless value": _register(0, ENDLESS // 32),
    "register's empty value": _register(0, 0),
    "register without a value": _register(0, -1),
    "unknown counter": _counter(0, 1, known=False),
    "counter's index": _counter(1, 1),
    "counter's negative index": _counter(-1, 1),
    "counter's value": _counter(0, -1),
    "counter inserted": _inserted,
    "direct counter": _direct,
}

# ---- requests that ask


def _read_match(source: Random, entity: Any, entry: messages.TableEntry) -> None:
    entity.table_entry.CopyFrom(entry)
    _values(source, entity.table_entry)


def _read_id(part: str, name: str) -> Callable[..., object]:
    return lambda source, entity, _: setattr(getattr(entity, part), name, source.choice(UNKNOWN_IDS))


READS: Wrongs = {
    "unknown table": _read_id("table_entry", "table_id"),
    "unknown register": _read_id("register_entry", "register_id"),
    "unknown counter": _read_id("counter_entry", "counter_id"),
    "values": _read_match,
    "entity": lambda source, entity, _: _other_entity(source, entity),
    "no entity": lambda *_: None,
}


def _question(source: Random, request: Any) -> None:
    if isinstance(request, messages.GetForwardingPipelineConfigRequest) and source.random() < 0.5:
        request.response_type = source.choice((4, 99, -1))  # type: ignore[assignment]
    else:
        request.device_id = source.choice((2, 9, 2**64 - 1))


QUESTIONS: Wrongs = {"question": _question}

# ---- p4info


def _in_table(spoil: Callable[[Random, Any], object]) -> Callable[..., object]:
    """Some table that has a key."""
    return lambda source, p4info: spoil(source, source.choice([each for each in p4info.tables if each.match_fields]))


def _in_field(name: str, *values: int) -> Callable[..., object]:
    return _in_table(lambda source, table: setattr(source.choice(table.match_fields), name, source.choice(values)))


def _in_action(spoil: Callable[[Random, Any], object]) -> Callable[..., object]:
    """Some action that has parameters."""
    return lambda source, p4info: spoil(source, source.choice([each for each in p4info.actions if each.params]))


def _in_register(spoil: Callable[[Any], object]) -> Callable[..., object]:
    return lambda source, p4info: spoil(source.choice(p4info.registers))


def _twice(name: str) -> Callable[..., object]:
    """The same object a second time."""
    return lambda source, p4info: getattr(p4info, name).add().CopyFrom(source.choice(list(getattr(p4info, name))[:-1]))


def _field_twice(_: Random, table: Any) -> None:
    table.match_fields.add().CopyFrom(table.match_fields[0])


def _param_twice(_: Random, action: Any) -> None:
    action.params.add().CopyFrom(action.params[0])


P4INFOS: Wrongs = {
    "a table of nothing": lambda _, p4info: p4info.tables.add(),
    "a table twice": _twice("tables"),
    "an action twice": _twice("actions"),
    "a register twice": _twice("registers"),
    "a counter of another program": lambda _, p4info: p4info.counters.add(size=5),
    "a table of another program": _in_table(lambda _, table: setattr(table.preamble, "name", "x")),
    "a field less": _in_table(lambda _, table: table.match_fields.pop()),
    "a field more": _in_table(lambda _, table: table.match_fields.add(id=9, bitwidth=8, match_type=2)),
    "a field twice": _in_table(_field_twice),
    "a field with another width": _in_field("bitwidth", 0, -1, 1, 1000, 2**31 - 1),
    "a field with an unknown match": _in_field("match_type", 0, 1, 99),
    "an action that is not there": _in_table(lambda _, table: table.action_refs.add(id=5)),
    "a default that is not there": _in_table(lambda _, table: setattr(table, "const_default_action_id", 5)),
    "a parameter less": _in_action(lambda _, action: action.params.pop()),
    "a parameter twice": _in_action(_param_twice),
    "a wider parameter": _in_action(lambda _, action: setattr(action.params[0], "bitwidth", 1000)),
    "a larger register": _in_register(lambda register: setattr(register, "size", 2**31 - 1)),
    "a register of negative size": _in_register(lambda register: setattr(register, "size", -1)),
    "a wider register": _in_register(lambda register: setattr(register.type_spec.bitstring.bit, "bitwidth", 2**31 - 1)),
    "a register of something else": _in_register(lambda register: register.ClearField("type_spec")),
    "a larger counter": lambda source, p4info: setattr(source.choice(p4info.counters), "size", 2**31 - 1),
}

# ---- streams: none of these is from the primary


def _arbitration(**fields: Any) -> Callable[..., object]:
    return lambda _, message: message.arbitration.CopyFrom(messages.MasterArbitrationUpdate(**fields))


STREAMS: Wrongs = {
    "device": _arbitration(device_id=9, election_id=uint128(2**127)),
    "no device": _arbitration(election_id=uint128(2**127)),
    "role": _arbitration(device_id=1, role=messages.Role(name="x"), election_id=uint128(2**127)),
    "role by number": _arbitration(device_id=1, role=messages.Role(id=3)),
    "packet": lambda source, message: setattr(message.packet, "payload", source.randbytes(2000)),
    "digest": lambda _, message: message.digest_ack.SetInParent(),
    "nothing": lambda *_: None,
}
