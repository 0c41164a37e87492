"""The entries of a program's tables: what P4Runtime says about them, in front of what the data plane holds.

The data plane has each entry's key and call. What it does not have is little: metadata, which is noted beside the
entry, and the bytes an entry is answered with, which are made when it is first read and kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import grpc
from p4rt.decode import decoder_of
from p4rt.encode import encoder_of
from p4rt.p4info import P4Info, TableInfo
from p4rt.values import BadEntry

from ezpath_tor.cells import counted
from ezpath_tor.faults import Fault, invalid, not_found, unimplemented
from ezpath_tor.keys import priority_of
from ezpath_tor.matches import match_of
from ezpath_tor.plane import ActionCall, DataPlane, Key
from ezpath_tor.table import NOTE, Stored, Table, note_key, note_of, noted
from p4rt import messages


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
        decoder, encoder = decoder_of(info), encoder_of(info)
        self._tables = {
            table.id: Table(table, decoder.table(table.id), encoder.table(table.name), limits.get(table.name))
            for table in info.tables
        }
        for table in self._tables.values():
            for key, call in initial.get(table.info.name, ()):
                table.entries[key] = Stored(call, constant=table.info.const_entries)

    def take_over(self, notes: Mapping[bytes, bytes]) -> None:
        """Know the entries and defaults that stand in the data plane already. Raises a ``PlaneError``."""
        notes = {key: note for key, note in notes.items() if key.startswith(NOTE)}
        for table in self._tables.values():
            if not table.info.const_entries:
                table.entries = {
                    key: noted(call, notes.get(note_key(table.info, key)) if notes else None)  # most have none
                    for key, call in self._plane.entries(table.info.name)
                }
            default, note = self._plane.default(table.info.name), notes.get(note_key(table.info, None))
            call = default or (self._program_defaults.get(table.info.name) if note is not None else None)
            if call is not None:
                table.default = noted(call, note)

    def __len__(self) -> int:
        """Entries of all tables, constant ones among them."""
        return sum(len(table.entries) for table in self._tables.values())

    # ---- write

    def write(self, kind: int, proto: messages.TableEntry) -> None:
        """One update. Raises :class:`Fault`, :class:`BadEntry` or a ``PlaneError``; then nothing changed."""
        table = self._table(proto.table_id)
        if proto.is_const:
            raise invalid("constant entries come with the program, not from a controller")
        if proto.is_default_action:
            self._write_default(kind, table, proto)
            return
        key = table.key(proto)
        info = table.info
        if info.const_entries:
            raise Fault(grpc.StatusCode.PERMISSION_DENIED, f"the entries of table {info.alias} are constant")
        if not info.fields:
            raise invalid(f"table {info.alias} has no key: only its default entry can be set")
        present = table.entries.get(key)
        if kind == messages.Update.INSERT:
            if present is not None:
                raise Fault(grpc.StatusCode.ALREADY_EXISTS, f"table {info.alias} has this entry already")
            stored = table.stored(proto, None)
            if table.size is not None and len(table.entries) >= table.size:
                raise Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, f"table {info.alias} is full: {table.size} entries")
            counts = table.counts(proto)
            self._plane.insert(info.name, key, stored.call)
            if counts is not None:
                self._plane.write_hits(info.name, key, *counts)
            self._note(info, key, stored, None)
            table.entries[key] = stored
            return
        if present is None:
            raise not_found(f"table {info.alias} has no such entry")
        if kind == messages.Update.DELETE:
            self._note(info, key, None, present)
            self._plane.delete(info.name, key)
            del table.entries[key]
            return
        stored, counts = table.stored(proto, present.call), table.counts(proto)
        if stored.call != present.call:
            self._plane.modify(info.name, key, stored.call)
        if counts is not None:
            self._plane.write_hits(info.name, key, *counts)
        self._note(info, key, stored, present)
        table.entries[key] = stored

    def _write_default(self, kind: int, table: Table, proto: messages.TableEntry) -> None:
        info = table.info
        if kind != messages.Update.MODIFY:
            raise invalid(f"the default entry of table {info.alias} can be modified only")
        if proto.match or proto.priority:
            raise invalid(f"the default entry of table {info.alias} has neither match nor priority")
        if info.const_default:
            raise Fault(grpc.StatusCode.PERMISSION_DENIED, f"the default action of table {info.alias} is constant")
        stored = table.stored(proto, None) if proto.HasField("action") else None
        if stored is None:
            self._note(info, None, None, table.default)
            self._plane.set_default(info.name, None)
        else:
            self._plane.set_default(info.name, stored.call)
            self._note(info, None, stored, table.default)
        table.default = stored

    def _note(self, info: TableInfo, key: Key | None, stored: Stored | None, before: Stored | None) -> None:
        """What the data plane does not hold of an entry, kept beside it; most entries have nothing of the kind.

        It comes after its entry and goes before it: a process that is killed in between leaves no note without one.
        """
        packed = note_of(stored)
        if packed != note_of(before):
            self._plane.note(note_key(info, key), packed)

    def info_of(self, table_id: int) -> TableInfo:
        """A table's description. Raises :class:`Fault`."""
        return self._table(table_id).info

    def counted(
        self, proto: messages.TableEntry, *, one: bool = False
    ) -> Iterator[tuple[TableInfo, Key, messages.TableEntry]]:
        """The entries with a direct counter that a ``TableEntry`` means, each with its match as messages have it.

        With ``one``, it has to be one entry. Raises :class:`Fault` or :class:`BadEntry`.
        """
        if proto.is_default_action:
            raise unimplemented("a direct counter of a default entry is")
        tables = [self._table(proto.table_id)] if proto.table_id else self._tables.values()
        for table in tables:
            if not table.info.direct_counter:
                if proto.table_id:
                    raise invalid(f"table {table.info.alias} has no direct counter")
                continue
            keys: Iterable[Key] = table.entries
            if one or (proto.table_id and proto.match):
                key = table.key(proto)
                keys = [key] if key in table.entries else []
            for key in keys:
                entry = messages.TableEntry.FromString(table.encoder.values(match_of(table.info, key)))
                entry.priority = priority_of(key)
                yield table.info, key, entry

    def _table(self, table_id: int) -> Table:
        table = self._tables.get(table_id)
        if table is None:
            raise not_found(f"the program has no table with id {table_id}")
        return table

    # ---- read

    def read(self, proto: messages.TableEntry) -> Iterator[bytes]:
        """The serialized entities that a ``TableEntry`` used as a filter selects. Raises as :meth:`write`."""
        tables = [self._table(proto.table_id)] if proto.table_id else self._tables.values()
        for table in tables:
            yield from self._read_table(table, proto)

    def _read_table(self, table: Table, proto: messages.TableEntry) -> Iterator[bytes]:
        selected: Iterable[tuple[Key | None, Stored]]
        if proto.is_default_action:
            selected = [(None, table.default or self._own_default(table.info))]
        elif proto.table_id and proto.match and (proto.priority or not table.info.needs_priority):
            key = table.key(proto)
            selected = [(key, table.entries[key])] if key in table.entries else []
        else:
            selected = table.entries.items()
        for place, stored in selected:
            if _selects(proto, stored, self._info):
                yield table.answer(place, stored) + self._counts_of(table, place, proto)

    def _counts_of(self, table: Table, key: Key | None, proto: messages.TableEntry) -> bytes:
        """What is merged into an answer where a reader asks for the direct counter as well."""
        if key is None or not table.info.direct_counter or not proto.HasField("counter_data"):
            return b""
        entry = messages.TableEntry(counter_data=counted(*self._plane.read_hits(table.info.name, key)))
        return messages.Entity(table_entry=entry).SerializeToString()

    def _own_default(self, table: TableInfo) -> Stored:
        call = self._program_defaults.get(table.name)
        if call is None or call.action not in {action.name for action in self._info.actions}:
            call = ActionCall("")
        return Stored(call)


def _selects(proto: messages.TableEntry, stored: Stored, info: P4Info) -> bool:
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
