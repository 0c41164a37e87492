"""NATS as chaos has it: one nats-server, or three that are one, each on a small disk of its own, which can be full.

Imperative shell: what it starts it can start again, by name, on the same ports and with the same store.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

from ezpath_lab.chaos.gates import Connect, to_any
from ezpath_lab.lab import Lab
from ezpath_lab.ports import free_ports
from ezpath_lab.processes import BUS, Child
from ezpath_lab.shell import program, run

ALONE = ("nats-server",)
CLUSTER = ("nats-1", "nats-2", "nats-3")
DISK_BYTES = 768 << 20
"""More than EZPath's stream and buckets ever hold here; what they may hold by their limits is more."""
_CONFIG = """\
server_name: {name}
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{monitor}"
# What streams may reserve: not to be worked out from how large the disk is.
jetstream {{ store_dir: "{store}", max_file_store: 16GB }}
"""
_ROUTES = """\
cluster {{ name: chaos, listen: "127.0.0.1:{route}", routes: [{routes}] }}
"""
READY_S = 60.0

Wait = Callable[[Child, Callable[[], Awaitable[bool]], str, float], Awaitable[None]]


class Servers:
    """The processes of NATS, by name: :data:`ALONE` or :data:`CLUSTER`."""

    def __init__(self, lab: Lab, names: tuple[str, ...], until: Wait) -> None:
        self.names = names
        self._lab = lab
        self._until = until
        ports = free_ports(3 * len(names))
        self._ports = dict(zip(names, ports, strict=False))
        self._monitors = dict(zip(names, ports[len(names) :], strict=False))
        self._routes = dict(zip(names, ports[2 * len(names) :], strict=False))

    @property
    def urls(self) -> str:
        """As ``--nats`` takes it."""
        return ",".join(f"nats://127.0.0.1:{port}" for port in self._ports.values())

    @property
    def way(self) -> Connect:
        """To whichever of them answers."""
        return to_any(tuple(self._ports.values()))

    async def up(self) -> None:
        for name in self.names:
            disk = self._disk(name)
            disk.mkdir(parents=True, exist_ok=True)
            run("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "ezpath-chaos", str(disk))
        children = [self._spawn(name) for name in self.names]
        for name, child in zip(self.names, children, strict=True):
            await self._ready(name, child)
        self._lab.state.nats = self.urls
        self._lab.state.save()

    async def start(self, name: str) -> None:
        """Again. Returns when all that it keeps is in step with the others: only then may another one go."""
        await self._ready(name, self._spawn(name))

    def fill_disk(self, name: str) -> int:
        """To the last byte; returns how many it took."""
        filler = self._disk(name) / "filler"
        for step in (1 << 24, 1 << 16, 1 << 12):
            with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(step))
        return filler.stat().st_size

    def free_disk(self, name: str) -> None:
        (self._disk(name) / "filler").unlink(missing_ok=True)

    def _disk(self, name: str) -> Path:
        """Where it has its store: a file system of its own, so that it can be full."""
        return self._lab.state.directory / "nats" / name

    def _spawn(self, name: str) -> Child:
        config = self._lab.state.run_dir / f"{name}.conf"
        words = _CONFIG.format(
            name=name, port=self._ports[name], monitor=self._monitors[name], store=self._disk(name) / "store"
        )
        if len(self.names) > 1:
            routes = ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in self._routes.values())
            words += _ROUTES.format(route=self._routes[name], routes=routes)
        config.write_text(words)
        return self._lab.processes.start(name, *(program("nats-server"), "--config", str(config)), rank=BUS)

    async def _ready(self, name: str, child: Child) -> None:
        async def healthy() -> bool:
            return await asyncio.to_thread(_is_healthy, self._monitors[name])

        await self._until(child, healthy, "healthy", READY_S)


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
