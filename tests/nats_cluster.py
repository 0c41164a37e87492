"""Three nats-servers that are one, and leaf nodes, on the loopback, as deploy/nats configures them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CONFIG = Path(__file__).parents[1] / "deploy/nats"
READY_S = 30.0


def free_ports(count: int) -> list[int]:
    """All different: they are looked for at once."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Node:
    """One nats-server, which may be killed and started again with what it has stored."""

    def __init__(self, directory: Path, name: str, config: Path, **environment: str) -> None:
        self.name = name
        self._port, self._monitor = free_ports(2)
        self._log = directory / f"{name}.log"
        self._config = config
        self._environment = environment | {
            "NATS_NAME": name,
            "NATS_LISTEN": f"127.0.0.1:{self._port}",
            "NATS_MONITOR": f"127.0.0.1:{self._monitor}",
            "NATS_STORE": str(directory / name),
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def start(self) -> None:
        binary = Path(sys.executable).with_name("nats-server")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [binary, "-c", self._config], env=os.environ | self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def told(self, what: str) -> Any:
        """What its monitoring says: ``leafz``, ``varz``, ..."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._monitor}/{what}", timeout=5) as answer:
            return json.load(answer)

    async def said(self, words: str) -> None:
        """Once that stands in its log."""
        deadline = time.monotonic() + READY_S
        while words not in self._log.read_text(errors="replace"):
            assert time.monotonic() < deadline, f"{self.name} does not say {words!r}: {self._log.read_text()[-3000:]}"
            await asyncio.sleep(0.05)

    async def healthy(self) -> None:
        """Once all that it keeps is in step with the others."""
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            try:
                if (await asyncio.to_thread(self.told, "healthz"))["status"] == "ok":
                    return
            except (urllib.error.URLError, OSError):
                pass
            await asyncio.sleep(0.05)
        raise AssertionError(f"{self.name} is not healthy after {READY_S:.0f} s: {self._log.read_text()[-3000:]}")


class Cluster:
    """Use as ``with``; :meth:`up` starts it."""

    def __init__(self, directory: Path, trust: Path | None = None) -> None:
        """``trust``: what `ezpath trust` made; without, whoever comes may say anything."""
        self._directory = directory
        node, self._leaf = (
            (CONFIG / "node.conf", CONFIG / "leaf.conf")
            if trust is None
            else (trust / "nats/node.conf", trust / "leaf/leaf.conf")
        )
        routes, leaves = free_ports(3), free_ports(3)
        # With trust, a route names a server as its certificate does, and that is by names alone.
        host = "127.0.0.1" if trust is None else "localhost"
        self.nodes = {
            f"n{number}": Node(
                directory,
                f"n{number}",
                node,
                NATS_CLUSTER=f"127.0.0.1:{route}",
                NATS_ROUTES=json.dumps([f"nats-route://{host}:{each}" for each in routes]),
                NATS_LEAVES=f"127.0.0.1:{leaf}",
            )
            for number, route, leaf in zip((1, 2, 3), routes, leaves, strict=True)
        }
        self._hub = json.dumps([f"nats-leaf://127.0.0.1:{each}" for each in leaves])
        self.leaves: dict[str, Node] = {}

    @property
    def urls(self) -> str:
        """As ``--nats`` takes it."""
        return ",".join(node.url for node in self.nodes.values())

    async def up(self, leaves: Sequence[str] = ()) -> None:
        """Returns when all are there, and the leaves connected."""
        for name in leaves:
            self.leaves[name] = self.leaf(name)
        for node in (*self.nodes.values(), *self.leaves.values()):
            node.start()
        for node in self.nodes.values():
            await node.healthy()
        for leaf in self.leaves.values():
            await leaf.healthy()
            while not leaf.told("leafz")["leafnodes"]:  # noqa: ASYNC110 - there is nothing to be told by
                await asyncio.sleep(0.05)

    def leaf(self, name: str, config: Path | None = None) -> Node:
        """One that is not started yet."""
        return Node(self._directory, name, config or self._leaf, NATS_HUB=self._hub)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        for node in (*self.nodes.values(), *self.leaves.values()):
            node.kill()
