"""What the decider that decides and those that count say to each other, once a round.

Pure. An :class:`Order` goes to all: who counts what, where the moved flows are, and by which policy to choose. A
:class:`Part` comes back from each: the rows of the flows that can matter. Flows go by their addresses, for endpoints'
numbers are each process's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from ezpath_decider import bundle
from ezpath_decider.columns import F64, NOWHERE, U64, Indices, Mask
from ezpath_decider.directory import Directory, ends, pair_keys
from ezpath_decider.pins import Lists, Paused
from ezpath_decider.places import Places
from ezpath_decider.series import Series

PLACE_COLUMNS = ("state", "entered_at", "rounds", "failures")
ROW_COLUMNS = (
    "octet_history",
    "packet_history",
    "newest",
    "rounds",
    "octet_mean",
    "packet_mean",
    "octet_variance",
    "first_seen",
)


@dataclass(frozen=True, slots=True)
class Choice:
    """By what to choose the flows that matter."""

    strategy: str = "threshold"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """All of them, those at their defaults as well."""
    entries: int = 0
    half_life_s: float = 30.0
    retry_after_s: float = 30.0
    kinds: Mapping[str, float] = field(default_factory=dict)
    lists: Lists = field(default_factory=Lists)
    paused: Paused = field(default_factory=Paused)


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """Of one round, from the one that decides."""

    sender: str
    number: int
    now: float
    """By the sender's clock, as are the places' times."""
    owners: Sequence[str]
    """Of each part; empty where it is only asked who is there: then all go on with what they have."""
    choice: Choice
    places: bundle.Columns
    """Addresses, and :data:`PLACE_COLUMNS`."""
    asked: bundle.Columns
    """Addresses of flows that somebody wants to hear about."""

    def encode(self) -> bytes:
        choice = {**asdict(self.choice), "lists": asdict(self.choice.lists), "paused": _lists(self.choice.paused)}
        fields = {"sender": self.sender, "number": self.number, "now": self.now}
        fields |= {"owners": list(self.owners), "choice": choice}
        columns = {f"places.{name}": values for name, values in self.places.items()}
        return bundle.pack("order", fields, columns | {f"asked.{name}": values for name, values in self.asked.items()})

    @classmethod
    def decode(cls, data: bytes) -> Order:
        """Raises :class:`~ezpath.malformed.MalformedEvent`."""
        body, columns = bundle.unpack(data, "order")
        choice = body["choice"]
        choice["lists"] = Lists(**{name: tuple(texts) for name, texts in choice["lists"].items()})
        paused = choice["paused"]
        choice["paused"] = Paused(paused["everywhere"], frozenset(paused["racks"]), frozenset(paused["tenants"]))
        places, asked = (
            {name.partition(".")[2]: values for name, values in columns.items() if name.startswith(kind)}
            for kind in ("places.", "asked.")
        )
        return cls(body["sender"], body["number"], body["now"], body["owners"], Choice(**choice), places, asked)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Of one round, from one that counts."""

    sender: str
    number: int
    """Of the order."""
    now: float
    """By the sender's clock …"""
    began_at: float
    """… as is this: what the first sight of flows is counted from."""
    kept_s: F64
    """For how long it has counted each part; NaN for those it does not count."""
    rows: bundle.Columns
    """Addresses, :data:`ROW_COLUMNS` and whether there was fresh word."""

    def encode(self) -> bytes:
        fields = {"sender": self.sender, "number": self.number, "now": self.now, "began_at": self.began_at}
        return bundle.pack("part", fields, {"kept_s": self.kept_s, **self.rows})

    @classmethod
    def decode(cls, data: bytes) -> Part:
        """Raises :class:`~ezpath.malformed.MalformedEvent`."""
        body, columns = bundle.unpack(data, "part")
        kept_s = columns.pop("kept_s")
        return cls(body["sender"], body["number"], body["now"], body["began_at"], kept_s, columns)


def _lists(paused: Paused) -> dict[str, Any]:
    return {"everywhere": paused.everywhere, "racks": sorted(paused.racks), "tenants": sorted(paused.tenants)}


# ---- flows by address ---------------------------------------------------------


def addresses(flows: U64, directory: Directory) -> dict[str, U64]:
    one, other = ends(flows)
    return {"vni": directory.vni[one], "one": directory.mac[one], "other": directory.mac[other]}


def flows_at(columns: bundle.Columns, directory: Directory) -> tuple[U64, Indices]:
    """The flows at these addresses, and which of the rows they are: endpoints that are not known here are left out."""
    one, other = (directory.find(columns["vni"], columns[end]) for end in ("one", "other"))
    known = np.flatnonzero((one != NOWHERE) & (other != NOWHERE) & (one != other))
    return pair_keys(one[known], other[known]), known


# ---- places -------------------------------------------------------------------


def places_to_columns(places: Places, directory: Directory) -> dict[str, Any]:
    rows, used = places.rows, slice(0, places.rows.count)
    return addresses(rows.flow[used], directory) | {name: getattr(rows, name)[used] for name in PLACE_COLUMNS}


def places_of(columns: bundle.Columns, directory: Directory, mine: Any) -> Places:
    """The records of those flows that are ``mine``."""
    flows, known = flows_at(columns, directory)
    kept = mine(flows)
    places = Places()
    places.put(flows[kept], {name: columns[name][known[kept]] for name in PLACE_COLUMNS})
    return places


# ---- rows ---------------------------------------------------------------------


def rows_to_columns(series: Series, rows: Indices, fresh: Mask) -> dict[str, Any]:
    columns: dict[str, Any] = {name: getattr(series.rows, name)[rows] for name in ROW_COLUMNS}
    return addresses(series.rows.key[rows], series.directory) | columns | {"fresh": fresh[rows]}
