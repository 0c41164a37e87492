"""The P4Runtime server: requests in, status codes out, one thread for the data plane.

Everything that touches the pipeline runs in a single worker thread, in the order of arrival. Arbitration
(:mod:`ezpath_tor.controllers`) lives on the event loop and never waits for a load.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import grpc
import grpc.aio
import structlog
from p4rt.tls import common_name

from ezpath_tor import store
from ezpath_tor.controllers import Controllers
from ezpath_tor.faults import CannotStart, Fault, invalid, unimplemented
from ezpath_tor.plane import DataPlane, PlaneError
from ezpath_tor.requests import check_device, check_role, fail_batch, parse, refuse
from p4rt import messages, service

API_VERSION = "1.3.0"
"""The version of the P4Runtime specification that :class:`Switch` keeps to."""

_SMALL_BYTES, _SOME_BYTES = 4 << 10, 256 << 10
_DEVICE, _HIGHEST = b"device", b"highest election id"

log = structlog.get_logger()
_T = TypeVar("_T")
_SetRequest = messages.SetForwardingPipelineConfigRequest
_GetRequest = messages.GetForwardingPipelineConfigRequest


class Switch:
    """One P4Runtime device: what its servicer does with each request.

    Args:
        device_id: the only device this server answers for.
        plane: where programs run. The switch owns it from now on, and closes it in :meth:`close`.
        limits: at most so many entries, by table name or alias, where the program has room for more.
        writers: over TLS, only who is called so in his certificate may write, others read. Empty: all who are let in.
    """

    def __init__(
        self,
        device_id: int,
        plane: DataPlane,
        limits: Mapping[str, int] | None = None,
        writers: Collection[str] = (),
    ) -> None:
        self._device_id = device_id
        self._plane = plane
        self._limits = dict(limits or {})
        self._writers = frozenset(writers)
        self._pipeline: store.Pipeline | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="data-plane")
        self._controllers = Controllers(device_id, lambda: self._worker.submit(self._note_highest))

    # ---- from one process to the next

    async def take_over(self) -> None:
        """Go on where an earlier process of this switch ended; where that cannot be, say why, and start empty.

        Raises :class:`CannotStart` where it may be a mistake that this switch was started on these ports.
        """
        await self._in_worker(self._take_over)

    def _take_over(self) -> None:
        try:
            earlier = self._plane.take_over()
            if earlier is None:
                return
            device_id = int.from_bytes(earlier.notes.get(_DEVICE, b""), "big")
            if device_id != self._device_id:
                raise CannotStart(f"device {device_id} runs on these ports, and not device {self._device_id}")
            self._pipeline = store.take_over(earlier, self._plane, self._limits)
        except store.UnknownLimit as fault:
            raise CannotStart(fault.message) from fault
        except (Fault, PlaneError) as error:
            log.warning("not taken over: the switch starts empty", reason=str(error))
            self._plane.close()
            return
        self._plane.refresh()
        if _HIGHEST in earlier.notes:
            self._controllers.remember(int.from_bytes(earlier.notes[_HIGHEST], "big"))
        log.info("taken over", cookie=self._pipeline.config.cookie.cookie, entries=self._pipeline.entries)

    def _notes(self) -> dict[bytes, bytes]:
        """What the next process has to know of this one, beside the pipeline."""
        notes = {_DEVICE: self._device_id.to_bytes(8, "big")}
        if self._controllers.highest is not None:
            notes[_HIGHEST] = self._controllers.highest.to_bytes(16, "big")
        return notes

    def _note_highest(self) -> None:
        """Before anything that the new primary writes: it waits for this thread as well."""
        if self._pipeline is not None:
            for key, value in self._notes().items():
                self._plane.note(key, value)

    async def clear(self) -> None:
        """Start empty: take off what an earlier process left on the ports."""
        await self._in_worker(self._plane.close)

    async def refresh(self) -> None:
        """Interfaces came, went or changed."""
        await self._in_worker(self._plane.refresh)

    async def leave(self) -> None:
        """Finish what runs, and leave the program at work for the next process."""
        await self._in_worker(self._plane.leave)
        self._worker.shutdown()

    async def close(self) -> None:
        """Finish what runs, and take the program off the ports."""
        await self._in_worker(self._plane.close)
        self._worker.shutdown()

    # ---- Write

    async def write(self, data: bytes, context: service.Context) -> messages.WriteResponse:
        """Apply the updates one by one; each succeeds or fails on its own."""
        try:
            self._check_writer(context)
            request = parse(messages.WriteRequest, data)
            check_device(self._device_id, request.device_id)
            check_role(request.role, request.role_id)
            self._controllers.check_primary(_election_id(request))
            if request.atomicity != messages.WriteRequest.CONTINUE_ON_ERROR:
                raise unimplemented(f"atomicity {_name(messages.WriteRequest.Atomicity, request.atomicity)} is")
            outcome = await self._in_worker(self._write_batch, request)
        except Fault as fault:
            await refuse(context, fault)
        if any(outcome):
            await fail_batch(context, "Write failure.", outcome)
        return messages.WriteResponse()

    def _write_batch(self, request: messages.WriteRequest) -> list[Fault | None]:
        with self._controllers.writing(_election_id(request)):
            pipeline = self._loaded()
            outcome = pipeline.write(request.updates)
        failed = [fault for fault in outcome if fault is not None]
        if failed:
            log.warning("write", updates=len(outcome), failed=len(failed), first=str(failed[0]))
        else:
            log.debug("write", updates=len(outcome))
        return outcome

    # ---- Read

    async def read(self, data: bytes, context: service.Context) -> AsyncIterator[bytes]:
        """Answer each entity asked for; those that make no sense are named when all others are answered."""
        try:
            request = parse(messages.ReadRequest, data)
            check_device(self._device_id, request.device_id)
            check_role(request.role)
            pipeline = await self._in_worker(self._loaded)
        except Fault as fault:
            await refuse(context, fault)
        outcome: list[Fault | None] = []
        while len(outcome) < len(request.entities):
            # A few at a time: an answer may be a thousand times as large as its question.
            rest = islice(request.entities, len(outcome), None)
            responses, outcomes = await self._in_worker(self._read_some, pipeline, rest)
            for response in responses:
                yield response
            outcome += outcomes
        if any(outcome):
            await fail_batch(context, "Read failure.", outcome)

    def _read_some(
        self, pipeline: store.Pipeline, entities: Iterable[messages.Entity]
    ) -> tuple[list[bytes], list[Fault | None]]:
        """The answers to the first of ``entities``, up to a size; and the outcome of each that was answered."""
        large: list[bytes] = []
        small: list[bytes] = []
        outcomes: list[Fault | None] = []
        size = 0
        for entity in entities:
            responses, fault = self._read_entity(pipeline, entity)
            outcomes.append(fault)
            # What follows a message's bytes is merged into it: many small answers make one.
            target = small if sum(map(len, responses)) < _SMALL_BYTES else large
            target += responses
            size += sum(map(len, responses))
            if size >= _SOME_BYTES:
                break
        return ([b"".join(small)] if small else []) + large, outcomes

    def _read_entity(self, pipeline: store.Pipeline, entity: messages.Entity) -> tuple[list[bytes], Fault | None]:
        if pipeline is not self._pipeline:
            return [], Fault(grpc.StatusCode.ABORTED, "another pipeline was set while this was being read")
        try:
            return list(pipeline.read(entity)), None
        except Fault as fault:
            return [], fault

    # ---- the pipeline

    async def set_pipeline(self, data: bytes, context: service.Context) -> messages.SetForwardingPipelineConfigResponse:
        """Load a program, or keep the one that runs. A refusal changes nothing."""
        try:
            self._check_writer(context)
            request = parse(_SetRequest, data)
            check_device(self._device_id, request.device_id)
            check_role(request.role, request.role_id)
            self._controllers.check_primary(_election_id(request))
            await self._in_worker(self._set_pipeline, request)
        except Fault as fault:
            log.warning("pipeline refused", code=fault.code.name, reason=fault.message)
            await refuse(context, fault)
        return messages.SetForwardingPipelineConfigResponse()

    def _set_pipeline(self, request: _SetRequest) -> None:
        self._controllers.check_primary(_election_id(request))  # it may have changed while this one waited
        if request.action == _SetRequest.VERIFY_AND_COMMIT:
            self._pipeline = store.load(request.config, self._plane, self._limits, self._notes())
            log.info("pipeline loaded", cookie=request.config.cookie.cookie)
        elif request.action == _SetRequest.RECONCILE_AND_COMMIT:
            self._reconcile(request.config)
        elif request.action == _SetRequest.UNSPECIFIED:
            raise invalid("the request names no action, such as VERIFY_AND_COMMIT")
        else:
            raise unimplemented(f"pipeline action {_name(_SetRequest.Action, request.action)} is")

    def _reconcile(self, wanted: messages.ForwardingPipelineConfig) -> None:
        """Keep all state, where the program is the one that runs; a controller can so reconnect at no cost."""
        if not wanted.HasField("p4info") or not wanted.p4_device_config:
            raise invalid("the request has no pipeline config, or not all of one")
        running = self._pipeline.config if self._pipeline is not None else messages.ForwardingPipelineConfig()
        if (running.p4info, running.p4_device_config) != (wanted.p4info, wanted.p4_device_config):
            raise unimplemented("RECONCILE_AND_COMMIT of another program than the one that runs is")
        self._loaded().rename(wanted)

    async def get_pipeline(self, data: bytes, context: service.Context) -> messages.GetForwardingPipelineConfigResponse:
        """The program that runs, or as much of it as is asked for; an empty answer while there is none."""
        try:
            request = parse(_GetRequest, data)
            check_device(self._device_id, request.device_id)
            if request.response_type not in _GetRequest.ResponseType.values():
                raise invalid(f"there is no response type {request.response_type}")
        except Fault as fault:
            await refuse(context, fault)
        answer = messages.GetForwardingPipelineConfigResponse()
        if self._pipeline is None:
            return answer
        running = self._pipeline.config
        answer.config.SetInParent()
        if running.HasField("cookie"):
            answer.config.cookie.CopyFrom(running.cookie)
        if request.response_type in (_GetRequest.ALL, _GetRequest.P4INFO_AND_COOKIE):
            answer.config.p4info.CopyFrom(running.p4info)
        if request.response_type in (_GetRequest.ALL, _GetRequest.DEVICE_CONFIG_AND_COOKIE):
            answer.config.p4_device_config = running.p4_device_config
        return answer

    def _loaded(self) -> store.Pipeline:
        if self._pipeline is None:
            raise Fault(grpc.StatusCode.FAILED_PRECONDITION, "no forwarding pipeline config is set")
        return self._pipeline

    # ---- the rest

    async def capabilities(self, data: bytes, context: service.Context) -> messages.CapabilitiesResponse:
        """The version of P4Runtime."""
        try:
            request = parse(messages.CapabilitiesRequest, data)
            if request.device_id:
                check_device(self._device_id, request.device_id)
        except Fault as fault:
            await refuse(context, fault)
        return messages.CapabilitiesResponse(p4runtime_api_version=API_VERSION)

    async def stream(self, requests: AsyncIterator[bytes], context: service.Context) -> None:
        """A controller's session: arbitration for as long as it lives."""
        try:
            await self._controllers.session(self._of_writer(requests, context), context)
        except Fault as fault:
            await refuse(context, fault)

    async def _of_writer(self, requests: AsyncIterator[bytes], context: service.Context) -> AsyncIterator[bytes]:
        """Looked at with the first word: who is refused before it may not hear why, for he is still speaking."""
        async for request in requests:
            self._check_writer(context)
            yield request

    def _check_writer(self, context: service.Context) -> None:
        name = common_name(context)
        if self._writers and name is not None and name not in self._writers:
            log.warning("may not write", controller=name, peer=context.peer())
            may = ", ".join(sorted(self._writers))
            words = f"{name}, as the certificate says, may read this switch and not write it: that may {may}"
            raise Fault(grpc.StatusCode.PERMISSION_DENIED, words)

    async def _in_worker(self, function: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function, *args)


def make_server(switch: Switch) -> grpc.aio.Server:
    """A gRPC server with this switch on it, and no address yet."""
    options = [
        *service.CHANNEL_OPTIONS,
        ("grpc.so_reuseport", 0),  # or a second switch on the same address would start, and share its calls
        # A controller whose machine vanished must not stay primary: ask whether it is there.
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.http2.min_ping_interval_without_data_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((service.handlers(switch),))
    return server


def _election_id(request: messages.WriteRequest | _SetRequest) -> messages.Uint128 | None:
    return request.election_id if request.HasField("election_id") else None


def _name(enum: Any, value: int) -> str:
    """An enum value's name; its number where a client sends one that does not exist."""
    return enum.Name(value) if value in enum.values() else str(value)
