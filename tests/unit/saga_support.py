"""Helpers that several unit tests share."""

from __future__ import annotations

from collections.abc import Iterable

from ezpath.events import HostCommand, JsonEvent, OffloadRequested, StepReport, SwitchCommand
from ezpath.inventory import Inventory
from ezpath.names import PairId, Tenant
from ezpath.saga import Effects, Keep, Phase, Settings, Want, World, step


def said(effects: Effects) -> list[JsonEvent]:
    """What goes onto the bus."""
    return [effect for effect in effects if not isinstance(effect, Keep | Want)]


def commands(effects: Iterable[object]) -> list[SwitchCommand | HostCommand]:
    return [effect for effect in effects if isinstance(effect, SwitchCommand | HostCommand)]


def report(command: SwitchCommand | HostCommand, ok: bool = True, reason: str = "") -> StepReport:
    """What the target of ``command`` answers."""
    target = f"switch:{command.switch}" if isinstance(command, SwitchCommand) else f"host:{command.host}"
    return StepReport(command.saga, command.pair, command.generation, command.phase, target, ok, reason)


def run_to_active(inventory: Inventory, pair: PairId, world: World | None = None) -> World:
    """A world in which ``pair`` was offloaded, every step confirmed."""
    settings = Settings()
    request = OffloadRequested(pair, Tenant(pair.split(".")[0]), "test", 1e7, 0)
    world, effects = step(world or World(), request, 0, inventory, settings)
    pending = commands(effects)
    while pending:
        world, effects = step(world, report(pending.pop(0)), 0, inventory, settings)
        pending += commands(effects)
    assert world.sagas[pair].phase is Phase.ACTIVE
    return world
