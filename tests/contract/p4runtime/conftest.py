"""A P4Runtime server on a real unix socket, with a data plane of dictionaries behind it.

What is under test here is client, protocol and server. The same conversations with the real data plane are in
``test_p4runtime_tc.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from ezpath_tor.server import Switch, make_server
from memory_plane import MemoryPlane
from p4rt.arbitration import uint128

from p4rt import Client, P4Info, messages, service

ROOT = Path(__file__).parents[3]
DEVICE = 1


class Rig:
    """A server, and clients on demand. ``address`` is where it listens."""

    def __init__(self, address: str, plane: MemoryPlane, switch: Switch) -> None:
        self.address = address
        self.plane = plane
        self.switch = switch
        self.info = P4Info.load(ROOT / "p4" / "ezpath.p4info.txtpb")
        self.config = (ROOT / "p4" / "ezpath.json").read_bytes()
        self._clients: list[Client] = []
        self._channels: list[grpc.aio.Channel] = []

    async def client(self, **options: Any) -> Client:
        """Connected, nothing more."""
        client = Client(self.address, DEVICE, **options)
        self._clients.append(client)
        await client.connect()
        return client

    async def primary(self, election_id: int = 1) -> Client:
        """Connected, primary, and the program loaded."""
        client = await self.client()
        await client.become_primary(election_id)
        await client.set_pipeline(self.info, self.config, cookie=1)
        return client

    def stub(self) -> service.Stub:
        """Raw access, for requests the client would not make."""
        channel = grpc.aio.insecure_channel(self.address, options=service.CHANNEL_OPTIONS)
        self._channels.append(channel)
        return service.Stub(channel)

    async def write(self, *updates: messages.Update, **fields: Any) -> tuple[str, list[tuple[str, str]]]:
        """A Write as primary with election id 1: its code, and code and message for each update."""
        request = messages.WriteRequest(device_id=DEVICE, election_id=uint128(1), updates=updates)
        for name, value in fields.items():
            setattr(request, name, value)
        try:
            await self.stub().write(request)
        except grpc.aio.AioRpcError as error:
            code = error.code()
            return code.name, errors_of(error) if code is grpc.StatusCode.UNKNOWN else [
                (code.name, error.details() or "")
            ]
        return "OK", []

    def errors(self, error: grpc.aio.AioRpcError) -> list[tuple[str, str]]:
        """Code and message of each p4.Error in the details of a batch's status."""
        return errors_of(error)

    def channel(self) -> grpc.aio.Channel:
        """Rawer still."""
        self._channels.append(grpc.aio.insecure_channel(self.address, options=service.CHANNEL_OPTIONS))
        return self._channels[-1]

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        for channel in self._channels:
            await channel.close(grace=None)


@asynccontextmanager
async def serving(address: str, plane: MemoryPlane, limits: Mapping[str, int]) -> AsyncIterator[Rig]:
    switch = Switch(DEVICE, plane, limits)
    server = make_server(switch)
    assert server.add_insecure_port(address)
    await switch.take_over()
    await server.start()
    rig = Rig(address, plane, switch)
    try:
        yield rig
    finally:
        await rig.close()
        await server.stop(grace=0)
        await switch.leave()


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"unix:{tmp_path}/tor.sock"


@pytest.fixture
async def rig(address: str) -> AsyncIterator[Rig]:
    async with serving(address, MemoryPlane(), {}) as rig:
        yield rig


@pytest.fixture
def serve(address: str) -> Callable[..., Any]:
    """Start a server by hand: ``async with serve(limits={...}) as rig``."""

    def start(plane: MemoryPlane | None = None, limits: Mapping[str, int] | None = None) -> Any:
        return serving(address, plane or MemoryPlane(), limits or {})

    return start


def errors_of(error: grpc.aio.AioRpcError) -> list[tuple[str, str]]:
    """Code and message of each p4.Error in the details of a batch's status."""
    trailing: Any = error.trailing_metadata()
    names = {code.value[0]: code.name for code in grpc.StatusCode}
    found = []
    for detail in messages.Status.FromString(dict(trailing)["grpc-status-details-bin"]).details:
        each = messages.Error()
        assert detail.Unpack(each)
        found.append((names[each.canonical_code], each.message))
    return found
