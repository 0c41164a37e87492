"""One round of deciding: the series and the sagas put side by side, as the policy and the operator want to see them.

Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ezpath.events import FlowLine
from ezpath.inventory import Inventory, Pair
from ezpath.names import PairId, SwitchName, VlanId
from ezpath.saga import Phase, Saga, World, desired
from ezpath.saga.plan import sides_of, steps

from ezpath_decider.policy import PairView, Streaks
from ezpath_decider.series import Rate, Series

State = Literal["overlay", "moving", "switch"]
_NO_TAGS = (VlanId(0), VlanId(0))


@dataclass(frozen=True, slots=True)
class Sighting:
    """A pair, its rate now, and when both its switches were last heard (seconds, the decider's clock)."""

    pair: Pair
    rate: Rate
    heard_at: float


def sightings(series: Series, world: World, inventory: Inventory) -> dict[PairId, Sighting]:
    """All pairs with a flow in some monitor, and all that are on the switches: these may be silent."""
    seen = {pair.id: Sighting(pair, rate, heard) for pair, rate, heard in series.pairs()}
    for saga in world.sagas.values():
        pair = inventory.pair_by_id(saga.pair)
        if pair is not None and not saga.ended and saga.pair not in seen:
            seen[saga.pair] = Sighting(pair, Rate(), series.heard(pair))
    return seen


def state_of(saga: Saga | None) -> State:
    """Where a pair's frames go."""
    if saga is None or saga.ended:
        return "overlay"
    return "switch" if saga.phase is Phase.ACTIVE else "moving"


def views(seen: Mapping[PairId, Sighting], streaks: Streaks, world: World, inventory: Inventory) -> list[PairView]:
    """What the policy decides about. Pairs on one host meet no switch and are left out."""
    result = []
    for sighting in seen.values():
        pair, saga = sighting.pair, world.sagas.get(sighting.pair.id)
        if pair.a.host == pair.b.host:
            continue
        result.append(
            PairView(
                pair=pair.id,
                rate_bps=sighting.rate.bits_s,
                busy_polls=streaks.busy.get(pair.id, 0),
                idle_polls=streaks.idle.get(pair.id, 0),
                state=state_of(saga),
                cost=_cost(pair, inventory),
                failed_at=saga.entered_at if saga and saga.phase is Phase.ROLLED_BACK else None,
            )
        )
    return result


def _cost(pair: Pair, inventory: Inventory) -> Mapping[SwitchName, frozenset[object]]:
    """Keys of the entries a pair needs on each ToR. The tag's number does not matter for counting: the tenant does."""
    keys: dict[SwitchName, set[object]] = {}
    for targets in steps(sides_of(pair, _NO_TAGS, inventory)).values():
        for target, items in targets.items():
            kind, name = target.split(":", 1)
            if kind == "switch":
                keys.setdefault(SwitchName(name), set()).update(_without_tag(item) for item in items)
    return {switch: frozenset(found) for switch, found in keys.items()}


def entries_in_use(world: World, inventory: Inventory) -> Mapping[SwitchName, frozenset[object]]:
    """Keys of all entries that sagas hold on each ToR, as :func:`_cost` names them."""
    return {
        SwitchName(target.split(":", 1)[1]): frozenset(_without_tag(item) for item in items)
        for target, items in desired(world, inventory).items()
        if target.startswith("switch:")
    }


def _without_tag(item: object) -> object:
    kind = getattr(item, "kind", "")
    if kind == "tenant-tag":
        return (kind, getattr(item, "port", None), getattr(item, "vni", None))
    return getattr(item, "key", None)


def flow_lines(seen: Mapping[PairId, Sighting], world: World, inventory: Inventory) -> tuple[FlowLine, ...]:
    """What `ezpath flows` shows, the busiest first."""
    lines = []
    for sighting in seen.values():
        pair, saga = sighting.pair, world.sagas.get(sighting.pair.id)
        state = state_of(saga)
        if sighting.rate.bits_s <= 0 and state == "overlay":
            continue
        switches = {str(inventory.switch_of(end).name): None for end in (pair.a, pair.b)}
        lines.append(
            FlowLine(
                pair=pair.id,
                tenant=pair.tenant,
                a=pair.a.name,
                b=pair.b.name,
                rate_bps=sighting.rate.bits_s,
                packets_s=sighting.rate.packets_s,
                where=state,
                phase=saga.phase.value if saga else None,
                switches=tuple(switches),
            )
        )
    return tuple(sorted(lines, key=lambda line: (-line.rate_bps, line.pair)))
