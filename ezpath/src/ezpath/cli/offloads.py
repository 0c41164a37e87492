"""`ezpath offloads`: the pairs that are on the switches or on their way, each with its saga."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click
import structlog

from ezpath.bus import Access, Bus
from ezpath.cli.common import nats_option, with_bus
from ezpath.cli.eventoptions import place_options
from ezpath.cli.filters import Filter
from ezpath.cli.lines import clock, duration
from ezpath.cli.output import Column, Format, Listing, output_option
from ezpath.events import SAGA_BUCKET
from ezpath.inventory import Inventory
from ezpath.inventory.document import Document
from ezpath.saga import Saga, saga_from_json
from ezpath.saga.phases import ENDED

EXAMPLES = """\b
Examples:
  ezpath offloads                          what is on the switches, and on its way there or back
  ezpath offloads --switch tor1 -o wide    what tor1 has a part in, with tags and generations
  ezpath offloads --ended                  those that came back or failed too, with the reason
  ezpath offloads --json | jq -r 'select(.phase != "active") | .saga'

These are the sagas' records, as the deciders keep them. `ezpath trace SAGA` shows one of them step by step.

\b
Exit status: 0 shown, also where there are none, 2 wrong usage, 3 NATS not reachable.
"""


@dataclass(frozen=True, slots=True)
class Offload:
    """One record, seen at one time."""

    saga: Saga
    now: float

    @property
    def places(self) -> list[str]:
        """The switches and hosts that it has something on."""
        sides = self.saga.sides or ()
        return [*dict.fromkeys(f"switch:{side.switch}" for side in sides), *(f"host:{side.host}" for side in sides)]

    @property
    def for_s(self) -> float:
        return max(0.0, self.now - self.saga.entered_at)

    def document(self) -> Mapping[str, Any]:
        saga = self.saga
        return {
            "pair": saga.pair,
            "tenant": saga.tenant,
            "saga": saga.id,
            "phase": saga.phase.value,
            "goal": saga.goal,
            "requested_at": saga.requested_at,
            "entered_at": saga.entered_at,
            "for_s": round(self.for_s, 3),
            "switches": [name for name in self.places if name.startswith("switch:")],
            "hosts": [name for name in self.places if name.startswith("host:")],
            "waiting": sorted(saga.waiting) if saga.phase.value != "active" else [],
            "tries": saga.tries,
            "generation": saga.generation,
            "vlans": {side.host: side.vid for side in saga.sides or ()},
            "reason": saga.reason,
        }


def _style(offload: Offload) -> str:
    if offload.saga.phase.value == "active":
        return "green"
    return "dim" if offload.saga.ended else "red" if offload.saga.tries else "yellow"


LISTING: Listing[Offload] = Listing(
    (
        Column("SAGA", lambda each: each.saga.id),
        Column("PHASE", lambda each: each.saga.phase.value),
        Column("FOR", lambda each: duration(each.for_s * 1000), right=True, spare=1),
        Column("ON", lambda each: " ".join(name.partition(":")[2] for name in each.places), spare=2),
        Column("SINCE", lambda each: clock(each.saga.entered_at), wide=True),
        Column("TAGS", lambda each: " ".join(f"{s.host}={s.vid}" for s in each.saga.sides or ()), wide=True),
        Column("GENERATION", lambda each: str(each.saga.generation), right=True, wide=True),
        Column("AGAIN", lambda each: str(each.saga.tries), right=True, wide=True),
        Column("WAITS FOR", lambda each: " ".join(each.document()["waiting"])),
        Column("WHY", lambda each: each.saga.reason, fold=True),
    ),
    Offload.document,
    _style,
    empty="no pair is on the switches or on its way there",
)


@click.command(epilog=EXAMPLES)
@nats_option
@place_options
@click.option("--ended", is_flag=True, help="Those that have come to their end as well.")
@output_option
def offloads(nats: Access, wanted: Filter, ended: bool, output: Format) -> None:
    """List the pairs on the switches, and those on their way there or back."""

    async def work(bus: Bus) -> None:
        records = await bus.kv_items(SAGA_BUCKET)
        now = time.time()
        found = [Offload(saga, now) for saga in _understood(records, wanted.inventory)]
        shown = [
            each
            for each in found
            if (ended or each.saga.phase not in ENDED) and wanted.matches_pair(each.saga.pair, each.places)
        ]
        LISTING.show(sorted(shown, key=lambda each: each.saga.pair), output)

    with_bus(nats, work)


def _understood(records: Mapping[str, tuple[bytes, int]], inventory: Inventory | None) -> list[Saga]:
    # Only records of an early version need an inventory to be read.
    known = inventory or Inventory(Document(tenants={}, switches={}, hosts={}))
    found: list[Saga] = []
    for key, (value, _) in records.items():
        try:
            found.append(saga_from_json(value, known))
        except ValueError as error:
            structlog.get_logger().warning("saga record not understood", key=key, reason=str(error))
    return found
