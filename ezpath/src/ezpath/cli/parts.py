"""What several deciders see, put together: each tells of the tenants that it leads. Pure."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain

from ezpath.events import FlowLine, FlowsSnapshot
from ezpath.shards import Shard


class Parts:
    """The newest word about each shard."""

    def __init__(self) -> None:
        self._of = 1
        self._lines: dict[int, list[FlowLine]] = {}

    def add(self, snapshot: FlowsSnapshot) -> FlowsSnapshot | None:
        """All flows, once every shard has been told of since the last time; until then None."""
        if snapshot.of != self._of:
            self._of, self._lines = snapshot.of, {}
        for number in snapshot.shards:
            shard = Shard(number, snapshot.of)
            self._lines[number] = [line for line in snapshot.flows if shard.has(line.tenant)]
        if len(self._lines) < self._of:
            return None
        whole = tuple(chain.from_iterable(self._lines.values()))
        self._lines = {}
        return replace(snapshot, flows=whole, shards=tuple(range(self._of)))
