"""Direct counters over P4Runtime: what each entry of a table has counted, read and written by the entry's match."""

from __future__ import annotations

from collections.abc import Iterator

from ezpath_tor.cells import counted, counts_of
from ezpath_tor.faults import invalid, not_found
from ezpath_tor.plane import DataPlane
from ezpath_tor.tables import Tables
from p4rt import messages


class DirectCounters:
    """The direct counters of the loaded program's tables. Not thread safe."""

    def __init__(self, plane: DataPlane, tables: Tables) -> None:
        self._plane = plane
        self._tables = tables

    def write(self, kind: int, proto: messages.DirectCounterEntry) -> None:
        """One update. Raises :class:`Fault`, a ``BadEntry`` or a ``PlaneError``."""
        info = self._tables.info_of(proto.table_entry.table_id)
        what = f"the direct counter of table {info.alias}"
        if kind != messages.Update.MODIFY:
            raise invalid(f"{what} is modified, not inserted or deleted")
        found = list(self._tables.counted(proto.table_entry, one=True))
        if not found:
            raise not_found(f"table {info.alias} has no such entry")
        if not proto.HasField("data"):
            return  # the specification: the value stays as it is
        packets, octets = counts_of(proto.data, what)
        for table, key, _ in found:
            self._plane.write_hits(table.name, key, packets, octets)

    def read(self, proto: messages.DirectCounterEntry) -> Iterator[bytes]:
        """Serialized entities with what the entries that are meant have counted; no table id means all tables."""
        for table, key, entry in self._tables.counted(proto.table_entry):
            answer = messages.DirectCounterEntry(
                table_entry=entry, data=counted(*self._plane.read_hits(table.name, key))
            )
            yield messages.Entity(direct_counter_entry=answer).SerializeToString()
