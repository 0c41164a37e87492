"""As many switches as are asked, in one process: reads of the flow monitor are answered with bytes made beforehand.

What a collector gets is what the software ToR sends, byte for byte in its form; making it costs nothing here, so that
there is a processor left for those who are measured. There are two answers, in turn, with other counters.

    python -m ezpath_bench.collectors.switch --listen unix:/tmp/switches.sock
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import click
import grpc.aio
import numpy as np
from ezpath_collector.cells import CELL_BYTES
from ezpath_collector.source import DROPS, STAGES
from google.protobuf.message import Message

from p4rt import P4Info, messages, service, wire

COOKIE = 1


class PreparedSwitch:
    """A servicer for :func:`p4rt.service.handlers`: it has every device, and all of them hold the same."""

    def __init__(self, p4info: Path, cells: int, used: float = 1.0) -> None:
        """``cells`` in all stages together, of which the part ``used`` is."""
        info = P4Info.load(p4info)
        self._p4info = info.proto
        for register in self._p4info.registers:
            if register.preamble.name in STAGES:
                register.size = cells // len(STAGES)
        self._reads = {
            info.registers[name].id: [
                _prepared(info.registers[name].id, stage, cells // len(STAGES), used, seed) for seed in (0, 1)
            ]
            for stage, name in enumerate(STAGES)
        }
        self._drops = _no_drops(info.counters[DROPS].id, info.counters[DROPS].size)
        self._turn = 0

    async def read(self, request: bytes, context: service.Context) -> AsyncIterator[bytes]:
        entity = messages.ReadRequest.FromString(request).entities[0]
        if entity.HasField("counter_entry"):
            yield self._drops
            return
        self._turn += 1
        for data in self._reads[entity.register_entry.register_id][self._turn // len(STAGES) % 2]:
            yield data

    async def get_pipeline(self, request: bytes, context: service.Context) -> Message:
        config = messages.ForwardingPipelineConfig(
            p4info=self._p4info, cookie=messages.ForwardingPipelineConfig.Cookie(cookie=COOKIE)
        )
        answer: Message = messages.GetForwardingPipelineConfigResponse(config=config)
        return answer

    async def capabilities(self, request: bytes, context: service.Context) -> Message:
        answer: Message = messages.CapabilitiesResponse(p4runtime_api_version="1.4.0")
        return answer

    async def write(self, request: bytes, context: service.Context) -> Message:
        raise await _only_read(context)

    async def set_pipeline(self, request: bytes, context: service.Context) -> Message:
        raise await _only_read(context)

    async def stream(self, requests: AsyncIterator[bytes], context: service.Context) -> None:
        raise await _only_read(context)


async def _only_read(context: service.Context) -> Exception:
    await context.abort(grpc.StatusCode.UNIMPLEMENTED, "this switch can only be read")
    return AssertionError("abort raises")


def _prepared(register_id: int, stage: int, cells: int, used: float, seed: int) -> list[bytes]:
    """A stage whose keys are the same for every ``seed``, and whose counters are not."""
    keys, counters = np.random.default_rng(stage), np.random.default_rng((stage, seed))
    found = np.zeros((cells, CELL_BYTES), np.uint8)
    found[:, 1:16] = keys.integers(0, 256, (cells, 15), dtype=np.uint8)
    found[:, 19:] = counters.integers(0, 256, (cells, CELL_BYTES - 19), dtype=np.uint8)
    found[:, 0] = keys.random(cells) < used
    found[found[:, 0] == 0] = 0
    return list(wire.encode_register(register_id, found))


def _no_drops(counter_id: int, cells: int) -> bytes:
    entities = [
        messages.Entity(
            counter_entry=messages.CounterEntry(
                counter_id=counter_id, index=messages.Index(index=index), data=messages.CounterData()
            )
        )
        for index in range(cells)
    ]
    data: bytes = messages.ReadResponse(entities=entities).SerializeToString()
    return data


async def serve(switch: PreparedSwitch, address: str) -> grpc.aio.Server:
    """It answers at ``address`` from now on."""
    server = grpc.aio.server(options=service.CHANNEL_OPTIONS)
    server.add_generic_rpc_handlers((service.handlers(switch),))
    if not server.add_insecure_port(address):
        raise OSError(f"nothing can listen at {address}")
    await server.start()
    return server


@click.command()
@click.option("--listen", "address", required=True, metavar="ADDRESS", help="unix:/path or host:port.")
@click.option("--p4-dir", type=click.Path(path_type=Path, file_okay=False), default=Path("p4"), show_default=True)
@click.option("--cells", type=click.IntRange(4), default=65536, show_default=True, help="Of each switch.")
@click.option("--used", type=click.FloatRange(0, 1), default=1.0, show_default=True, help="Part of them in use.")
def main(address: str, p4_dir: Path, cells: int, used: float) -> None:
    """Answer reads of the flow monitor until ended."""

    async def work() -> None:
        server = await serve(PreparedSwitch(p4_dir / "ezpath.p4info.txtpb", cells, used), address)
        await server.wait_for_termination()

    asyncio.run(work())


if __name__ == "__main__":
    main()
