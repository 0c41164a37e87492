"""The entries of a program's tables: what P4Runtime says about them, in front of what the data plane holds.

The data plane has each entry's key and call. What it does not have is little: metadata, which is noted beside the
entry, and the bytes an entry is answered with, which are made when it is first read and kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

import grpc
from p4rt.decode import TableDecoder, decoder_of
from p4rt.encode import TableEncoder, encoder_of
from p4rt.entries import check_priority
from p4rt.p4info import ActionInfo, MatchKind, P4Info, TableInfo
from p4rt.values import BadEntry

from ezpath_tor.cells import counted, counts_of
from ezpath_tor.faults import Fault, invalid, not_found, unimplemented
from ezpath_tor.keys import priority_of
from ezpath_tor.matches import key_of, match_of
from ezpath_tor.plane import NOTE_OCTETS, ActionCall, DataPlane, Key
from p4rt import messages, wire

_NOTE = b"entry"
_COOKIE_OCTETS = 8
MAX_METADATA = NOTE_OCTETS - _COOKIE_OCTETS
"""Bytes of metadata that an entry can have."""


@dataclass(slots=True)
class _Stored:
    """An entry; ``answer`` is the serialized Entity that a read gets, once one was there."""

    call: ActionCall
    metadata: bytes = b""
    cookie: int = 0
    constant: bool = False
    answer: bytes | None = None


class _Table:
    """One table and its entries."""

    def __init__(self, info: TableInfo, decoder: TableDecoder, encoder: TableEncoder, limit: int | None) -> None:
        self.info = info
        self.decoder = decoder
        self.encoder = encoder
        self.size = min(filter(None, (info.size, limit)), default=None)
        self.entries: dict[Key, _Stored] = {}
        self.default: _Stored | None = None
        """Where a controller has set one."""
        self.plain = all(field.kind is MatchKind.EXACT for field in info.fields)
        self.not_an_entrys = info.default_actions - info.entry_actions
        self.not_a_defaults = info.entry_actions - info.default_actions

    def key(self, proto: messages.TableEntry) -> Key:
        """Raises :class:`BadEntry`."""
        check_priority(self.info, proto.priority)
        match = self.decoder.match(proto.match)
        if self.plain:
            return tuple(match)  # type: ignore[arg-type]  # exact fields are never left out
        return key_of(self.info, match, proto.priority)

    def answer(self, key: Key | None, stored: _Stored) -> bytes:
        """The entry as a read shows it, all values in their shortest form; the default entry where key is None."""
        if stored.answer is None:
            extra = messages.TableEntry(
                priority=priority_of(key) if key is not None else 0,
                controller_metadata=stored.cookie,
                metadata=stored.metadata,
                is_default_action=key is None,
                is_const=stored.constant,
            )
            match = match_of(self.info, key) if key is not None else ()
            entry = self.encoder.values(match, stored.call.action, stored.call.params)
            # What follows a message's bytes is merged into it.
            stored.answer = wire.delimited(b"\x12", entry + extra.SerializeToString())
        return stored.answer


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
            table.id: _Table(table, decoder.table(table.id), encoder.table(table.name), limits.get(table.name))
            for table in info.tables
        }
        for table in self._tables.values():
            for key, call in initial.get(table.info.name, ()):
                table.entries[key] = _Stored(call, constant=table.info.const_entries)

    def take_over(self, notes: Mapping[bytes, bytes]) -> None:
        """Know the entries and defaults that stand in the data plane already. Raises a ``PlaneError``."""
        notes = {key: note for key, note in notes.items() if key.startswith(_NOTE)}
        for table in self._tables.values():
            if not table.info.const_entries:
                table.entries = {
                    key: _noted(call, notes.get(_note_key(table.info, key)) if notes else None)  # most have none
                    for key, call in self._plane.entries(table.info.name)
                }
            default, note = self._plane.default(table.info.name), notes.get(_note_key(table.info, None))
            if default is not None or note is not None:
                table.default = _noted(default or self._program_defaults[table.info.name], note)

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
            stored = self._stored(table, proto, None)
            if table.size is not None and len(table.entries) >= table.size:
                raise Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, f"table {info.alias} is full: {table.size} entries")
            counts = _counts(table, proto)
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
        stored, counts = self._stored(table, proto, present.call), _counts(table, proto)
        if stored.call != present.call:
            self._plane.modify(info.name, key, stored.call)
        if counts is not None:
            self._plane.write_hits(info.name, key, *counts)
        self._note(info, key, stored, present)
        table.entries[key] = stored

    def _write_default(self, kind: int, table: _Table, proto: messages.TableEntry) -> None:
        info = table.info
        if kind != messages.Update.MODIFY:
            raise invalid(f"the default entry of table {info.alias} can be modified only")
        if proto.match or proto.priority:
            raise invalid(f"the default entry of table {info.alias} has neither match nor priority")
        if info.const_default:
            raise Fault(grpc.StatusCode.PERMISSION_DENIED, f"the default action of table {info.alias} is constant")
        stored = self._stored(table, proto, None) if proto.HasField("action") else None
        self._plane.set_default(info.name, stored.call if stored is not None else None)
        self._note(info, None, stored, table.default)
        table.default = stored

    def _stored(self, table: _Table, proto: messages.TableEntry, keep: ActionCall | None) -> _Stored:
        """The entry as it will stand there; with ``keep`` as its action where it gives none."""
        info = table.info
        if proto.HasField("meter_config"):
            raise invalid(f"table {info.alias} has no direct meter")
        if proto.HasField("meter_counter_data"):
            raise invalid(f"table {info.alias} has no direct meter")
        if proto.HasField("counter_data") and (not info.direct_counter or proto.is_default_action):
            raise invalid(
                f"table {info.alias} has no direct counter{' of its default entry' if info.direct_counter else ''}"
            )
        if proto.idle_timeout_ns:
            raise invalid(f"table {info.alias} has no idle timeout")
        metadata = proto.metadata
        if len(metadata) > MAX_METADATA:
            raise Fault(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"an entry of table {info.alias} has room for {MAX_METADATA} bytes of metadata, not {len(metadata)}",
            )
        if proto.HasField("action"):
            action, params = table.decoder.action(proto.action)
            refused = table.not_a_defaults if proto.is_default_action else table.not_an_entrys
            if action.id in refused:
                raise _out_of_scope(info, action, proto.is_default_action)
            return _Stored(ActionCall(action.name, params), metadata, proto.controller_metadata)
        if keep is None:
            raise invalid(f"an entry of table {info.alias} needs an action")
        return _Stored(keep, metadata, proto.controller_metadata)

    def _note(self, info: TableInfo, key: Key | None, stored: _Stored | None, before: _Stored | None) -> None:
        """What the data plane does not hold of an entry, kept beside it; most entries have nothing of the kind.

        It comes after its entry and goes before it: a process that is killed in between leaves no note without one.
        """
        packed = _packed(stored)
        if packed != _packed(before):
            self._plane.note(_note_key(info, key), packed)

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

    def _table(self, table_id: int) -> _Table:
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

    def _read_table(self, table: _Table, proto: messages.TableEntry) -> Iterator[bytes]:
        selected: Iterable[tuple[Key | None, _Stored]]
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

    def _counts_of(self, table: _Table, key: Key | None, proto: messages.TableEntry) -> bytes:
        """What is merged into an answer where a reader asks for the direct counter as well."""
        if key is None or not table.info.direct_counter or not proto.HasField("counter_data"):
            return b""
        entry = messages.TableEntry(counter_data=counted(*self._plane.read_hits(table.info.name, key)))
        return messages.Entity(table_entry=entry).SerializeToString()

    def _own_default(self, table: TableInfo) -> _Stored:
        call = self._program_defaults.get(table.name)
        if call is None or call.action not in {action.name for action in self._info.actions}:
            call = ActionCall("")
        return _Stored(call)


def _counts(table: _Table, proto: messages.TableEntry) -> tuple[int, int] | None:
    """What a controller wants the entry's direct counter to start with. Raises :class:`Fault`."""
    if not proto.HasField("counter_data"):
        return None
    return counts_of(proto.counter_data, f"the direct counter of table {table.info.alias}")


def _out_of_scope(table: TableInfo, action: ActionInfo, default: bool) -> Fault:
    place = "the default entry" if default else "an entry"
    return Fault(
        grpc.StatusCode.PERMISSION_DENIED,
        f"action {action.alias} may not stand in {place} of table {table.alias}",
    )


def _packed(stored: _Stored | None) -> bytes | None:
    """The note for an entry, or None where it needs none."""
    if stored is None or not (stored.metadata or stored.cookie):
        return None
    return stored.cookie.to_bytes(_COOKIE_OCTETS, "big") + stored.metadata


def _noted(call: ActionCall, note: bytes | None) -> _Stored:
    if note is None:
        return _Stored(call)
    return _Stored(call, note[_COOKIE_OCTETS:], int.from_bytes(note[:_COOKIE_OCTETS], "big"))


def _note_key(table: TableInfo, key: Key | None) -> bytes:
    """A name of the right length for an entry, or the default entry where key is None."""
    return _NOTE + blake2b(repr((table.name, key)).encode(), digest_size=16).digest()


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
