"""The adapter for switches that serve their registers at a Thrift port, and all else over P4Runtime: BMv2."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ezpath.tls import TlsFiles

from ezpath_collector.cells import RawCells
from ezpath_collector.source import DROPS, STAGES, NoProgram, Reading, SourceError
from ezpath_collector.thrift_port import ThriftPort
from ezpath_collector.words import Word, put_together, words_of
from p4rt import Client

_T = TypeVar("_T")


class ThriftSource:
    """Names and drop counters over P4Runtime at ``address``, register cells from the Thrift port ``registers``."""

    def __init__(
        self, address: str, device_id: int, registers: str, timeout_s: float, tls: TlsFiles | None = None
    ) -> None:
        self._client = Client(address, device_id, timeout_s=timeout_s, tls=tls)
        self._port = ThriftPort(registers, timeout_s)
        self._registers = registers
        self._timeout_s = timeout_s
        # A thread for each switch: with a shared pool, a few that hang would hold up all others.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="thrift")
        self._stages: tuple[tuple[Word, ...], ...] = ()

    async def open(self) -> None:
        await self._client.connect()
        pipeline = await self._client.get_pipeline()
        if pipeline is None:
            raise NoProgram
        widths = {register.name: register.width for register in pipeline.p4info.registers.by_id.values()}
        self._stages = tuple(words_of(stage, widths) for stage in STAGES)
        await self._in_thread(self._port.connect)

    async def read(self) -> Reading:
        stages = await self._in_thread(lambda: tuple(map(self._read_stage, self._stages)))
        return Reading(stages, await self._client.read_counter(DROPS))

    def _read_stage(self, words: Sequence[Word]) -> RawCells:
        key = [word.name for word in words if word.of_key]
        others = [word.name for word in words if not word.of_key]
        columns = {name: self._port.read(name) for name in (*key, *others)}
        return put_together(words, columns, {name: self._port.read(name) for name in key})

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        """Run ``work`` without holding up the loop. Raises :class:`SourceError` where it takes too long as a whole."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except TimeoutError:
            raise SourceError(
                f"the Thrift port at {self._registers} took longer than {self._timeout_s:g} s. "
                "The switch is busy or hangs: look at its log, or poll less often"
            ) from None

    async def close(self) -> None:
        self._port.close()
        self._thread.shutdown(wait=False, cancel_futures=True)
        await self._client.close()
