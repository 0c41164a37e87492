"""One table as P4Runtime knows it: its entries, what a message means for them, and how they are answered and noted."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import grpc
from p4rt.decode import TableDecoder
from p4rt.encode import TableEncoder
from p4rt.entries import check_priority
from p4rt.p4info import ActionInfo, MatchKind, TableInfo

from ezpath_tor.cells import counts_of
from ezpath_tor.faults import Fault, invalid
from ezpath_tor.keys import priority_of
from ezpath_tor.matches import key_of, match_of
from ezpath_tor.plane import NOTE_OCTETS, ActionCall, Key
from p4rt import messages, wire

NOTE = b"entry"
_COOKIE_OCTETS = 8
MAX_METADATA = NOTE_OCTETS - _COOKIE_OCTETS
"""Bytes of metadata that an entry can have."""


@dataclass(slots=True)
class Stored:
    """An entry; ``answer`` is the serialized Entity that a read gets, once one was there."""

    call: ActionCall
    metadata: bytes = b""
    cookie: int = 0
    constant: bool = False
    answer: bytes | None = None


class Table:
    """One table and its entries."""

    def __init__(self, info: TableInfo, decoder: TableDecoder, encoder: TableEncoder, limit: int | None) -> None:
        self.info = info
        self._decoder = decoder
        self.encoder = encoder
        self.size = min(filter(None, (info.size, limit)), default=None)
        self.entries: dict[Key, Stored] = {}
        self.default: Stored | None = None
        """Where a controller has set one."""
        self._plain = all(field.kind is MatchKind.EXACT for field in info.fields)
        self._not_an_entrys = info.default_actions - info.entry_actions
        self._not_a_defaults = info.entry_actions - info.default_actions

    def key(self, proto: messages.TableEntry) -> Key:
        """Raises :class:`BadEntry`."""
        check_priority(self.info, proto.priority)
        match = self._decoder.match(proto.match)
        if self._plain:
            return tuple(match)  # type: ignore[arg-type]  # exact fields are never left out
        return key_of(self.info, match, proto.priority)

    def answer(self, key: Key | None, stored: Stored) -> bytes:
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

    def stored(self, proto: messages.TableEntry, keep: ActionCall | None) -> Stored:
        """The entry as it will stand there; with ``keep`` as its action where it gives none.

        Raises :class:`Fault` or :class:`BadEntry`.
        """
        info = self.info
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
            action, params = self._decoder.action(proto.action)
            refused = self._not_a_defaults if proto.is_default_action else self._not_an_entrys
            if action.id in refused:
                raise _out_of_scope(info, action, proto.is_default_action)
            return Stored(ActionCall(action.name, params), metadata, proto.controller_metadata)
        if keep is None:
            raise invalid(f"an entry of table {info.alias} needs an action")
        return Stored(keep, metadata, proto.controller_metadata)

    def counts(self, proto: messages.TableEntry) -> tuple[int, int] | None:
        """What a controller wants the entry's direct counter to start with. Raises :class:`Fault`."""
        if not proto.HasField("counter_data"):
            return None
        return counts_of(proto.counter_data, f"the direct counter of table {self.info.alias}")


def _out_of_scope(table: TableInfo, action: ActionInfo, default: bool) -> Fault:
    place = "the default entry" if default else "an entry"
    return Fault(
        grpc.StatusCode.PERMISSION_DENIED,
        f"action {action.alias} may not stand in {place} of table {table.alias}",
    )


def note_of(stored: Stored | None) -> bytes | None:
    """The note for an entry, or None where it needs none."""
    if stored is None or not (stored.metadata or stored.cookie):
        return None
    return stored.cookie.to_bytes(_COOKIE_OCTETS, "big") + stored.metadata


def noted(call: ActionCall, note: bytes | None) -> Stored:
    if note is None:
        return Stored(call)
    return Stored(call, note[_COOKIE_OCTETS:], int.from_bytes(note[:_COOKIE_OCTETS], "big"))


def note_key(table: TableInfo, key: Key | None) -> bytes:
    """A name of the right length for an entry, or the default entry where key is None."""
    return NOTE + blake2b(repr((table.name, key)).encode(), digest_size=16).digest()
