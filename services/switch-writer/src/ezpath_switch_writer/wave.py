"""From commands to one batch of updates, and from what came back to a verdict on each command. Pure.

A wave is a run of commands that do not contradict each other, so that each table key is touched once: P4Runtime
promises no order within a batch. No server makes a batch atomic either, so a command that failed in part is undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ezpath.events import SwitchCommand

from ezpath_switch_writer.entries import entry_of
from p4rt import TableEntry, Update, UpdateFailure

EntryKey = tuple[object, ...]
Present = Mapping[EntryKey, TableEntry]
"""What a switch holds, by key."""
Failures = Mapping[EntryKey, UpdateFailure]


@dataclass(frozen=True, slots=True)
class Need:
    """``entry`` is to be there (``put``), or not to be there."""

    entry: TableEntry
    put: bool

    def met(self, present: Present) -> bool:
        return (present.get(self.entry.key) == self.entry) is self.put

    def update(self, present: Present) -> Update | None:
        """The one update that makes it so; None when it is so."""
        there = present.get(self.entry.key)
        if self.met(present):
            return None
        if not self.put:
            return Update.delete(self.entry)
        return Update.insert(self.entry) if there is None else Update.modify(self.entry)


def needs(command: SwitchCommand) -> tuple[Need, ...]:
    """What ``command`` asks for."""
    put = tuple(Need(entry_of(item), True) for item in command.put)
    return put + tuple(Need(entry_of(item), False) for item in command.remove)


def waves(commands: Sequence[SwitchCommand]) -> Iterator[list[SwitchCommand]]:
    """Split ``commands``, in order, where one touches what an earlier one of the same wave touched differently."""
    wave: list[SwitchCommand] = []
    touched: dict[EntryKey, Need] = {}
    for command in commands:
        wanted = {need.entry.key: need for need in needs(command)}
        if any(touched.get(key, need) != need for key, need in wanted.items()):
            yield wave
            wave, touched = [], {}
        wave.append(command)
        touched.update(wanted)
    if wave:
        yield wave


def updates(wanted: Iterable[Need], present: Present) -> list[Update]:
    """The batch: one update for each key that is not as it should be."""
    found: dict[EntryKey, Update] = {}
    for need in wanted:
        update = need.update(present)
        if update is not None:
            found[need.entry.key] = update
    return list(found.values())


def verdict(command: SwitchCommand, present: Present, failures: Failures) -> str:
    """Why ``command`` did not come about, in the switch's words where it gave some; empty when it did."""
    for need in needs(command):
        if need.met(present):
            continue
        failure = failures.get(need.entry.key)
        if failure is not None:
            return f"{failure.code.name}: {failure.message} ({failure.update})"
        found = present.get(need.entry.key)
        wanted = "to be there" if need.put else "to be gone"
        return f"read back: {need.entry} was {wanted} and is not (found: {found or 'nothing'})"
    return ""


def undo(
    failed: Iterable[SwitchCommand], succeeded: Iterable[SwitchCommand], before: Present, after: Present
) -> list[Update]:
    """What puts back as it was before whatever the failed commands got in, and nobody else needs."""
    kept = {need.entry.key for command in succeeded for need in needs(command)}
    back: dict[EntryKey, Update] = {}
    for command in failed:
        for need in needs(command):
            key = need.entry.key
            if not need.put or key in kept or after.get(key) != need.entry or before.get(key) == need.entry:
                continue
            old = before.get(key)
            back[key] = Update.delete(need.entry) if old is None else Update.modify(old)
    return list(back.values())
