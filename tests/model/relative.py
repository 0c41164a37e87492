"""A target, cut down to what can still make a difference: what the explorer keeps of it."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any

from model.targets import EMPTY, Doc, Target
from model.writers import Host, Switch


def relative(target: Target) -> Target:
    """The same with ranks counted anew, and without what can make no difference any more.

    Only commands that are still to come are ever compared with a rank, so that what lies between two of them is one
    place: theirs are 2, 4, 6, …, and everything else is on one of these or between them.
    """
    coming = (*target.inbox, *target.stray)
    ranks = sorted({command.rank for command in coming})

    def of(rank: int) -> int:
        below = bisect_left(ranks, rank)
        return 2 * below + (2 if below < len(ranks) and ranks[below] == rank else 1)

    def matters(key: tuple[object, ...], rank: int) -> bool:
        return any(command.rank < rank and any(item.key == key for _, item in command.asks) for command in coming)

    changes: dict[str, Any] = {"doc": Doc(of(target.doc.rank), target.doc.items)}
    if coming:
        changes["inbox"] = tuple(command._replace(rank=of(command.rank)) for command in target.inbox)
        changes["stray"] = tuple(sorted((c._replace(rank=of(c.rank)) for c in target.stray), key=repr))
    if isinstance(target, Host):
        spoken = ((key, of(rank)) for key, rank in target.spoken if matters(key, rank))
        changes |= {"floor": of(target.floor), "spoken": tuple(sorted(spoken, key=repr))}
    elif isinstance(target, Switch):
        done = (entry._replace(rank=of(entry.rank)) for entry in target.done if matters(entry.item.key, entry.rank))
        known = Doc(of(target.known.rank), target.known.items) if coming or target.link == "opening" else EMPTY
        changes |= {"known": known, "done": tuple(sorted(done, key=repr))}
    return target.but(**changes)


def top(target: Target) -> int:
    """A rank that everything this target has heard of is at most."""
    return 2 * len({command.rank for command in (*target.inbox, *target.stray)}) + 2
