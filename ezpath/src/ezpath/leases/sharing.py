"""Members, things and racks to who ought to have what. Pure: all who see the same leases say the same.

A thing goes to a member in its own rack where there is one, else to anybody; among those who may have it, to whoever
has the fewest. What a member has it keeps, as far as that is even: when one joins or goes, no more moves than has to.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from zlib import crc32


@dataclass(frozen=True, slots=True)
class Who:
    """One that may have things."""

    rack: str = ""
    """Where it runs; empty where that is nobody's business."""
    only: frozenset[str] = frozenset()
    """The things it can have at all; empty: any."""


def eligible(
    things: Mapping[str, str],
    members: Mapping[str, Who],
    unwilling: Collection[tuple[str, str]] = (),
) -> dict[str, frozenset[str]]:
    """Thing to those who may have it. ``things``: their racks. ``unwilling``: (thing, member) that came to nothing.

    A member of the thing's own rack outdoes all that are of others, or of none.
    """
    anybody = frozenset(members)
    of_rack: defaultdict[str, set[str]] = defaultdict(set)
    for name, who in members.items():
        if who.rack:
            of_rack[who.rack].add(name)
    choosy = frozenset(name for name, who in members.items() if who.only)
    found: dict[str, frozenset[str]] = {}
    for thing, rack in things.items():
        may, near = anybody, of_rack.get(rack, set())
        if choosy or unwilling:
            may = frozenset(
                name
                for name in anybody
                if (name not in choosy or thing in members[name].only) and (thing, name) not in unwilling
            )
        found[thing] = may & near or may
    return found


def share(may_have: Mapping[str, frozenset[str]], holders: Mapping[str, str]) -> dict[str, str]:
    """Thing to the member that ought to have it; a thing that nobody may have is left out.

    ``holders``: who has what now. Doing as this says and asking again changes nothing.
    """
    groups: dict[frozenset[str], list[str]] = defaultdict(list)
    for thing, members in may_have.items():
        if members:
            groups[members].append(thing)
    loads: dict[str, int] = dict.fromkeys(frozenset().union(*groups), 0)
    shared: dict[str, str] = {}
    # Whoever has the least choice first: the others can still make up for what that comes to.
    for members in sorted(groups, key=lambda members: (len(members), sorted(members))):
        part = _among(sorted(groups[members]), members, loads, holders)
        for member in part.values():
            loads[member] += 1
        shared |= part
    return shared


def _among(
    things: list[str], members: Iterable[str], loads: Mapping[str, int], holders: Mapping[str, str]
) -> dict[str, str]:
    kept: dict[str, list[str]] = {member: [] for member in sorted(members)}
    for thing in things:
        if (holder := holders.get(thing)) in kept:
            kept[holder].append(thing)
    room = _quotas(len(things), {name: loads[name] for name in kept}, {name: len(has) for name, has in kept.items()})
    shared: dict[str, str] = {}
    for name, has in kept.items():
        has.sort(key=lambda thing: _rank(thing, name))
        for thing in has[len(has) - min(len(has), room[name]) :]:
            shared[thing] = name
            room[name] -= 1
    open_ = [name for name in kept if room[name]]
    for thing in things:
        if thing not in shared:
            name = max(open_, key=lambda name: (_rank(thing, name), name))
            shared[thing] = name
            room[name] -= 1
            if not room[name]:
                open_.remove(name)
    return shared


def _quotas(count: int, loads: Mapping[str, int], have: Mapping[str, int]) -> dict[str, int]:
    """How many of ``count`` things each gets, so that those who had less elsewhere (``loads``) come level.

    What is left over at the level goes to those who would otherwise have to give something up.
    """
    level, rest, below = 0, 0, 0
    among: list[str] = []
    for name in sorted(loads, key=lambda name: loads[name]):
        if among and loads[name] > level + (rest > 0):
            break
        among.append(name)
        below += loads[name]
        level, rest = divmod(count + below, len(among))
    quotas = dict.fromkeys(loads, 0) | {name: max(0, level - loads[name]) for name in among}
    spare = count - sum(quotas.values())
    first = sorted(
        (name for name in among if loads[name] <= level),
        key=lambda name: (have[name] <= quotas[name], _rank("", name), name),
    )
    for name in first[:spare]:
        quotas[name] += 1
    return quotas


def _rank(thing: str, name: str) -> int:
    """Rendezvous: each thing has an order of its own among the members, the same for all who ask."""
    return crc32(f"{thing}/{name}".encode())
