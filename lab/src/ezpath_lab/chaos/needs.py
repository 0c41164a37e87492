"""What ought to be installed, worked out from the sagas' records alone. Pure.

Written anew and not taken from the saga's own plan: it is to notice when that is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Thing = tuple[str | int, ...]
"""A P4 entry or a rule on a host in plain words, as :mod:`ezpath_lab.chaos.readings` has them too."""
Things = Mapping[str, frozenset[Thing]]
"""By ``switch:<name>`` or ``host:<name>``."""

RESTING = frozenset({"active", "reverted", "rolled-back"})


@dataclass(frozen=True, slots=True)
class Record:
    """What a pair's record in KV says, as far as it matters here."""

    pair: str
    phase: str
    told: bool
    generation: int = 0
    sides: tuple[Mapping[str, Any], ...] = ()

    @property
    def at_rest(self) -> bool:
        return self.phase in RESTING and self.told


def record_of(value: bytes) -> Record:
    """One record. Raises ValueError or KeyError for what is none."""
    raw = json.loads(value)
    return Record(raw["pair"], raw["phase"], bool(raw["told"]), raw["generation"], tuple(raw["sides"] or ()))


def steady(before: Iterable[Record], after: Iterable[Record]) -> list[Record]:
    """The pairs that were active all the time between two readings of the records."""
    same = {(record.pair, record.generation) for record in before if record.phase == "active"}
    return [record for record in after if record.phase == "active" and (record.pair, record.generation) in same]


def needed(records: Iterable[Record]) -> Things:
    """What the active ones of them need, by target."""
    found: dict[str, set[Thing]] = {}
    for record in records:
        if record.phase != "active":
            continue
        for me, peer in (record.sides, record.sides[::-1]):
            for target, thing in _one_side(me, peer):
                found.setdefault(target, set()).add(thing)
    return {target: frozenset(things) for target, things in found.items()}


def _one_side(me: Mapping[str, Any], peer: Mapping[str, Any]) -> list[tuple[str, Thing]]:
    switch, host = f"switch:{me['switch']}", f"host:{me['host']}"
    vni, vid, port = me["vni"], me["vid"], me["port"]
    things: list[tuple[str, Thing]] = [
        (switch, ("endpoint", vni, me["mac"], "port", port, vid)),
        (switch, ("tag", port, vid, vni)),
        (host, ("receive", vni, vid, me["mac"])),
        (host, ("receive-phy", vni, vid, me["mac"])),
        (host, ("send", vni, me["mac"], peer["mac"], vid)),
        (host, ("send-phy", vni, vid)),
    ]
    if me["switch"] != peer["switch"]:
        things.append((switch, ("endpoint", vni, peer["mac"], "tunnel", me["vtep"], peer["vtep"])))
    return things


def differences(target: str, wanted: frozenset[Thing], found: frozenset[Thing]) -> list[str]:
    """What is missing, and what is an orphan, in words."""
    missing = [f"{target}: missing {_words(thing)}" for thing in sorted(wanted - found, key=str)]
    return missing + [f"{target}: orphan {_words(thing)}" for thing in sorted(found - wanted, key=str)]


def _words(thing: Thing) -> str:
    return " ".join(str(word) for word in thing)
