"""memcached under load from many connections: memcaslap, the nearest to the paper's memtier that Debian packages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ezpath_lab.shell import LabError

from ezpath_bench.figures.applications.server import serving
from ezpath_bench.figures.experiment import Memcached
from ezpath_bench.figures.guests.plan import SIDES, inside
from ezpath_bench.figures.guests.site import Site
from ezpath_bench.figures.meter import Meter

PORT = 11211
_PATIENCE_S = 25.0
_KEY_OCTETS = 16
"""The least that memcaslap can."""
_WINDOW = "1k"
"""Keys of each connection, which it sets before it begins."""
_EVENTS = re.compile(r"^Total Statistics \((\d+) events\)$", re.MULTILINE)
_BUCKETS = re.compile(r"^ +(\d+):((?: +\d+)+)$", re.MULTILINE)
_RATE = re.compile(r"^Run time: [\d.]+s Ops: (\d+) TPS: (\d+) ", re.MULTILINE)
_MISSES = re.compile(r"^get_misses: (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Said:
    """What memcaslap said of a run."""

    operations: int
    per_second: float
    misses: int
    buckets: Mapping[int, int]
    """Operations that took at least 2^(n-1) and less than 2^n microseconds, by n."""

    def percentile(self, share: float) -> float:
        """Microseconds; within a bucket, by equal steps of the logarithm. Good for ratios, not for the last digit."""
        wanted, below = share * sum(self.buckets.values()), 0
        for exponent, count in sorted(self.buckets.items()):
            if count and below + count >= wanted:
                return float(2.0 ** (exponent - 1 + (wanted - below) / count))
            below += count
        raise LabError("memcaslap counted no operation")


def parse(text: str) -> Said:
    """memcaslap's output with ``--stat_freq``. Raises LabError."""
    rate, misses, events = (pattern.search(text) for pattern in (_RATE, _MISSES, _EVENTS))
    if rate is None or misses is None or events is None:
        raise LabError(f"memcaslap said nothing of rates and times: {text[-400:]!r}")
    buckets = dict[int, int]()
    for line in _BUCKETS.finditer(text, events.end()):
        first = int(line[1])
        buckets |= {first + place: int(count) for place, count in enumerate(line[2].split())}
    return Said(int(rate[1]), float(rate[2]), int(misses[1]), buckets)


def memcached(site: Site, work: Memcached, mode: str, octets: int) -> dict[str, float]:
    """Operations a second, how long they took, and what one cost both hosts."""
    one, other = SIDES
    where = site.network(mode)
    server = f"memcached -u root -l {other.ip(where)} -p {PORT} -t {work.threads} -m 128"
    with serving(site, where, server, PORT):
        meter = Meter(site)
        said = parse(site.guests[one].run(_load(work, where, other.ip(where), octets), work.seconds + _PATIENCE_S))
        spent = meter.read()
    if said.misses > said.operations / 100:
        raise LabError(f"{mode}: {said.misses} of {said.operations} keys that memcaslap had set were not found")
    return {
        "operations/s": said.per_second,
        "p99.9 µs": said.percentile(0.999),
        "p50 µs": said.percentile(0.5),
        **spent.each("CPU µs an operation", said.operations, 1e6),
        "CPU share of kernels": spent.kernels,
    }


def _load(work: Memcached, where: str, address: str, octets: int) -> str:
    """One SET for ``work.gets`` GETs, of ``octets`` each."""
    sets = 1 / (1 + work.gets)
    lines = ("key", f"{_KEY_OCTETS} {_KEY_OCTETS} 1", "value", f"{octets} {octets} 1", "cmd")
    config = "\n".join([*lines, f"0 {sets:.4f}", f"1 {1 - sets:.4f}"])
    words = f"-s {address}:{PORT} -T {work.threads} -c {work.connections} -w {_WINDOW} -S 1s -t {work.seconds}s"
    return f"cat >/tmp/memcaslap <<END\n{config}\nEND\n{inside(where, f'memcaslap {words} -F /tmp/memcaslap')}"
