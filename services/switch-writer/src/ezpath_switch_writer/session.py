"""One connection to one switch, from the first word to the moment it breaks: primacy, pipeline, base, desired.

Whatever goes wrong comes out as p4rt's :class:`P4RuntimeError` or as :class:`NotReady`; the caller waits and begins
anew. The mirror is what the switch said it holds when it was last asked.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import grpc
import structlog
from ezpath.answers import Gap
from ezpath.desired import Desired
from ezpath.events import SwitchCommand, TableUse
from ezpath.items import SwitchItem
from ezpath.leases import Deposed

from ezpath_switch_writer.base import GATE
from ezpath_switch_writer.compare import compare
from ezpath_switch_writer.entries import ITEM_TABLES, entry_of, item_of
from ezpath_switch_writer.program import Program
from ezpath_switch_writer.wave import EntryKey, Need, needs, undo, updates, verdict
from p4rt import Client, NotPrimary, TableEntry, Update, UpdateFailure

TERM_SHIFT = 64
"""An election id has 128 bits: the lease's term, and behind it the time."""

_MIRROR_WAS_WRONG = frozenset({grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.NOT_FOUND})


def first_election_id(term: int, now_ms: int) -> int:
    """Of a writer that begins at ``now_ms``, in ``term`` of the lease of its switch."""
    return term << TERM_SHIFT | now_ms


class NotReady(Exception):
    """The switch answers, but cannot be what it has to be; the message says why and what to do."""


