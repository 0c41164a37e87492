"""The inventory changes while sagas run: whoever is no longer where the record says is brought back, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ezpath.events import OffloadRequested, SagaOutcome, SwitchCommand
from ezpath.inventory import Inventory
from ezpath.items import EndpointLocal
from ezpath.names import EndpointName, HostName, PairId, Tenant
from ezpath.saga import Effects, InventoryChanged, Phase, Settings, Tick, World, step
from saga_support import commands, report, run_to_active, said

RED, ANOTHER = PairId("red.red-1.red-3"), PairId("red.red-1.red-4")
OTHERS = PairId("red.red-2.red-3")
SETTINGS = Settings(drain_s=1, quarantine_s=30)


def moved(inventory: Inventory, name: str, host: str) -> Inventory:
    endpoint = inventory.endpoints[EndpointName(name)]
    return inventory.with_endpoints({**inventory.endpoints, name: replace(endpoint, host=HostName(host))}.values())


def without(inventory: Inventory, name: str) -> Inventory:
    return inventory.with_endpoints(each for each in inventory.endpoints.values() if each.name != name)


def active(inventory: Inventory, *pairs: PairId) -> World:
    world = World()
    for pair in pairs:
        world = run_to_active(inventory, pair, world)
    return world


def finish(world: World, effects: Effects, inventory: Inventory, pairs: Iterable[PairId]) -> tuple[World, list[object]]:
    """Everybody confirms, drains end; and all that is said meanwhile."""
    told: list[object] = list(said(effects))
    pending, now = commands(effects), 10.0
    while pending or any(world.sagas[pair].phase is Phase.DRAIN for pair in pairs):
        now += 1
        world, effects = step(world, report(pending.pop(0)) if pending else Tick(), now, inventory, SETTINGS)
        told += said(effects)
        pending += commands(effects)
    return world, told


def test_given_an_endpoint_that_moves_then_its_pairs_come_back_by_their_records_and_nobody_else(
    inventory: Inventory,
) -> None:
    world = active(inventory, RED, ANOTHER, OTHERS)
    after = moved(inventory, "red-1", "h12")
    world, effects = step(world, InventoryChanged(), 10, after, SETTINGS)
    assert {pair: saga.phase for pair, saga in world.sagas.items()} == {
        RED: Phase.HOST_SEND_OFF,
        ANOTHER: Phase.HOST_SEND_OFF,
        OTHERS: Phase.ACTIVE,
    }
    # The old place is asked, not the new one.
    assert {command.host for command in commands(effects) if not isinstance(command, SwitchCommand)} == {
        "h11",
        "h21",
        "h22",
    }
    world, told = finish(world, effects, after, (RED, ANOTHER))
    outcomes = {event.pair: event for event in told if isinstance(event, SagaOutcome)}
    assert outcomes[RED].outcome == outcomes[ANOTHER].outcome == "reverted"
    assert outcomes[RED].reason == f"the inventory now has an endpoint of {RED} elsewhere"
    assert outcomes[RED].took_ms < 60_000, "the way back, not the whole stay"
    assert not any("h11" in str(item) for item in world.holds.items("host:h11"))


def test_given_an_endpoint_that_vanishes_then_what_it_had_is_taken_off(inventory: Inventory) -> None:
    world = active(inventory, RED, OTHERS)
    after = without(inventory, "red-1")
    world, effects = step(world, InventoryChanged(), 10, after, SETTINGS)
    world, _ = finish(world, effects, after, (RED,))
    assert world.sagas[RED].phase is Phase.REVERTED
    assert "no longer has" in world.sagas[RED].reason
    assert not world.holds.items("host:h11"), "nothing is left where it was"
    assert world.holds.items("switch:tor1") == active(after, OTHERS).holds.items("switch:tor1")


def test_given_a_pair_on_its_way_there_then_it_turns_back(inventory: Inventory) -> None:
    world, _ = step(World(), OffloadRequested(RED, Tenant("red"), "", 0, 1), 1, inventory, SETTINGS)
    world, _ = step(world, InventoryChanged(), 2, without(inventory, "red-3"), SETTINGS)
    assert world.sagas[RED].phase is Phase.SWITCH_OFF
    assert world.sagas[RED].goal == "reverted"


def test_given_another_importance_or_the_same_inventory_then_nothing_happens(inventory: Inventory) -> None:
    world = active(inventory, RED)
    heavier = [replace(each, importance=9.0, interface="eth9", ip="10.9.9.9") for each in inventory.endpoints.values()]
    assert step(world, InventoryChanged(), 10, inventory.with_endpoints(heavier), SETTINGS) == (world, ())


def test_given_what_is_left_of_the_old_place_then_the_new_one_waits_until_it_is_gone(inventory: Inventory) -> None:
    """Two entries for one endpoint cannot stand in one table: its pairs all leave the old place first."""
    world = active(inventory, RED, ANOTHER)
    after = moved(inventory, "red-1", "h12")
    world, effects = step(world, InventoryChanged(), 10, after, SETTINGS)
    mine = [event for event in commands(effects) if event.pair == RED]
    # given that one of them is back
    world, _ = finish(world, tuple(mine), after, (RED,))
    assert world.sagas[RED].phase is Phase.REVERTED and world.sagas[ANOTHER].phase is not Phase.REVERTED
    # when it is to go to the switches at its new place
    request = OffloadRequested(RED, Tenant("red"), "", 0, 20)
    world, effects = step(world, request, 20, after, SETTINGS)
    # then not yet, and why
    assert world.sagas[RED].phase is Phase.ROLLED_BACK
    assert world.sagas[RED].reason == (
        f"switch:tor1 still has what pair {ANOTHER} needed before an endpoint moved: ask again when it is reverted"
    )
    # and once the other one is back as well, it goes
    others = commands(step(world, Tick(), 30, after, SETTINGS)[1])
    world, effects = step(world, Tick(), 30, after, SETTINGS)
    world, _ = finish(world, tuple(others), after, (ANOTHER,))
    world, effects = step(world, replace(request, at=40), 40, after, SETTINGS)
    assert world.sagas[RED].phase is Phase.SWITCH_RECEIVE
    put = [item for command in commands(effects) for item in command.put]
    assert {item.port for item in put if isinstance(item, EndpointLocal) and item.mac == "02:00:00:00:00:01"} == {2}
