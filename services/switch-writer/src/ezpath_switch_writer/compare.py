"""What a switch holds against what it ought to hold, in words. Pure.

Ours are all entries of the item tables, and the entries of the base configuration; what else stands in other tables is
somebody else's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ezpath.answers import Changed, Gap
from ezpath.items import SwitchItem
from ezpath.items import words as item_words

from ezpath_switch_writer.entries import ITEM_TABLES, entry_of, item_of
from ezpath_switch_writer.wave import EntryKey
from p4rt import TableEntry


def compare(items: Iterable[SwitchItem], base: Sequence[TableEntry], present: Mapping[EntryKey, TableEntry]) -> Gap:
    """The difference between ``items`` with ``base`` and what is ``present``."""
    wanted = {entry.key: entry for entry in (*base, *map(entry_of, items))}
    missing, changed = list[str](), list[Changed]()
    for key, entry in wanted.items():
        found = present.get(key)
        if found is None:
            missing.append(words(entry))
        elif found != entry:
            changed.append(Changed(words(entry), words(found)))
    surplus = [words(entry) for key, entry in present.items() if key not in wanted and entry.table in ITEM_TABLES]
    return Gap(tuple(sorted(missing)), tuple(sorted(surplus)), tuple(changed))


def words(entry: TableEntry) -> str:
    """The item's own words; the entry's where it stands for none."""
    item = item_of(entry)
    return item_words(item) if item is not None else str(entry)
