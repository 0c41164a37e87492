"""A P4Runtime client: one switch, names instead of ids, asyncio.

Reading needs nothing but the address. Writing needs primacy, which lives in a stream to the switch
(:mod:`p4rt.arbitration`): when that breaks, primacy is gone, :meth:`Client.wait_demoted` returns, and
:meth:`Client.become_primary` may be called again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import grpc
import grpc.aio
import numpy as np
import numpy.typing as npt
from google.protobuf.message import Message

from p4rt import messages, service, wire
from p4rt.arbitration import Arbitration, uint128
from p4rt.decode import decoder_of
from p4rt.encode import Encoder, encoder_of
from p4rt.errors import P4RuntimeError
from p4rt.p4info import P4Info, UnknownName
from p4rt.tls import BadTls, Files, client_credentials, over_tcp, place_of
from p4rt.values import BadEntry, TableEntry, Update, UpdateFailure

_RECONNECT: list[tuple[str, int | str]] = [
    # A switch that restarts is back within a second or two; gRPC's own steps go up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    # Two clients of one process must not share a connection, or one's close is felt by the other.
    ("grpc.use_local_subchannel_pool", 1),
]

# Updates in one WriteRequest: some switches take 4 MiB at most, and answer with a line for each.
_BATCH = 4096


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a switch runs: its p4info, and the number its controller gave it."""

    p4info: P4Info
    cookie: int


@dataclass(frozen=True, slots=True)
class HitCount:
    """What an entry, of which it has table, match and priority, has counted."""

    entry: TableEntry
    packets: int
    octets: int


