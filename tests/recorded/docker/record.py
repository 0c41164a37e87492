"""Record what a Docker daemon says. As root: PYTHONPATH=tests .venv/bin/python tests/recorded/docker/record.py

Each line of traffic.jsonl is something the daemon sent, in that order: an answer to a request, or an event of the
stream. Between two lists of the containers, one thing was done with the `docker` command; a line before says what.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from docker_daemon import DockerDaemon

LIST = '/containers/json?filters={"label":["ezpath.tenant"],"status":["running","paused"]}'
LABELS = ("--label", "ezpath.tenant=red", "--label", "ezpath.importance=2.5", "--label", "ezpath.kind=web")
BY_HAND = ("--label", "ezpath.tenant=blue", "--label", "ezpath.mac=02:00:00:00:00:07", "--label", "ezpath.ip=10.0.0.7")
KEPT = {
    "/version": ("Version", "ApiVersion", "MinAPIVersion", "Os", "Arch"),
    "/info": ("SystemTime", "ServerVersion", "OperatingSystem", "Containers"),
}
OUT = Path(__file__).with_name("traffic.jsonl")


def scenes(daemon: DockerDaemon) -> list[tuple[str, Callable[[], object]]]:
    return [
        ("nothing runs", lambda: None),
        ("docker network create tenant-red; docker run web-1", lambda: _first(daemon)),
        ("docker run by-hand, without a network", lambda: daemon.run("by-hand", "--network", "none", *BY_HAND)),
        ("docker run nobody, without a label", lambda: daemon.run("nobody", "--network", "tenant-red")),
        ("docker run no-mac, without a network", lambda: daemon.run("no-mac", "--network", "none", *LABELS)),
        ("docker network disconnect tenant-red web-1", lambda: _other_network(daemon)),
        ("docker rename web-1 Shop_Web.1", lambda: daemon.docker("rename", "web-1", "Shop_Web.1")),
        ("docker kill Shop_Web.1", lambda: daemon.docker("kill", "Shop_Web.1")),
        ("docker start Shop_Web.1", lambda: daemon.docker("start", "Shop_Web.1")),
    ]


def _first(daemon: DockerDaemon) -> None:
    daemon.docker("network", "create", "--subnet", "172.30.0.0/24", "tenant-red")
    daemon.docker("network", "create", "--subnet", "172.31.0.0/24", "tenant-other")
    daemon.run("web-1", "--network", "tenant-red", "--ip", "172.30.0.9", *LABELS)


def _other_network(daemon: DockerDaemon) -> None:
    daemon.docker("network", "disconnect", "tenant-red", "web-1")
    daemon.docker("network", "connect", "tenant-other", "web-1")


async def record(daemon: DockerDaemon) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    connector = aiohttp.UnixConnector(daemon.url.removeprefix("unix://"))
    async with aiohttp.ClientSession("http://docker", connector=connector) as session:

        async def ask(path: str) -> None:
            async with session.get(path) as response:
                lines.append(
                    {"answer": path.partition("?")[0], "status": response.status, "body": await response.json()}
                )

        async def listen() -> None:
            async with session.get('/events?filters={"type":["container","network"]}') as response:
                async for line in response.content:
                    lines.append({"event": json.loads(line)})

        await ask("/version")
        await ask("/info")
        listening = asyncio.create_task(listen())
        await asyncio.sleep(0.5)
        for done, scene in scenes(daemon):
            lines.append({"done": done})
            await asyncio.to_thread(scene)
            await asyncio.sleep(1)
            await ask(LIST)
        listening.cancel()
    return lines


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        daemon = DockerDaemon(Path(directory))
        daemon.start()
        try:
            lines = asyncio.run(record(daemon))
        finally:
            daemon.stop()
    for line in lines:
        # The rest describes the machine it was recorded on.
        if kept := KEPT.get(line.get("answer", "")):
            line["body"] = {key: line["body"][key] for key in kept}
    OUT.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


if __name__ == "__main__":
    main()
