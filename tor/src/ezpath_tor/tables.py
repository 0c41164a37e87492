"""The entries of a program's tables: what P4Runtime says about them, in front of what the data plane holds.

An entry is kept with the bytes it is answered with, so that a wildcard read of a large table joins bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import grpc
from p4rt.entries import BadEntry, action_from_proto, check_priority, match_from_proto, table_of, to_proto
from p4rt.entries import TableEntry as NamedEntry
from p4rt.p4info import ActionInfo, P4Info, TableInfo

from ezpath_tor.faults import Fault, invalid, not_found
from ezpath_tor.keys import priority_of
from ezpath_tor.matches import key_of, match_of
from ezpath_tor.plane import ActionCall, DataPlane, Key
from p4rt import messages


@dataclass(frozen=True, slots=True)
class _Stored:
    """An entry as the data plane has it, and as a read answers it (a serialized Entity)."""

    call: ActionCall
    metadata: bytes
    cookie: int
    answer: bytes


class Tables:
    """All tables of the loaded program. Not thread safe.

    Args:
        defaults: the program's own default action of each table, by full table name.
        initial: the entries the program comes with, by full table name.
        limits: at most so many entries, by full table name, where the program has room for more.
    """

    def __init__(
        self,
        info: P4Info,
        plane: DataPlane,
        defaults: Mapping[str, ActionCall],
        initial: Mapping[str, Iterable[tuple[Key, ActionCall]]],
        limits: Mapping[str, int],
    ) -> None:
        self._info = info
        self._plane = plane
        self._program_defaults = defaults
        self._limits = limits
        self._entries: dict[int, dict[Key, _Stored]] = {table.id: {} for table in info.tables}
        self._defaults: dict[int, _Stored] = {}
        for table in info.tables:
            for key, call in initial.get(table.name, ()):
                answer = self._answer(table, key, call)
                answer.is_const = table.const_entries
                self._entries[table.id][key] = _Stored(call, b"", 0, _entity(answer))

    # ---- write

    def write(self, kind: int, proto: messages.TableEntry) -> None:
        """One update. Raises :class:`Fault`, :class:`BadEntry` or a ``PlaneError``; then nothing changed."""
        table = table_of(proto, self._info)
        if proto.is_const:
            raise invalid("constant entries come with the program, not from a controller")
        if proto.is_default_action:
            self._write_default(kind, table, proto)
            return
        key = self._key(table, proto)
        if table.const_entries:
            raise Fault(grpc.StatusCode.PERMISSION_DENIED, f"the entries of table {table.alias} are constant")
        if not table.fields:
            raise invalid(f"table {table.alias} has no key: only its default entry can be set")
        entries = self._entries[table.id]
        present = entries.get(key)
        if kind == messages.Update.DELETE:
            if present is None:
                raise not_found(f"table {table.alias} has no such entry")
            self._plane.delete(table.name, key)
            del entries[key]
        elif kind == messages.Update.MODIFY:
            if present is None:
                raise not_found(f"table {table.alias} has no such entry")
            stored = self._stored(table, key, proto, present.call)
            if stored.call != present.call:
                self._plane.modify(table.name, key, stored.call)
            entries[key] = stored
        else:
            if present is not None:
                raise Fault(grpc.StatusCode.ALREADY_EXISTS, f"table {table.alias} has this entry already")
            stored = self._stored(table, key, proto, None)
            self._check_room(table, len(entries))
            self._plane.insert(table.name, key, stored.call)
            entries[key] = stored

    def _write_default(self, kind: int, table: TableInfo, proto: messages.TableEntry) -> None:
        if kind != messages.Update.MODIFY:
            raise invalid(f"the default entry of table {table.alias} can be modified only")
        if proto.match or proto.priority:
            raise invalid(f"the default entry of table {table.alias} has neither match nor priority")
        if table.const_default:
            raise Fault(grpc.StatusCode.PERMISSION_DENIED, f"the default action of table {table.alias} is constant")
        if not proto.HasField("action"):
            self._plane.set_default(table.name, None)
            self._defaults.pop(table.id, None)
            return
        stored = self._stored(table, None, proto, None)
        self._plane.set_default(table.name, stored.call)
        self._defaults[table.id] = stored

    def _check_room(self, table: TableInfo, present: int) -> None:
        size = min(filter(None, (table.size, self._limits.get(table.name))), default=None)
        if size is not None and present >= size:
            raise Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, f"table {table.alias} is full: {size} entries")

    def _stored(
        self, table: TableInfo, key: Key | None, proto: messages.TableEntry, keep: ActionCall | None
    ) -> _Stored:
        """The entry as it will stand there; with ``keep`` as its action where it gives none."""
        for direct in ("meter_config", "counter_data", "meter_counter_data"):
            if proto.HasField(direct):
                raise invalid(f"table {table.alias} has no direct {direct.split('_')[0]}")
        if proto.idle_timeout_ns:
            raise invalid(f"table {table.alias} has no idle timeout")
        if not proto.HasField("action"):
            if keep is None:
                raise invalid(f"an entry of table {table.alias} needs an action")
            call = keep
        else:
            action, params = action_from_proto(proto.action, table, self._info)
            _check_scope(table, action, proto.is_default_action)
            call = ActionCall(action.name, params)
        answer = self._answer(table, key, call)
        answer.controller_metadata, answer.metadata = proto.controller_metadata, proto.metadata
        return _Stored(call, proto.metadata, proto.controller_metadata, _entity(answer))

    def _answer(self, table: TableInfo, key: Key | None, call: ActionCall) -> messages.TableEntry:
        """The entry as a read shows it, all values in their shortest form; the default entry where key is None."""
        match = match_of(table, key) if key is not None else {}
        priority = priority_of(key) if key is not None else 0
        names = [param.name for param in self._info.actions[call.action].params]
        params = dict(zip(names, call.params, strict=True))
        entry = NamedEntry(table.name, match, call.action, params, priority, default=key is None)
        return to_proto(entry, self._info)

    def _key(self, table: TableInfo, proto: messages.TableEntry) -> Key:
        check_priority(table, proto.priority)
        return key_of(table, match_from_proto(proto.match, table), proto.priority)

    # ---- read

    def read(self, proto: messages.TableEntry) -> Iterator[bytes]:
        """The serialized entities that a ``TableEntry`` used as a filter selects. Raises as :meth:`write`."""
        if proto.table_id == 0:
            for table in self._info.tables:
                yield from self._read_table(table, proto)
            return
        yield from self._read_table(table_of(proto, self._info), proto)

    def _read_table(self, table: TableInfo, proto: messages.TableEntry) -> Iterator[bytes]:
        if proto.is_default_action:
            selected = [self._default(table)]
        elif proto.table_id and proto.match and (proto.priority or not table.needs_priority):
            found = self._entries[table.id].get(self._key(table, proto))
            selected = [found] if found is not None else []
        else:
            selected = list(self._entries[table.id].values())
        for stored in selected:
            if _selects(proto, stored, self._info):
                yield stored.answer

    def _default(self, table: TableInfo) -> _Stored:
        changed = self._defaults.get(table.id)
        if changed is not None:
            return changed
        call = self._program_defaults.get(table.name)
        if call is None or call.action not in {action.name for action in self._info.actions}:
            answer = messages.TableEntry(table_id=table.id, is_default_action=True)
            call = ActionCall("")
        else:
            answer = self._answer(table, None, call)
        return _Stored(call, b"", 0, _entity(answer))


def _entity(entry: messages.TableEntry) -> bytes:
    return messages.Entity(table_entry=entry).SerializeToString()


def _check_scope(table: TableInfo, action: ActionInfo, default: bool) -> None:
    allowed = table.default_actions if default else table.entry_actions
    if action.id not in allowed:
        place = "the default entry" if default else "an entry"
        raise Fault(
            grpc.StatusCode.PERMISSION_DENIED,
            f"action {action.alias} may not stand in {place} of table {table.alias}",
        )


def _selects(proto: messages.TableEntry, stored: _Stored, info: P4Info) -> bool:
    """The filters of a read other than table and match."""
    if proto.metadata and proto.metadata != stored.metadata:
        return False
    if proto.controller_metadata and proto.controller_metadata != stored.cookie:
        return False
    wanted = proto.action.action.action_id
    if wanted:
        action = info.actions.by_id.get(wanted)
        if action is None:
            raise BadEntry(f"the program has no action with id {wanted}")
        return action.name == stored.call.action
    return True
