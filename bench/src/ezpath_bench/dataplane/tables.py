"""What the program costs as its largest table grows: as many pairs of ToRs as there are sizes, measured in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial

from ezpath_bench.dataplane import measure
from ezpath_bench.dataplane.paths import EXTRA_MAC, Switch, Way, Workshop, endpoint, tor
from ezpath_bench.rounds import interleaved
from p4rt import Client, Update

SIZES = (1, 10, 100, 1_000, 10_000, 100_000)
OCTETS = 350
Growth = dict[str, dict[int, list[float]]]


def measured(
    workshop: Workshop, sizes: Sequence[int], rounds: int, seconds: float, say: Callable[[str], None]
) -> Growth:
    """Nanoseconds a packet, one value a round, by entries in ``endpoint``: all frames to one, or to all in turn."""
    load = workshop.load_program()
    growth: Growth = {kind: {size: [] for size in sizes} for kind in ("one destination", "all destinations")}
    with ExitStack() as stack, measure.program_times_counted():
        ways: dict[str, Way] = {}
        for size in sizes:
            ways[str(size)] = stack.enter_context(tor(workshop, f"t{size}"))
            workshop.runner.run(_fill(ways[str(size)].switches[0], size))
        for kind in growth:
            runs = {
                name: partial(
                    measure.program_ns,
                    way,
                    load,
                    OCTETS,
                    seconds / 2,
                    targets=1 if kind == "one destination" else int(name),
                )
                for name, way in ways.items()
            }
            for number, name, value in interleaved(runs, rounds):
                growth[kind][int(name)].append(value)
                say(f"round {number + 1}/{rounds} {kind}, {int(name):,} entries {value:8.0f} ns")
    return growth


async def _fill(switch: Switch, size: int) -> None:
    """Bring the table to ``size`` entries, of which the way itself has one that frames go to."""
    client = Client(switch.address, switch.device_id)
    await client.connect()
    try:
        await client.become_primary(2)
        updates = [Update.insert(endpoint(EXTRA_MAC + number, 0, local=False)) for number in range(size - 1)]
        failures = await client.write(updates)
    finally:
        await client.close()
    if failures:
        raise measure.NoFigure(f"the endpoint table does not take {size} entries: {failures[0]}")
