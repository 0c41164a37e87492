"""Servers that answer as recorded, for the real client libraries: a Docker daemon, a Kubernetes API server."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

RECORDED = Path(__file__).parent / "recorded"


def lines(name: str) -> Iterator[dict[str, Any]]:
    """The lines of a recording, in their order."""
    for line in (RECORDED / name).read_text().splitlines():
        yield json.loads(line)


class DockerReplay:
    """A daemon that lived through ``docker/traffic.jsonl``, one step at a time.

    A list is answered as it was last; :meth:`go_on` sends the events that came before the next one.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._answers: dict[str, Any] = {}
        self._steps: list[tuple[str, list[dict[str, Any]], Any]] = []
        done, events = "", list[dict[str, Any]]()
        for line in lines("docker/traffic.jsonl"):
            if "done" in line:
                done = line["done"]
            elif "event" in line:
                events.append(line["event"])
            elif line["answer"] == "/containers/json":
                self._steps.append((done, events, line["body"]))
                events = []
            else:
                self._answers[line["answer"]] = line["body"]
        self._answers["/containers/json"] = self._steps.pop(0)[2]
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def go_on(self) -> str:
        """The next thing that was done to it. Says what."""
        done, events, containers = self._steps.pop(0)
        self._answers["/containers/json"] = containers
        for event in events:
            self._events.put_nowait(event)
        return done

    def end_events(self) -> None:
        self._events.put_nowait(None)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path_qs)
        path = re.sub(r"^/v\d[\d.]*(?=/)", "", request.path)  # clients put the API's version before it
        if path in self._answers:
            return web.json_response(self._answers[path])
        if path != "/events":
            return web.json_response({"message": "page not found"}, status=404)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        while (event := await self._events.get()) is not None:
            await response.write(json.dumps(event).encode() + b"\n")
        return response


class KubernetesReplay:
    """An API server that answers requests for pods as a script says, one answer a request, in its order.

    A line has the query it expects (a part of it), and either an answer with its status, or the lines of a watch.
    A watch stays open after its last line where ``open`` says so. Other lines are for people.
    """

    def __init__(self, *script: dict[str, Any]) -> None:
        self.requests: list[str] = []
        self.unexpected: list[str] = []
        self._script = [line for line in script if "expect" in line]
        self._closing = asyncio.Event()

    def close(self) -> None:
        self._closing.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path_qs)
        step = self._script.pop(0) if self._script else {"expect": {"nothing": "more"}}
        if missing := {key: value for key, value in step["expect"].items() if request.query.get(key) != value}:
            self.unexpected.append(f"{request.path_qs} has not {missing}")
            return web.json_response({"kind": "Status", "code": 400, "message": "unexpected"}, status=400)
        if "body" in step:
            return web.json_response(step["body"], status=step.get("status", 200))
        response = web.StreamResponse(headers={"Content-Type": "application/json;stream=watch"})
        await response.prepare(request)
        for line in step["watch"]:
            await response.write(json.dumps(line).encode() + b"\n")
        if step.get("open"):
            await self._closing.wait()
        return response


@asynccontextmanager
async def serving(replay: DockerReplay | KubernetesReplay, where: Path | None = None) -> AsyncIterator[str]:
    """Its URL: on the socket ``where``, or on a port of 127.0.0.1."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", replay.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.UnixSite(runner, str(where)) if where else web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"unix://{where}" if where else f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
