"""Does the overlay work? Every container pings every other of its tenant, and must not reach the other tenant's."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ezpath_lab.results import Check
from ezpath_lab.shell import attempt, in_namespace
from ezpath_lab.topology import Container, Topology

_PATIENCE_S = 5
"""For an answer. A machine with other work may keep a switch daemon waiting for more than a second."""


def warm_up(topology: Topology) -> None:
    """Let everybody learn everybody's address: the first packet to a new neighbour may wait or be lost for ARP."""
    for _ in range(5):
        if all(not missing for _, missing in _matrix(topology)):
            return


def check_reachable(topology: Topology, when: str) -> Check:
    """Every container reaches all others of its tenant."""
    rows = _matrix(topology)
    missing = [f"{row.name} → {', '.join(lost)}" for row, lost in rows if lost]
    pairs = sum(len(_others(topology, row)) for row, _ in rows)
    detail = f"{pairs} of {pairs} directions" if not missing else f"no answer: {'; '.join(missing)}"
    return Check(f"overlay {when}: every container reaches all of its tenant", not missing, detail)


def check_isolated(topology: Topology, when: str) -> Check:
    """Addresses that only the other tenant has are not reached."""
    tries = [
        (container, address)
        for tenant in topology.tenants
        for container in topology.of_tenant(tenant.name)[:2]
        for address in _only_others(topology, tenant.name)
    ]
    with ThreadPoolExecutor(max_workers=8) as pool:
        answered = list(pool.map(lambda t: not _ping(topology, t[0], t[1], patience_s=1), tries))
    leaks = [f"{c.name} reached {address}" for (c, address), reached in zip(tries, answered, strict=True) if reached]
    detail = "; ".join(leaks) or f"{len(tries)} attempts, no answer"
    return Check(f"overlay {when}: no tenant reaches the other's containers", bool(tries) and not leaks, detail)


def _matrix(topology: Topology) -> list[tuple[Container, list[str]]]:
    """For each container the names of those of its tenant that it cannot reach."""

    def row(container: Container) -> tuple[Container, list[str]]:
        others = _others(topology, container)
        lost = [other.name for other in others if _ping(topology, container, other.ip, _PATIENCE_S)]
        return container, lost

    with ThreadPoolExecutor(max_workers=6) as pool:
        return list(pool.map(row, topology.containers))


def _others(topology: Topology, container: Container) -> Sequence[Container]:
    return [other for other in topology.of_tenant(container.tenant) if other != container]


def _only_others(topology: Topology, tenant: str) -> list[str]:
    mine = {container.ip for container in topology.of_tenant(tenant)}
    return sorted({container.ip for container in topology.containers} - mine)


def _ping(topology: Topology, source: Container, address: str, patience_s: int) -> bool:
    """True where an answer is missing. A packet of full size, which must not be fragmented either."""
    namespace = topology.container_namespace(source.name)
    # One packet: of several, ping waits for the last no longer than two round trips of those before.
    argv = ("ping", "-q", "-c", "1", "-W", str(patience_s), "-M", "do", "-s", "1422", address)
    done = attempt(*in_namespace(namespace, *argv))
    return "1 received" not in done.stdout
