"""A P4Runtime server on a real unix socket, with a data plane of dictionaries behind it.

What is under test here is client, protocol and server. The same conversations with the real data plane are in
``test_p4runtime_tc.py``.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import numpy.typing as npt
import pytest
from ezpath_tor.plane import ActionCall, Key
from ezpath_tor.server import Switch, make_server
from p4rt.arbitration import uint128

from p4rt import Client, P4Info, messages, service

ROOT = Path(__file__).parents[3]
DEVICE = 1


class MemoryPlane:
    """Implements DataPlane. ``load_s``: how long a load takes, in seconds."""

    def __init__(self) -> None:
        self.load_s = 0.0
        self.insert_s = 0.0
        self.refuse: Exception | None = None
        self.loads = 0
        self.closed = False
        self.entries: dict[str, dict[Key, ActionCall]] = {}
        self.defaults: dict[str, ActionCall] = {}
        self.registers: dict[str, npt.NDArray[np.uint8]] = {}
        self.counters: dict[str, npt.NDArray[np.uint64]] = {}

    @property
    def ports(self) -> Mapping[int, str]:
        return {1: "p1", 2: "p2"}

    def load(self, config: bytes) -> None:
        time.sleep(self.load_s)
        if self.refuse is not None:
            raise self.refuse
        program = json.loads(config)
        self.loads += 1
        tables = [table for pipeline in program["pipelines"] for table in pipeline["tables"]]
        self.entries = {table["name"]: {} for table in tables}
        self.defaults = {}
        self.registers = {
            array["name"]: np.zeros((array["size"], (array["bitwidth"] + 7) // 8), np.uint8)
            for array in program["register_arrays"]
        }
        self.counters = {array["name"]: np.zeros((array["size"], 2), np.uint64) for array in program["counter_arrays"]}

    def close(self) -> None:
        self.closed = True

    def insert(self, table: str, key: Key, call: ActionCall) -> None:
        if self.insert_s:
            time.sleep(self.insert_s)
        assert key not in self.entries[table]
        self.entries[table][key] = call

    def modify(self, table: str, key: Key, call: ActionCall) -> None:
        assert key in self.entries[table]
        self.entries[table][key] = call

    def delete(self, table: str, key: Key) -> None:
        del self.entries[table][key]

    def set_default(self, table: str, call: ActionCall | None) -> None:
        if call is None:
            self.defaults.pop(table, None)
        else:
            self.defaults[table] = call

    def read_register(self, name: str) -> npt.NDArray[np.uint8]:
        return self.registers[name].copy()

    def write_register(self, name: str, index: int, value: int) -> None:
        cells = self.registers[name]
        cells[index] = np.frombuffer(value.to_bytes(cells.shape[1], "big"), np.uint8)

    def read_counter(self, name: str) -> npt.NDArray[np.uint64]:
        return self.counters[name].copy()

    def write_counter(self, name: str, index: int, packets: int, octets: int) -> None:
        self.counters[name][index] = packets, octets


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
    await server.start()
    rig = Rig(address, plane, switch)
    try:
        yield rig
    finally:
        await rig.close()
        await server.stop(grace=0)
        await switch.close()


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
