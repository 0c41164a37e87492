"""What the log says of a running switch's interfaces, and the task that keeps the data plane in step with them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from ezpath_tor import links
from ezpath_tor.links import Link
from ezpath_tor.mtu import MtuRule, too_small

log = structlog.get_logger(__name__)


class PortLog:
    """Says what changed since it last looked: links that went down or came up, MTUs that became too small."""

    def __init__(self, ports: Mapping[int, str], rules: Sequence[MtuRule]) -> None:
        self._ports = ports
        self._rules = rules
        self._up: dict[int, bool] = {}
        self._problems: list[str] = []

    def look(self) -> None:
        """Log what is new."""
        present: dict[int, Link] = {}
        for port, name in self._ports.items():
            found = links.link(name)
            if found is None:
                self._up.pop(port, None)  # that it is gone is the data plane's to say
                continue
            present[port] = found
            if self._up.get(port) != found.up:
                say = log.info if found.up else log.warning
                say("link is up" if found.up else "link is down", port=port, interface=name)
            self._up[port] = found.up
        problems = too_small(self._rules, self._ports, {port: found.mtu for port, found in present.items()})
        for problem in problems:
            if problem not in self._problems:
                log.error("MTU too small", problem=problem)
        if self._problems and not problems:
            log.info("MTUs are large enough again")
        self._problems = problems


async def follow(refresh: Callable[[], Awaitable[None]], port_log: PortLog) -> None:
    """Call ``refresh`` whenever an interface comes, goes or changes, until cancelled."""
    loop = asyncio.get_running_loop()
    changed = asyncio.Event()
    with links.watch() as changes:
        loop.add_reader(changes, changed.set)
        try:
            while True:
                port_log.look()
                await changed.wait()
                links.drain(changes)
                changed.clear()
                try:
                    await refresh()
                except Exception:  # the next change may find it in order again
                    log.exception("interfaces not looked after")
        finally:
            loop.remove_reader(changes)