class Client:
    """One switch. Every method raises :class:`P4RuntimeError` where the switch refuses or does not answer.

    Args:
        address: ``unix:/path`` or ``host:port``.
        device_id: the switch behind that address.
        timeout_s: for each request, in seconds; ``set_pipeline`` takes its own, as it compiles.
        tls: for addresses that are no unix socket's; in the clear where it names no authority, or is not given.
    """

    def __init__(self, address: str, device_id: int, *, timeout_s: float = 10.0, tls: Files | None = None) -> None:
        self.address = address
        self.device_id = device_id
        self.target = f"switch {device_id} at {address}"
        self.p4info: P4Info | None = None
        """The program's names. Taken from the switch on first use; may be set, to save that."""
        self._timeout_s = timeout_s
        self._tls = tls if over_tcp(address) else None
        self._channel: grpc.aio.Channel | None = None
        self._stub: service.Stub | None = None
        self._arbitration: Arbitration | None = None
        self._election_id = 0

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def connect(self) -> None:
        """Open the channel and see that a P4Runtime server with this device is there."""
        if self._channel is None:
            options = [*service.CHANNEL_OPTIONS, *_RECONNECT]
            if self.address.startswith("unix:"):
                options.append(("grpc.default_authority", "localhost"))
            self._channel = self._open(options)
            self._stub = service.Stub(self._channel)
        try:
            await self.capabilities()
        except P4RuntimeError as error:
            if error.code is grpc.StatusCode.UNAVAILABLE and self._tls is not None:
                await self._blame_tls(self._tls, error)
            if error.code is not grpc.StatusCode.UNIMPLEMENTED:  # P4Runtime 1.0 has none
                raise

    def _open(self, options: list[tuple[str, int | str]]) -> grpc.aio.Channel:
        tls = self._tls
        if tls is None or tls.ca is None:
            return grpc.aio.insecure_channel(self.address, options=options)
        try:
            credentials = client_credentials(tls.ca, tls.certificate, tls.key)
        except BadTls as error:
            raise self._fault("for a TLS connection", grpc.StatusCode.UNAVAILABLE, f"not asked: {error}") from None
        return grpc.aio.secure_channel(self.address, credentials, options=options)

    async def _blame_tls(self, tls: Files, error: P4RuntimeError) -> None:
        """Raises with why, where TLS is the reason for ``error``."""
        refusal = await tls.probe(*place_of(self.address))
        if refusal is not None:
            raise P4RuntimeError(self.target, error.asked, error.code, refusal.why, refusal.remedy) from error

    async def close(self) -> None:
        """Give up primacy and close the channel. Idempotent."""
        if self._arbitration is not None:
            await self._arbitration.close()
            self._arbitration = None
        # Let go of first: who asks while it is being closed is told so, and does not meet a half closed channel.
        channel, self._channel, self._stub = self._channel, None, None
        if channel is not None:
            await channel.close(grace=None)

    # ---- primacy

    @property
    def primary(self) -> bool:
        """This client is the switch's primary, as far as it has been told."""
        return self._arbitration is not None and self._arbitration.primary

    async def become_primary(self, election_id: int) -> None:
        """Ask to be the one that writes; keep the stream that says so alive until :meth:`close`.

        Raises :class:`NotPrimary` where the switch has seen a higher election id.
        """
        if self._arbitration is not None:
            await self._arbitration.close()
        self._election_id = election_id
        self._arbitration = Arbitration(self._rpc().stream, self.target, self.device_id)
        await self._arbitration.start(election_id, self._timeout_s)

    async def wait_demoted(self) -> str:
        """Wait until primacy is lost, and return why: to whom, or that the connection broke.

        Returns at once where this client is not the primary.
        """
        if self._arbitration is None:
            return "it never was the primary"
        return await self._arbitration.wait_demoted()

    # ---- pipeline

    async def set_pipeline(self, p4info: P4Info, config: bytes, cookie: int, *, timeout_s: float = 120.0) -> None:
        """Verify and load a program; the switch forgets all entries."""
        request = messages.SetForwardingPipelineConfigRequest(
            device_id=self.device_id,
            election_id=uint128(self._election_id),
            action=messages.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            config=messages.ForwardingPipelineConfig(
                p4info=p4info.proto,
                p4_device_config=config,
                cookie=messages.ForwardingPipelineConfig.Cookie(cookie=cookie),
            ),
        )
        await self._call(self._rpc().set_pipeline, request, "to load a pipeline", timeout_s)
        self.p4info = p4info

    async def get_pipeline(self) -> Pipeline | None:
        """What the switch runs; ``None`` when nothing has been loaded yet."""
        request = messages.GetForwardingPipelineConfigRequest(
            device_id=self.device_id, response_type=messages.GetForwardingPipelineConfigRequest.P4INFO_AND_COOKIE
        )
        try:
            answer = await self._call(self._rpc().get_pipeline, request, "which pipeline it runs")
        except P4RuntimeError as error:
            if error.code is grpc.StatusCode.FAILED_PRECONDITION:  # how BMv2 says: none yet
                return None
            raise
        if not answer.HasField("config"):
            return None
        self.p4info = P4Info(answer.config.p4info)
        return Pipeline(self.p4info, answer.config.cookie.cookie)

    async def _info(self) -> P4Info:
        if self.p4info is None:
            pipeline = await self.get_pipeline()
            if pipeline is None:
                raise self._fault("for its tables", grpc.StatusCode.FAILED_PRECONDITION, "no pipeline is set")
            return pipeline.p4info
        return self.p4info

    # ---- entries

    async def write(self, updates: Sequence[Update]) -> list[UpdateFailure]:
        """Write a batch; each update gets in or fails on its own. Returns those that failed, in order.

        Those that do not fit the program are not even sent, and are among the failed.

        Raises :class:`P4RuntimeError` only where the whole batch was refused, or may have been lost: on
        UNAVAILABLE and DEADLINE_EXCEEDED read back what got in.
        """
        if not updates:
            return []
        encoder = encoder_of(await self._info())
        failures: list[UpdateFailure] = []
        before: _Sent | None = None
        try:
            for start in range(0, len(updates), _BATCH):
                # Encoded while the switch works on the batch before; sent when that is answered, for order matters.
                indices, data = _encoded(encoder, updates, range(start, min(start + _BATCH, len(updates))), failures)
                if before is not None:
                    failures += await self._answer_to(before, updates)
                before = _Sent(indices, self._start_write(data)) if indices else None
                await asyncio.sleep(0)
            if before is not None:
                failures += await self._answer_to(before, updates)
        finally:
            if before is not None:
                before.call.cancel()  # does nothing to one that was answered
        return sorted(failures, key=lambda failure: failure.index)

    def _start_write(self, updates: bytes) -> Any:
        head = messages.WriteRequest(device_id=self.device_id, election_id=uint128(self._election_id))
        return self._rpc().write(head.SerializeToString() + updates, timeout=self._timeout_s)

    async def _answer_to(self, sent: _Sent, updates: Sequence[Update]) -> list[UpdateFailure]:
        try:
            with self._unless_closed(f"to write {len(sent.indices)} updates"):
                await sent.call
        except grpc.aio.AioRpcError as error:
            details = _details(error)
            if len(details) != len(sent.indices):  # it is not about single updates
                asked = f"to write {len(sent.indices)} updates, the first {updates[sent.indices[0]]}"
                raise self._fault(asked, error.code(), error.details() or "") from error
            return [
                UpdateFailure(index, updates[index], code, message)
                for index, (code, message) in zip(sent.indices, details, strict=True)
                if code is not grpc.StatusCode.OK
            ]
        return []

    async def read_table(self, table: str | None = None) -> list[TableEntry]:
        """All entries of a table, or of all tables; default actions are not among them."""
        info = await self._info()
        asked = f"for the entries of {table or 'all tables'}"
        table_id = self._id(info.tables, table, asked) if table is not None else 0
        wanted = messages.Entity(table_entry=messages.TableEntry(table_id=table_id))
        return list(self._decoded(await self._read(wanted, asked), info, asked))

    async def read_entries(self, entries: Iterable[TableEntry]) -> list[TableEntry]:
        """Those of ``entries`` that are there, as they are there; what they are to do is not looked at.

        All of their match has to be given: for tables whose fields are all exact that is always so.
        """
        info = await self._info()
        asked = "for single entries"
        encoder, wanted = encoder_of(info), [TableEntry(e.table, e.match, priority=e.priority) for e in entries]
        try:
            parts = [wire.delimited(_ENTITIES, wire.delimited(_TABLE_ENTRY, encoder.entry(each))) for each in wanted]
        except BadEntry as error:
            raise self._fault(asked, error.code, f"not asked: {error}") from error
        found: list[TableEntry] = []
        for start in range(0, len(parts), _BATCH):
            request = messages.ReadRequest(device_id=self.device_id).SerializeToString()
            found += self._decoded(
                await self._read(request + b"".join(parts[start : start + _BATCH]), asked), info, asked
            )
        return found

    def _decoded(self, responses: Iterable[bytes], info: P4Info, asked: str) -> Iterator[TableEntry]:
        decoder = decoder_of(info)
        for data in responses:
            for entity in messages.ReadResponse.FromString(data).entities:
                try:
                    yield decoder.same_entry(entity.table_entry.SerializeToString())
                except BadEntry as error:
                    raise self._fault(asked, grpc.StatusCode.INTERNAL, str(error)) from error

    # ---- registers and counters

    async def read_register(self, name: str) -> wire.RegisterCells:
        """All cells of a register as they are now: uint8 (cells, width in bytes), big endian."""
        info = await self._info()
        asked = f"for register {name}"
        register = info.registers.by_id[self._id(info.registers, name, asked)]
        wanted = messages.Entity(register_entry=messages.RegisterEntry(register_id=register.id))
        responses = await self._read(wanted, asked)
        try:
            return wire.decode_register(responses, register.id, register.size, register.width_bytes)
        except ValueError as error:
            raise self._fault(asked, grpc.StatusCode.INTERNAL, str(error)) from error

    async def read_counter(self, name: str) -> npt.NDArray[np.uint64]:
        """All cells of an indirect counter: uint64 (cells, 2), packets and bytes."""
        info = await self._info()
        asked = f"for counter {name}"
        counter = info.counters.by_id[self._id(info.counters, name, asked)]
        wanted = messages.Entity(counter_entry=messages.CounterEntry(counter_id=counter.id))
        counts = np.zeros((counter.size, 2), np.uint64)
        for data in await self._read(wanted, asked):
            for entity in messages.ReadResponse.FromString(data).entities:
                cell = entity.counter_entry
                if not 0 <= cell.index.index < counter.size:
                    answer = f"a cell with index {cell.index.index} in a counter of {counter.size} cells"
                    raise self._fault(asked, grpc.StatusCode.INTERNAL, answer)
                counts[cell.index.index] = cell.data.packet_count, cell.data.byte_count
        return counts

    async def read_hits(self, table: str) -> list[HitCount]:
        """What a table's direct counter has counted, for each of its entries."""
        info = await self._info()
        asked = f"for the direct counter of {table}"
        wanted = messages.Entity(
            direct_counter_entry=messages.DirectCounterEntry(
                table_entry=messages.TableEntry(table_id=self._id(info.tables, table, asked))
            )
        )
        decoder, found = decoder_of(info), []
        for data in await self._read(wanted, asked):
            for entity in messages.ReadResponse.FromString(data).entities:
                cell = entity.direct_counter_entry
                try:
                    entry = decoder.entry(cell.table_entry)
                except BadEntry as error:
                    raise self._fault(asked, grpc.StatusCode.INTERNAL, str(error)) from error
                found.append(HitCount(entry, cell.data.packet_count, cell.data.byte_count))
        return found

    async def capabilities(self) -> str:
        """The version of P4Runtime the switch speaks."""
        request = messages.CapabilitiesRequest(device_id=self.device_id)
        answer = await self._call(self._rpc().capabilities, request, "for its capabilities")
        version: str = answer.p4runtime_api_version
        return version

    # ---- helpers

    def _rpc(self) -> service.Stub:
        if self._stub is None:
            raise self._fault("for anything", grpc.StatusCode.CANCELLED, "there is no connection: call connect() first")
        return self._stub

    def _id(self, index: Any, name: str, asked: str) -> int:
        try:
            found: int = index[name].id
        except UnknownName as error:
            raise self._fault(asked, grpc.StatusCode.NOT_FOUND, str(error)) from error
        return found

    async def _call(self, method: Any, request: Message, asked: str, timeout_s: float | None = None) -> Any:
        try:
            with self._unless_closed(asked):
                return await method(request, timeout=timeout_s or self._timeout_s)
        except grpc.aio.AioRpcError as error:
            raise self._fault(asked, error.code(), _answer(error)) from error

    async def _read(self, wanted: messages.Entity | bytes, asked: str) -> list[bytes]:
        """All answers to one entity used as a filter, or to a serialized request."""
        request: messages.ReadRequest | bytes = (
            wanted if isinstance(wanted, bytes) else messages.ReadRequest(device_id=self.device_id, entities=[wanted])
        )
        try:
            with self._unless_closed(asked):
                return [data async for data in self._rpc().read(request, timeout=self._timeout_s)]
        except grpc.aio.AioRpcError as error:
            raise self._fault(asked, error.code(), _answer(error)) from error

    @contextmanager
    def _unless_closed(self, asked: str) -> Iterator[None]:
        """Closing the channel cancels the calls on it, and grpc then raises what cancels whoever waits for them.

        A task that is ended so ends in silence, as nobody asked for it: only who is cancelled himself is to end.
        """
        try:
            yield
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise self._fault(asked, grpc.StatusCode.CANCELLED, "the connection was closed meanwhile") from None

    def _fault(self, asked: str, code: grpc.StatusCode, answer: str) -> P4RuntimeError:
        return P4RuntimeError(self.target, asked, code, answer)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A Write under way: which updates are in it, by place."""

    indices: list[int]
    call: Any


def _encoded(
    encoder: Encoder, updates: Sequence[Update], indices: Iterable[int], failures: list[UpdateFailure]
) -> tuple[list[int], bytes]:
    """The updates with these places as part of a WriteRequest; those that do not fit the program go to ``failures``."""
    fit, parts = [], []
    for index in indices:
        try:
            parts.append(wire.delimited(_UPDATES, encoder.update(updates[index])))
            fit.append(index)
        except BadEntry as error:
            failures.append(UpdateFailure(index, updates[index], error.code, f"not sent: {error}"))
    return fit, b"".join(parts)


_UPDATES, _ENTITIES, _TABLE_ENTRY = b"\x22", b"\x12", b"\x12"
"""Tags of WriteRequest.updates, ReadRequest.entities, Entity.table_entry."""
_CODES = {code.value[0]: code for code in grpc.StatusCode}


def _details(error: grpc.aio.AioRpcError) -> list[tuple[grpc.StatusCode, str]]:
    """The p4.Error for each element of a batch, from the status details."""
    found = []
    trailing: Any = error.trailing_metadata()
    for key, value in trailing or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in messages.Status.FromString(value).details:
                each = messages.Error()
                detail.Unpack(each)
                found.append((_CODES.get(each.canonical_code, grpc.StatusCode.UNKNOWN), each.message))
    return found


def _answer(error: grpc.aio.AioRpcError) -> str:
    """What the switch said, with the first fault of a batch in its place."""
    for code, message in _details(error):
        if code is not grpc.StatusCode.OK:
            return f"{error.details()} ({code.name}: {message})"
    return error.details() or "no reason given"
