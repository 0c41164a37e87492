"""Where register cells come from: the port, and its adapter for switches that serve registers over P4Runtime."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from ezpath.tls import TlsFiles

from ezpath_collector.cells import RawCells
from p4rt import Client

STAGES = tuple(f"EzIngress.monitor.stage{number}" for number in (1, 2, 3, 4))
DROPS = "EzIngress.drops"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One poll of one switch, as it came."""

    stages: tuple[RawCells, ...]
    drops: npt.NDArray[np.uint64]
    """(reasons, 2): packets, bytes."""


class NoProgram(Exception):
    """The switch runs no program yet: its writer has not been there."""


class SourceError(Exception):
    """The registers could not be read; the message says where, why and what to do."""


class RegisterSource(Protocol):
    """One switch's monitor. After any exception: close it, and open another."""

    async def open(self) -> None:
        """Connect. Raises :class:`NoProgram`, or what the transport raises."""

    async def read(self) -> Reading:
        """All cells and drop counters as they are now."""

    async def close(self) -> None:
        """Let go. Idempotent."""


class P4RuntimeSource:
    """Reads need no election id: any number of collectors may read beside the writer."""

    def __init__(self, address: str, device_id: int, timeout_s: float, tls: TlsFiles | None = None) -> None:
        self._client = Client(address, device_id, timeout_s=timeout_s, tls=tls)

    async def open(self) -> None:
        await self._client.connect()
        # Names are looked up in what the switch itself runs, never in a file that may be of another version.
        if await self._client.get_pipeline() is None:
            raise NoProgram

    async def read(self) -> Reading:
        # Both at once: one stage is taken apart here while the switch is at the other.
        stages = await asyncio.gather(*(self._client.read_register(name) for name in STAGES))
        return Reading(tuple(stages), await self._client.read_counter(DROPS))

    async def close(self) -> None:
        await self._client.close()
