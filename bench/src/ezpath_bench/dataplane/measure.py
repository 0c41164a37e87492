"""What is measured on a way: TCP throughput, packets a second on one core, round trips. One figure a call."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ezpath_lab.shell import in_namespace, run

from ezpath_bench.dataplane.paths import ADDRESSES, EXTRA_MAC, MACS, Way

SENDER_CPU, OTHER_CPU = "1", "0"
ALONE = ("chrt", "--fifo", "1")
"""Both ends go before all else on their cores: what else wants to run there would be taken for the way's cost."""
SENDING = (*ALONE, "taskset", "-c", SENDER_CPU)
RECEIVING = (*ALONE, "taskset", "-c", OTHER_CPU)
PING_PORT = 9998
IPERF_PORT = "9999"
UDP_AND_BELOW = 42
"""Bytes of a frame before a datagram's payload."""


class NoFigure(Exception):
    """A measurement that came to nothing: what was run, and what it said."""


def tcp_gbps(way: Way, seconds: float) -> float:
    """One stream with large segments, goodput as the receiver counts it."""
    serve = (*ALONE, "iperf3", "-s", "-1", "-p", IPERF_PORT, "-A", OTHER_CPU)
    with _beside(in_namespace(way.b, *serve)):
        _wait_for_listener(way.b, IPERF_PORT)
        ask = (*ALONE, "iperf3", "-c", ADDRESSES[1], "-p", IPERF_PORT, "-A", SENDER_CPU, "-t", f"{seconds:.0f}", "-J")
        report = json.loads(run(*in_namespace(way.a, *ask), timeout_s=seconds + 20))
    return float(report["end"]["sum_received"]["bits_per_second"]) / 1e9


def packets_mpps(way: Way, load: str, octets: int, seconds: float, *, targets: int = 1) -> float:
    """Millions of frames of ``octets`` a second that arrive at b from a socket of a (load.c); one core does it all.

    With more than one ``targets`` the destinations are the endpoints that :mod:`tables` adds.
    """
    dst = MACS[1] if targets == 1 else EXTRA_MAC
    arguments = ("eth0", f"{seconds}", str(octets), str(way.vid), f"{MACS[0]:x}", f"{dst:x}", str(targets))
    before, start = _received(way.b), time.monotonic()
    run(
        *in_namespace(way.a, *SENDING, load, "blast", *arguments),
        timeout_s=seconds + 20,
    )
    spent = time.monotonic() - start
    if seconds > 0.2:
        spent = seconds  # starting the program is no part of it
    time.sleep(0.05)
    return (_received(way.b) - before) / spent / 1e6


def round_trip_us(way: Way, load: str, octets: int, count: int) -> float:
    """Median round trip of datagrams in frames of ``octets``, microseconds."""
    with _beside(in_namespace(way.b, *RECEIVING, load, "pong", ADDRESSES[1], str(PING_PORT))):
        time.sleep(0.1)
        arguments = (ADDRESSES[1], str(PING_PORT), str(octets - UDP_AND_BELOW), str(count))
        said = run(*in_namespace(way.a, *SENDING, load, "ping", *arguments), timeout_s=60)
    trips = [int(line) for line in said.split()]
    if not trips:
        raise NoFigure(f"{way.name}: no datagram came back")
    return statistics.median(trips) / 1000


@contextmanager
def program_times_counted() -> Iterator[None]:
    """The kernel counts the time of BPF programs meanwhile (which itself costs some 10 ns a run)."""
    switch = Path("/proc/sys/kernel/bpf_stats_enabled")
    before = switch.read_text()
    switch.write_text("1")
    try:
        yield
    finally:
        switch.write_text(before)


def program_ns(way: Way, load: str, octets: int, seconds: float, *, targets: int = 1, switch: int = 0) -> float:
    """Nanoseconds a packet in the BPF program of one switch, while frames pass it. Needs counted program times."""
    spent, runs = way.switches[switch].program_time()
    packets_mpps(way, load, octets, seconds, targets=targets)
    spent_after, runs_after = way.switches[switch].program_time()
    if runs_after == runs:
        raise NoFigure(f"{way.name}: switch {switch + 1} saw no packet")
    return (spent_after - spent) / (runs_after - runs)


def _received(namespace: str) -> int:
    [link] = json.loads(run("ip", "-n", namespace, "-json", "-s", "link", "show", "dev", "eth0"))
    return int(link["stats64"]["rx"]["packets"])


@contextmanager
def _beside(argv: tuple[str, ...]) -> Iterator[None]:
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        child.terminate()
        child.wait(5)


def _wait_for_listener(namespace: str, port: str) -> None:
    deadline = time.monotonic() + 5
    while f":{port}" not in run(*in_namespace(namespace, "ss", "-Hltn")):
        if time.monotonic() > deadline:
            raise NoFigure(f"iperf3 does not listen on port {port} in {namespace}")
        time.sleep(0.02)
