"""Table entries with names and integers, and the way to and from their protobuf form.

The same code reads what a client wrote, in the server, and what a server answers, in the client; what is
refused is refused with the code the P4Runtime specification (section 9.1) asks for.
"""

from __future__ import annotations

from p4rt import messages
from p4rt.decode import decoder_of
from p4rt.encode import check_priority, encoder_of
from p4rt.p4info import P4Info
from p4rt.values import BadEntry, MatchValue, TableEntry, Update, UpdateFailure, UpdateKind

__all__ = [
    "BadEntry",
    "MatchValue",
    "TableEntry",
    "Update",
    "UpdateFailure",
    "UpdateKind",
    "check_priority",
    "from_proto",
    "shorten",
    "to_proto",
]


def to_proto(entry: TableEntry, info: P4Info) -> messages.TableEntry:
    """The ``p4.v1.TableEntry``. Raises :class:`BadEntry` naming the table, field or parameter at fault."""
    return messages.TableEntry.FromString(encoder_of(info).entry(entry))


def from_proto(proto: messages.TableEntry, info: P4Info) -> TableEntry:
    """A ``p4.v1.TableEntry`` with short names. Raises :class:`BadEntry` where it does not fit the program."""
    return decoder_of(info).entry(proto)


def shorten(entry: TableEntry, info: P4Info) -> TableEntry:
    """The same entry with short names, as switches' answers have them. Raises :class:`BadEntry`."""
    return from_proto(to_proto(entry, info), info)
