"""Helpers that several unit tests share."""

from __future__ import annotations

from ezpath.events import HostCommand, OffloadRequested, StepReport, SwitchCommand
from ezpath.inventory import Inventory
from ezpath.names import PairId, Tenant
from ezpath.saga import Phase, Settings, World, step


def run_to_active(inventory: Inventory, pair: PairId, world: World | None = None) -> World:
    """A world in which ``pair`` was offloaded, every step confirmed."""
    settings = Settings()
    request = OffloadRequested(pair, Tenant(pair.split(".")[0]), "test", 1e7, 0)
    world, events = step(world or World(), request, 0, inventory, settings)
    pending = list(events)
    while pending:
        event = pending.pop(0)
        if isinstance(event, SwitchCommand | HostCommand):
            target = f"switch:{event.switch}" if isinstance(event, SwitchCommand) else f"host:{event.host}"
            report = StepReport(event.saga, event.pair, event.generation, event.phase, target, True)
            world, more = step(world, report, 0, inventory, settings)
            pending.extend(more)
    assert world.sagas[pair].phase is Phase.ACTIVE
    return world
