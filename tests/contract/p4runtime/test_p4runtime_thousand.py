"""A thousand malformed requests from a seed: each is answered with an error that fits, and nothing changes."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import pytest_asyncio
from malformed import Forge, Request
from p4rt.service import CHANNEL_OPTIONS, NAME
from tor_process import load, options

from p4rt import Client, TableEntry, Update, messages

ELECTION_ID = 2**100 + 7
ENTRIES = [
    TableEntry("endpoint", {"vni": 5001, "mac": 1}, "to_port", {"port": 1, "vid": 7}),
    TableEntry("route", {}, "next_hop", {"port": 1, "src": 1, "dst": 2}),
]
DEFAULT = TableEntry("local_vtep", action="is_local_vtep", default=True)
FITTING = {
    *("INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "UNIMPLEMENTED", "OUT_OF_RANGE"),
    *("FAILED_PRECONDITION", "RESOURCE_EXHAUSTED"),
}
"""Never INTERNAL or UNKNOWN, which say that the server has met what nobody thought of."""


class Target:
    """A switch that is sent such things, and what it holds."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._channel = grpc.aio.insecure_channel(client.address, options=CHANNEL_OPTIONS)

    async def close(self) -> None:
        await self._channel.close(None)
        await self.client.close()

    async def answers(self, request: Request) -> list[str]:
        """The codes of the answer; of a batch, one for each element that was at fault."""
        path = f"/{NAME}/{request.method}"
        call: Any
        try:
            if request.method == "StreamChannel":
                call = self._channel.stream_stream(path)()
                await call.write(request.data)
                await call.done_writing()
                return [_stream_error(data) async for data in call]
            if request.method == "Read":
                async for _ in self._channel.unary_stream(path)(request.data, timeout=20):  # type: ignore[call-arg]
                    pass
            else:
                await self._channel.unary_unary(path)(request.data, timeout=20)  # type: ignore[call-arg]
        except grpc.aio.AioRpcError as error:
            return _codes(error)
        return []

    async def digest(self) -> str:
        """Of all that a request could have changed."""
        found = hashlib.sha256()
        question = messages.GetForwardingPipelineConfigRequest(device_id=1)
        stub = self.client._rpc()
        found.update((await stub.get_pipeline(question)).SerializeToString(deterministic=True))
        for wanted in (
            messages.Entity(table_entry=messages.TableEntry()),
            messages.Entity(table_entry=messages.TableEntry(is_default_action=True)),
            messages.Entity(register_entry=messages.RegisterEntry()),
            messages.Entity(counter_entry=messages.CounterEntry()),
        ):
            request = messages.ReadRequest(device_id=1, entities=[wanted])
            entities = []
            async for data in stub.read(request):
                entities += [each.SerializeToString() for each in messages.ReadResponse.FromString(data).entities]
            found.update(b"".join(sorted(entities)))
        return found.hexdigest()


def _codes(error: grpc.aio.AioRpcError) -> list[str]:
    names = {code.value[0]: code.name for code in grpc.StatusCode}
    trailing: Any = error.trailing_metadata()
    details = dict(trailing or ()).get("grpc-status-details-bin")
    if error.code() is not grpc.StatusCode.UNKNOWN or details is None:
        return [error.code().name]
    codes = []
    for detail in messages.Status.FromString(details).details:
        each = messages.Error()
        detail.Unpack(each)
        codes.append(names[each.canonical_code])
    return codes


def _stream_error(data: bytes) -> str:
    names = {code.value[0]: code.name for code in grpc.StatusCode}
    message = messages.StreamMessageResponse.FromString(data)
    return names[message.error.canonical_code] if message.HasField("error") else "an answer that is no error"


@pytest_asyncio.fixture(params=["server", "process"])
async def target(request: pytest.FixtureRequest, serve: Callable[..., Any], sock: Path) -> AsyncIterator[Target]:
    """The server with tables in memory, and ``ezpath-tor`` with its BPF maps."""
    async with AsyncExitStack() as stack:
        if request.param == "server":
            client = await (await stack.enter_async_context(serve())).primary(ELECTION_ID)
        else:
            process = request.getfixturevalue("namespace").tor(*options(sock))
            # It says something about each of them, and must not wait for somebody to read that.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            client = await load(f"unix:{sock}", ELECTION_ID)
        assert await client.write([*map(Update.insert, ENTRIES), Update.modify(DEFAULT)]) == []
        target = Target(client)
        stack.push_async_callback(target.close)
        yield target


@pytest.mark.root
@pytest.mark.parametrize("seed", [1])
async def test_a_thousand_malformed_requests_are_answered_with_errors_and_change_nothing(
    target: Target, seed: int
) -> None:
    client = target.client
    pipeline = await client.get_pipeline()
    assert pipeline is not None
    answer = await client._rpc().get_pipeline(messages.GetForwardingPipelineConfigRequest(device_id=1))
    forge = Forge(seed, pipeline.p4info, answer.config.p4_device_config, ELECTION_ID)
    before = await target.digest()
    met: Counter[str] = Counter()
    wrong: list[str] = []

    for number, request in enumerate(forge.requests(1000)):
        codes = set(await target.answers(request)) - {"OK"}
        met.update([request.method])
        if not codes or codes - FITTING:
            wrong.append(f"{number}: {request.method}, {request.what}: {sorted(codes) or 'taken'}")

    assert wrong == []
    assert await target.digest() == before
    assert client.primary
    assert await client.write([Update.delete(entry) for entry in ENTRIES]) == []
    assert min(met.values()) > 20, "every method had its share"
