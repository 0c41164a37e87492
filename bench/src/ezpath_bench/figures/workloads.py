"""What runs between two guests, and what it says of itself: a metric's name to its value, for one run."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping

from ezpath_lab.shell import LabError

from ezpath_bench.figures.applications.memcached import memcached
from ezpath_bench.figures.applications.nginx import http
from ezpath_bench.figures.applications.zeromq import zeromq
from ezpath_bench.figures.experiment import RoundTrip, Stream
from ezpath_bench.figures.guests.plan import SIDES, inside
from ezpath_bench.figures.guests.site import Site
from ezpath_bench.figures.meter import Meter

IPERF_PORT, SOCKPERF_PORT = 5201, 11111
_PATIENCE_S = 25.0


def stream(site: Site, work: Stream, mode: str, octets: int) -> dict[str, float]:
    """Goodput as the receiver counts it, and the CPU time of both hosts for each gigabit, seen from outside."""
    one, other = SIDES
    where = site.network(mode)
    server = site.guests[other].start(inside(where, f"iperf3 -s -1 -p {IPERF_PORT}"))
    site.wait_for_listener(other, where, IPERF_PORT)
    options = f"-p {IPERF_PORT} -t {work.seconds} -l {octets} -J"
    if work.gbit_s is not None:
        options += f" -b {work.gbit_s:g}G"
    meter = Meter(site)
    said = site.guests[one].run(inside(where, f"iperf3 -c {other.ip(where)} {options}"), work.seconds + _PATIENCE_S)
    spent = meter.read()
    server.result()
    summary = json.loads(said)["end"]["sum_received"]
    gigabits = float(summary["bytes"]) * 8e-9
    if not gigabits:
        raise LabError(f"{mode}: iperf3 received nothing")
    found = {"Gbit/s": float(summary["bits_per_second"]) / 1e9, **spent.each("CPU s/Gbit", gigabits)}
    return found | ({"CPU s/Gbit, ToRs": spent.tors / gigabits} if site.has_tors(mode) else {})


def round_trip(site: Site, work: RoundTrip, mode: str, octets: int) -> dict[str, float]:
    """Microseconds. Only the median is claimed: a guest's clock ticks stall a round trip now and then, in any mode."""
    one, other = SIDES
    where = site.network(mode)
    options = f"--tcp -i {other.ip(where)} -p {SOCKPERF_PORT}"
    server = site.guests[other].start(
        inside(where, f"timeout {work.seconds + 5:.0f} sockperf server {options} || true")
    )
    site.wait_for_listener(other, where, SOCKPERF_PORT)
    meter = Meter(site)
    ask = f"sockperf ping-pong {options} -m {octets} -t {max(1, round(work.seconds))} --full-rtt"
    said = site.guests[one].run(inside(where, ask), work.seconds + _PATIENCE_S)
    spent = meter.read()
    site.guests[other].run("pkill -x sockperf || true")
    server.result()
    percentiles = {float(p): float(v) for p, v in re.findall(r"percentile\s+([\d.]+)\s*=\s*([\d.]+)", said)}
    counted = re.search(r"Total (\d+) observations", said)
    if 50.0 not in percentiles or counted is None:
        raise LabError(f"{mode}: sockperf said no percentiles: {said[-400:]}")
    return {
        "p50 µs": percentiles[50.0],
        "p99 µs": percentiles.get(99.0, 0.0),
        **spent.each("CPU µs a round trip", int(counted[1]), 1e6),
    }


Run = Callable[..., Mapping[str, float]]
WORKLOADS: Mapping[str, Run] = {
    "stream": stream,
    "round-trip": round_trip,
    "memcached": memcached,
    "http": http,
    "zeromq": zeromq,
}


def settle() -> None:
    """Between runs: what a run leaves behind in queues is no part of the next."""
    time.sleep(0.1)
