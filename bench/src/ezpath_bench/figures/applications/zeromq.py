"""ZeroMQ: one message there and back at a time, and messages one way (see exchange.py, which runs in the hosts)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ezpath_lab.shell import LabError

from ezpath_bench.figures.applications.server import serving
from ezpath_bench.figures.experiment import ZeroMq
from ezpath_bench.figures.guests.plan import SIDES, inside
from ezpath_bench.figures.guests.site import Site
from ezpath_bench.figures.meter import Meter

PORT = 5555
_PROGRAM = Path(__file__).with_name("exchange.py")
_PIPE = "/tmp/exchange.pipe"
_PATIENCE_S = 25.0


def zeromq(site: Site, work: ZeroMq, mode: str, octets: int) -> dict[str, float]:
    """Messages a second as the receiver counts them, the time of one there and back, and what one cost both hosts."""
    one, other = SIDES
    here, where = site.guests[one], site.network(mode)
    ours, theirs = (site.guests[side].share(_PROGRAM, _PROGRAM.name) for side in SIDES)
    with serving(site, where, f"python3 {theirs} answer {other.ip(where)} {PORT}", PORT) as answering:
        here.run(f"rm -f {_PIPE}; mkfifo {_PIPE}")
        half = work.seconds / 2
        asking = here.start(inside(where, f"python3 {ours} ask {other.ip(where)} {PORT} {octets} {half:g} {_PIPE}"))
        here.run(f"timeout {half + _PATIENCE_S:.0f} cat {_PIPE}", half + _PATIENCE_S + 1)
        meter = Meter(site)
        here.run(f"timeout 10 sh -c 'echo go >{_PIPE}'")
        trips = parse(asking.result(half + _PATIENCE_S), "p50_us", "p99_us")
        counted = parse(answering.result(), "messages", "seconds")
        spent = meter.read()
    messages, seconds = counted["messages"], counted["seconds"]
    if not messages:
        raise LabError(f"{mode}: ZeroMQ received one message of {octets} B and no more")
    return {
        "messages/s": messages / seconds,
        "round trip p50 µs": trips["p50_us"],
        **spent.each("CPU µs a message", messages, 1e6),
        "CPU share of kernels": spent.kernels,
        "Gbit/s": messages * octets * 8e-9 / seconds,
        "round trip p99 µs": trips["p99_us"],
    }


def parse(said: str, *names: str) -> dict[str, float]:
    """What exchange.py said: values of ``names``. Raises LabError."""
    try:
        document: Any = json.loads(said)
        return {name: float(document[name]) for name in names}
    except (ValueError, KeyError, TypeError):
        raise LabError(f"{_PROGRAM.name} said nothing of {', '.join(names)}: {said[-400:]!r}") from None
