"""A client that is closed while somebody waits for an answer: the one who waits is told, and goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from p4rt.p4info import P4Info

from p4rt import Client, P4RuntimeError, TableEntry, Update

P4INFO = Path(__file__).parents[2] / "p4" / "ezpath.p4info.txtpb"
NEVER_S = 60.0


async def _at_once(_: bytes, __: object) -> bytes:
    return b""


async def _never(_: bytes, __: object) -> bytes:
    await asyncio.sleep(NEVER_S)
    return b""


async def _never_any(_: bytes, __: object) -> AsyncIterator[bytes]:
    await asyncio.sleep(NEVER_S)
    yield b""


@pytest_asyncio.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """Of a switch that says what it can do, and answers nothing else."""
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    methods = {
        "Capabilities": unary(_at_once),
        "GetForwardingPipelineConfig": unary(_never),
        "Write": unary(_never),
        "Read": stream(_never_any),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("p4.v1.P4Runtime", methods),))
    address = f"unix:{tmp_path}/tor.sock"
    server.add_insecure_port(address)
    await server.start()
    client = Client(address, 1)
    await client.connect()
    # Which program it runs is known: so that a request for entries is not held up by the question for it.
    client.p4info = P4Info.load(P4INFO)
    yield client
    await client.close()
    await server.stop(None)


REQUESTS: dict[str, Callable[[Client], Awaitable[object]]] = {
    "pipeline": lambda client: client.get_pipeline(),
    "read": lambda client: client.read_table("local_vtep"),
    "write": lambda client: client.write([Update.insert(TableEntry("local_vtep", {"vtep": 1}, "is_local_vtep"))]),
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=list(REQUESTS))
async def test_given_a_request_under_way_when_the_client_is_closed_then_it_fails_and_its_task_goes_on(
    client: Client, request_: Callable[[Client], Awaitable[object]]
) -> None:
    task = asyncio.ensure_future(request_(client))
    await asyncio.sleep(0.2)
    await client.close()
    with pytest.raises(P4RuntimeError, match="closed meanwhile") as failure:
        await task
    assert failure.value.code is grpc.StatusCode.CANCELLED


async def test_given_a_request_under_way_when_its_task_is_cancelled_then_it_is_cancelled(client: Client) -> None:
    task = asyncio.ensure_future(client.get_pipeline())
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_given_a_closed_client_then_a_further_request_fails_as_one_to_a_switch_that_is_away(
    client: Client,
) -> None:
    await client.close()
    with pytest.raises(P4RuntimeError, match="no connection"):
        await client.capabilities()
