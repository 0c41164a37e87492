"""P4Runtime for programs: messages that load, names instead of ids, an asyncio client.

Knows nothing of any P4 program. The public surface::

    from p4rt import (
        Client,            # Client("unix:/run/tor1.sock", device_id=1), an async context manager
        P4Info,            # P4Info.load(path): tables, actions, registers and counters by name or alias
        TableEntry,        # TableEntry("endpoint", {"vni": 5001, "mac": 2}, "to_port", {"port": 1, "vid": 7})
        Update, UpdateKind,  # Update(UpdateKind.INSERT, entry); also Update.insert(entry), .modify, .delete
        UpdateFailure,     # what Client.write returns for each update that did not get in
        HitCount,          # what Client.read_hits returns: .entry .packets .octets
        Pipeline,          # what Client.get_pipeline returns: p4info, cookie
        P4RuntimeError,    # .target .asked .code (grpc.StatusCode) .answer; str() is one readable line
        NotPrimary,        # a P4RuntimeError; .primary_election_id names who is
    )

    async with Client("unix:/run/tor1.sock", 1) as tor:     # connect() on entry, close() on exit
        await tor.become_primary(election_id)               # NotPrimary when another one outranks us
        await tor.set_pipeline(p4info, config, cookie=7)    # p4info may be a P4Info, config is bytes
        failures = await tor.write([Update.insert(entry)])  # [] when all got in; never raises for one update
        entries = await tor.read_table("endpoint")          # None: all tables
        cells = await tor.read_register("stage1")           # numpy uint8 (cells, width in bytes), big endian
        counts = await tor.read_counter("drops")            # numpy uint64 (cells, 2): packets, bytes
        hits = await tor.read_hits("acl")                   # a table's direct counter: HitCount for each entry
        reason = await tor.wait_demoted()                   # returns once primacy or the connection is lost

``tor.primary`` is true while this client is the primary; after a loss call ``become_primary`` again, on the
same client: the channel reconnects by itself. Reads need neither primacy nor ``set_pipeline`` here: names
are looked up in ``tor.p4info``, which the client fetches from the switch when it needs it and does not
have it (``get_pipeline`` fetches it anew).

``Client("10.0.0.1:9559", 1, tls=files)`` speaks TLS, with a certificate of its own where ``files``
(:class:`p4rt.tls.Files`) have one; a server has ``p4rt.tls.server_credentials``.

Entries that come from a switch carry the short names (aliases) of tables and actions, so they compare equal
to entries written with short names; ``p4rt.entries.shorten(entry, p4info)`` makes any entry so.
"""

from __future__ import annotations

from p4rt.client import Client, HitCount, Pipeline
from p4rt.entries import TableEntry, Update, UpdateFailure, UpdateKind
from p4rt.errors import NotPrimary, P4RuntimeError
from p4rt.p4info import P4Info
from p4rt.wire import RegisterCells

__all__ = [
    "Client",
    "HitCount",
    "NotPrimary",
    "P4Info",
    "P4RuntimeError",
    "Pipeline",
    "RegisterCells",
    "TableEntry",
    "Update",
    "UpdateFailure",
    "UpdateKind",
]
