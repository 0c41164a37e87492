"""nginx under requests at a fixed rate: h2load over HTTP/1.1, for wrk, which Debian has, knows no rate."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ezpath_lab.shell import LabError

from ezpath_bench.figures.applications.server import serving
from ezpath_bench.figures.experiment import Http
from ezpath_bench.figures.guests.plan import SIDES, inside
from ezpath_bench.figures.guests.site import Site
from ezpath_bench.figures.meter import Meter

PORT = 8080
_PATIENCE_S = 25.0
_WARM_UP_S = 0.3
_LOG = "/tmp/h2load.log"
_ANSWERED = "200"
_ROOT = "/tmp/www"
_TEMPORARY = "".join(f" {kind}_temp_path /tmp/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))


@dataclass(frozen=True, slots=True)
class Requests:
    """What h2load noted of each request."""

    microseconds: Sequence[int]
    """Of those that were answered."""
    cut_off: int
    """Those that were under way when the time was over."""
    failed: int
    statuses: Mapping[str, int]
    """How often each was seen."""

    def percentile(self, share: int) -> float:
        return statistics.quantiles(self.microseconds, n=100, method="inclusive")[share - 1]


def parse(log: str) -> Requests:
    """h2load's ``--log-file``: when it began, status and microseconds of each request, a line each. Raises LabError."""
    rows = [line.split("\t") for line in log.splitlines()]
    if any(len(row) < 3 for row in rows):
        raise LabError(f"h2load's log has other columns than status and microseconds: {log[:200]!r}")
    statuses = Counter(row[1] for row in rows)
    answered = [int(row[2]) for row in rows if row[1] == _ANSWERED]
    if len(answered) < 2:
        raise LabError(f"h2load saw {len(answered)} of {len(rows)} requests answered")
    failed = sum(count for status, count in statuses.items() if len(status) == 3 and status != _ANSWERED)
    return Requests(answered, len(rows) - len(answered) - failed, failed, statuses)


def http(site: Site, work: Http, mode: str, octets: int) -> dict[str, float]:
    """How long requests took at the rate that the experiment gives, and what one cost both hosts."""
    one, other = SIDES
    where = site.network(mode)
    site.guests[other].run(_site_of(other.ip(where), octets))
    with serving(site, where, "nginx -c /tmp/nginx.conf", PORT):
        meter = Meter(site)
        log = site.guests[one].run(_load(work, where, f"{other.ip(where)}:{PORT}/{octets}"), work.seconds + _PATIENCE_S)
        spent = meter.read()
    requests = parse(log)
    if requests.failed or requests.cut_off > work.connections:
        raise LabError(f"{mode}: requests were answered with other than 200: {dict(requests.statuses)}")
    answered = len(requests.microseconds)
    return {
        "p50 µs": requests.percentile(50),
        "p99 µs": requests.percentile(99),
        "mean µs": statistics.fmean(requests.microseconds),
        **spent.each("CPU µs a request", answered, 1e6),
        "CPU share of kernels": spent.kernels,
        "requests/s": answered / work.seconds,
    }


def _site_of(address: str, octets: int) -> str:
    return f"""
mkdir -p {_ROOT}
head -c {octets} /dev/zero >{_ROOT}/{octets}
cat >/tmp/nginx.conf <<END
daemon off;
pid /tmp/nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
    access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;{_TEMPORARY}
    server {{ listen {address}:{PORT}; root {_ROOT}; }}
}}
END
"""


def _load(work: Http, where: str, what: str) -> str:
    """Says the log and nothing else."""
    pace = f"-t 1 -c {work.connections} --rps {work.rate / work.connections:g}"
    words = f"--h1 {pace} --warm-up-time={_WARM_UP_S * 1e3:.0f}ms -D {work.seconds * 1e3:.0f}ms --log-file {_LOG}"
    # it appends
    return f"rm -f {_LOG}\n{inside(where, f'h2load {words} http://{what}')} >/dev/null\ncat {_LOG}"