class Session:
    """A connected :class:`p4rt.Client` and what is known about the switch behind it."""

    def __init__(
        self, tor: Client, program: Program, repaired: Callable[[int, int], None] = lambda changes, failures: None
    ) -> None:
        """``repaired``: told how many entries were put right without a command, and how many could not be."""
        self._repaired = repaired
        self.tor = tor
        self._program = program
        self._mirror: dict[EntryKey, TableEntry] = {}
        self._touched: list[set[EntryKey]] = []
        """For each :meth:`refresh` under way, what commands have read back since it began."""
        self._log = structlog.get_logger()

    # ---- coming up ----------------------------------------------------------

    async def become_primary(self, election_id: int) -> int:
        """Returns the election id it took. Raises :class:`NotPrimary` while another controller holds the switch.

        The id of a later term of the lease outdoes all of earlier ones, so that its holder takes over at once, and
        the one before can write nothing any more: the switch itself refuses it. One of the same term that began
        anew comes back when the switch has no primary. Raises :class:`Deposed` where it has none, and has seen a later
        term: the lease says less than the switch knows.
        """
        try:
            await self.tor.become_primary(election_id)
        except NotPrimary as error:
            vacant = error.code is grpc.StatusCode.NOT_FOUND
            if not vacant or error.primary_election_id is None:
                raise
            seen, ours = (each >> TERM_SHIFT for each in (error.primary_election_id, election_id))
            if ours and seen > ours:
                raise Deposed(f"{self.tor.target} has had a writer of term {seen}", seen) from error
            election_id = error.primary_election_id + 1
            await self.tor.become_primary(election_id)
        return election_id

    async def ensure_pipeline(self) -> bool:
        """Load the program unless the switch runs it; True when it was loaded, which empties all tables."""
        running = await self.tor.get_pipeline()
        loaded = running is None or running.cookie != self._program.cookie
        if loaded:
            began = time.monotonic()
            await self.tor.set_pipeline(self._program.p4info, self._program.config, self._program.cookie)
            self._log.info("pipeline loaded", took_ms=_since(began), instead_of="another" if running else "none")
        await self.refresh()
        return loaded

    def lacks(self, base: Sequence[TableEntry]) -> bool:
        """Whether any of the base configuration is not there: then the switch may not pass everything yet."""
        return any(self._mirror.get(entry.key) != entry for entry in base)

    async def ensure_base(self, base: Sequence[TableEntry]) -> None:
        """Have every entry of the base configuration, the one that lets the overlay pass behind all others.

        Raises :class:`NotReady` where the switch refuses one.
        """
        failures: dict[EntryKey, UpdateFailure] = {}
        written = 0
        for last in (False, True):
            part = (Need(entry, True) for entry in base if (entry.table == GATE) is last)
            changes = updates(part, self._mirror)
            failures |= await self._write(changes)
            written += len(changes)
        if written:
            await self.refresh()
        missing = [entry for entry in base if self._mirror.get(entry.key) != entry]
        if missing:
            words = failures.get(missing[0].key)
            said = f"{words.code.name}: {words.message}" if words else "it took the write and does not hold it"
            raise NotReady(
                f"{len(missing)} of {len(base)} entries of the base configuration are not there, {missing[0]} first: "
                f"{said}. Compare the switch's part of the inventory with what the switch can hold"
            )

    async def reconcile(self, desired: Desired[SwitchItem], *, remove: bool = True) -> list[str]:
        """Install what is missing, remove what is surplus, in the item tables only. Returns what could not be done.

        Without ``remove`` what is surplus stays.
        """
        wanted = {entry.key: entry for entry in map(entry_of, desired.items)}
        surplus = [entry for entry in self.items() if entry.key not in wanted] if remove else []
        wanting = [entry for entry in wanted.values() if self._mirror.get(entry.key) != entry]
        if not surplus and not wanting:
            return []
        # Deletions first: they make room.
        failures = await self._write([Update.delete(entry) for entry in surplus])
        failures |= await self._write(updates((Need(entry, True) for entry in wanting), self._mirror))
        await self.refresh()
        self._repaired(len(surplus) + len(wanting) - len(failures), len(failures))
        self._log.info(
            "reconciled",
            generation=desired.generation,
            installed=[str(item_of(entry)) for entry in wanting],
            removed=[str(item_of(entry)) for entry in surplus],
            failed=len(failures),
        )
        return [str(failure) for failure in failures.values()]

    # ---- carrying out -------------------------------------------------------

    async def carry_out(self, wave: Sequence[SwitchCommand]) -> list[str]:
        """One batch for all commands of a wave; for each, why it failed, or an empty string.

        What a failed command had got in is taken out again before this returns.
        Raises :class:`P4RuntimeError` where the batch as a whole was refused or its fate is unknown.
        """
        wanted = [need for command in wave for need in needs(command)]
        concerned = [need.entry for need in wanted]
        before = {entry.key: self._mirror[entry.key] for entry in concerned if entry.key in self._mirror}
        failures = await self._write(updates(wanted, self._mirror))
        await self._refresh_some(concerned)
        if any(failure.code in _MIRROR_WAS_WRONG for failure in failures.values()):
            failures = await self._write(updates(wanted, self._mirror))
            await self._refresh_some(concerned)
        verdicts = [verdict(command, self._mirror, failures) for command in wave]
        failed = [command for command, reason in zip(wave, verdicts, strict=True) if reason]
        if failed:
            good = [command for command, reason in zip(wave, verdicts, strict=True) if not reason]
            await self._undo(undo(failed, good, before, self._mirror))
        return verdicts

    async def _undo(self, back: list[Update]) -> None:
        failures = await self._write(back)
        await self._refresh_some([update.entry for update in back])
        for failure in failures.values():
            # The next reconciliation takes it out; until then it is surplus, and harms nobody.
            self._log.error("not undone", reason=str(failure))

    # ---- the wire -----------------------------------------------------------

    def items(self) -> list[TableEntry]:
        """The entries of the item tables that the switch holds."""
        return [entry for entry in self._mirror.values() if entry.table in ITEM_TABLES]

    def compare(self, items: Iterable[SwitchItem], base: Sequence[TableEntry]) -> Gap:
        """How what the switch said it holds differs from ``items`` and ``base``."""
        return compare(items, base, self._mirror)

    def occupancy(self) -> tuple[TableUse, ...]:
        """How full the item tables are: their sizes in the program, and all entries in them, whoever's they are."""
        used = Counter(entry.table for entry in self._mirror.values())
        tables = [self._program.p4info.tables[name] for name in sorted(ITEM_TABLES)]
        return tuple(TableUse(table.alias, table.size, used[table.name] + used[table.alias]) for table in tables)

    async def refresh(self) -> None:
        """Ask the switch what it holds. Of what commands touch meanwhile, what they read back is the newer word."""
        touched: set[EntryKey] = set()
        self._touched.append(touched)
        try:
            found = _by_key(await self.tor.read_table())
        finally:
            self._touched.remove(touched)
        newer = {key: self._mirror[key] for key in touched if key in self._mirror}
        self._mirror = {key: entry for key, entry in found.items() if key not in touched} | newer

    async def _refresh_some(self, entries: Sequence[TableEntry]) -> None:
        """Ask the switch what it holds in the places of ``entries`` alone; the next audit asks for everything."""
        concerned = {entry.key: entry for entry in entries}
        found = _by_key(await self.tor.read_entries(concerned.values()))
        for touched in self._touched:
            touched.update(concerned)
        for key in concerned:
            if key in found:
                self._mirror[key] = found[key]
            else:
                self._mirror.pop(key, None)

    async def _write(self, batch: Sequence[Update]) -> dict[EntryKey, UpdateFailure]:
        return {failure.update.entry.key: failure for failure in await self.tor.write(batch)} if batch else {}


def _by_key(entries: Iterable[TableEntry]) -> dict[EntryKey, TableEntry]:
    return {entry.key: entry for entry in entries if not entry.default}


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1e3, 3)
