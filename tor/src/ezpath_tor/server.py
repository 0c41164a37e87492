"""The P4Runtime server: requests in, status codes out, one thread for the data plane.

Arbitration lives on the event loop and never waits for a load; everything that touches the pipeline runs in a
single worker thread, in the order of arrival.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError, Message
from p4rt import messages, service
from p4rt.arbitration import from_uint128, uint128

from ezpath_tor import store
from ezpath_tor.election import Election
from ezpath_tor.faults import Fault, invalid, not_found, unimplemented
from ezpath_tor.plane import DataPlane

API_VERSION = "1.3.0"
_ERROR_SPACE = "ezpath-tor"

log = structlog.get_logger()
_T = TypeVar("_T")


class Switch:
    """One P4Runtime device: the servicer, its controllers and its pipeline.

    Args:
        device_id: the only device this server answers for.
        plane: where programs run. The switch owns it from now on, and closes it in :meth:`close`.
        limits: fewer entries than the program's size, by table name or alias.
    """

    def __init__(self, device_id: int, plane: DataPlane, limits: Mapping[str, int] | None = None) -> None:
        self._device_id = device_id
        self._plane = plane
        self._limits = dict(limits or {})
        self._pipeline: store.Pipeline | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="data-plane")
        self._election = Election()
        self._streams: dict[_Stream, None] = {}
        # Between the loop, where elections are decided, and the worker, where a write begins.
        self._election_lock = threading.Lock()
        self._writing: Future[None] | None = None

    async def close(self) -> None:
        """Finish what runs, and take the program off the ports."""
        await self._in_worker(self._plane.close)
        self._worker.shutdown()

    # ---- Write

    async def write(self, data: bytes, context: service.Context) -> Any:
        try:
            request = _parse(messages.WriteRequest, data)
            self._check_device(request)
            self._check_primary(request)
            if request.atomicity != 0:
                name = messages.WriteRequest.Atomicity.Name(request.atomicity)
                raise unimplemented(f"atomicity {name} is")
            outcome = await self._in_worker(self._write_batch, request)
        except Fault as fault:
            await _refuse(context, fault)
        if any(outcome):
            await _fail_batch(context, "Write failure.", outcome)
        return messages.WriteResponse()

    def _write_batch(self, request: Any) -> list[Fault | None]:
        with self._election_lock:
            self._check_primary(request)  # again: it may have changed while this request waited
            self._writing = Future()
        try:
            pipeline = self._loaded()
            outcome = [_attempt(pipeline, update) for update in request.updates]
        finally:
            self._writing.set_result(None)
            self._writing = None
        failed = [fault for fault in outcome if fault is not None]
        log.info("write", updates=len(outcome), failed=len(failed), first=failed[0].message if failed else None)
        return outcome

    # ---- Read

    async def read(self, data: bytes, context: service.Context) -> AsyncIterator[bytes]:
        try:
            request = _parse(messages.ReadRequest, data)
            self._check_device(request)
            responses, outcome = await self._in_worker(self._read_batch, request)
        except Fault as fault:
            await _refuse(context, fault)
        for response in responses:
            yield response
        if any(outcome):
            await _fail_batch(context, "Read failure.", outcome)

    def _read_batch(self, request: Any) -> tuple[list[bytes], list[Fault | None]]:
        pipeline = self._loaded()
        responses: list[bytes] = []
        outcome: list[Fault | None] = []
        for entity in request.entities:
            try:
                responses += list(pipeline.read(entity))
                outcome.append(None)
            except Fault as fault:
                outcome.append(fault)
        return responses, outcome

    # ---- pipeline

    async def set_pipeline(self, data: bytes, context: service.Context) -> Any:
        try:
            request = _parse(messages.SetForwardingPipelineConfigRequest, data)
            self._check_device(request)
            self._check_primary(request)
            await self._in_worker(self._set_pipeline, request)
        except Fault as fault:
            log.warning("pipeline refused", code=fault.code.name, reason=fault.message)
            await _refuse(context, fault)
        return messages.SetForwardingPipelineConfigResponse()

    def _set_pipeline(self, request: Any) -> None:
        self._check_primary(request)
        action = _ACTIONS.get(request.action, str(request.action))
        running = self._pipeline.config if self._pipeline is not None else None
        if action == "VERIFY_AND_COMMIT":
            self._pipeline = store.load(request.config, self._plane, self._limits)
            log.info("pipeline loaded", cookie=request.config.cookie.cookie)
        elif action == "RECONCILE_AND_COMMIT" and _same_program(running, request.config):
            running.cookie.CopyFrom(request.config.cookie)
        elif action == "RECONCILE_AND_COMMIT":
            raise unimplemented("RECONCILE_AND_COMMIT of another program than the running one is")
        elif action in _ACTIONS.values():
            raise unimplemented(f"pipeline action {action} is")
        else:
            raise invalid("the request names no pipeline action")

    async def get_pipeline(self, data: bytes, context: service.Context) -> Any:
        try:
            request = _parse(messages.GetForwardingPipelineConfigRequest, data)
            self._check_device(request)
        except Fault as fault:
            await _refuse(context, fault)
        answer = messages.GetForwardingPipelineConfigResponse()
        if self._pipeline is None:
            return answer
        running = self._pipeline.config
        answer.config.SetInParent()
        if running.HasField("cookie"):
            answer.config.cookie.CopyFrom(running.cookie)
        kind = messages.GetForwardingPipelineConfigRequest.ResponseType.Name(request.response_type)
        if kind in ("ALL", "P4INFO_AND_COOKIE"):
            answer.config.p4info.CopyFrom(running.p4info)
        if kind in ("ALL", "DEVICE_CONFIG_AND_COOKIE"):
            answer.config.p4_device_config = running.p4_device_config
        return answer

    async def capabilities(self, data: bytes, context: service.Context) -> Any:
        try:
            request = _parse(messages.CapabilitiesRequest, data)
            if request.device_id:
                self._check_device(request)
        except Fault as fault:
            await _refuse(context, fault)
        return messages.CapabilitiesResponse(p4runtime_api_version=API_VERSION)

    # ---- StreamChannel

    async def stream(self, requests: AsyncIterator[bytes], context: service.Context) -> None:
        """One controller's session, from its first arbitration to the end of its stream."""
        stream = _Stream(context)
        teller = asyncio.create_task(stream.tell(self._arbitration_message))
        try:
            async for data in requests:
                message = _parse(messages.StreamMessageRequest, data)
                if message.HasField("arbitration"):
                    await self._arbitrate(stream, message.arbitration)
                else:
                    await stream.send(self._stream_error(stream, message))
        except Fault as fault:
            await _refuse(context, fault)
        finally:
            teller.cancel()
            with self._election_lock:
                told = self._election.leave(stream)
            _mark(told)

    async def _arbitrate(self, stream: _Stream, update: Any) -> None:
        if update.device_id != self._device_id:
            if stream.admitted:
                raise Fault(grpc.StatusCode.FAILED_PRECONDITION, "the device id of a stream cannot change")
            raise self._wrong_device(update.device_id)
        if update.HasField("role"):
            _check_role(update.role.name, update.role.id)
            if update.role.HasField("config"):
                raise invalid("the default role takes no config")
        election_id = from_uint128(update.election_id) if update.HasField("election_id") else None
        with self._election_lock:
            was_primary = self._election.primary
            told = self._election.stand(stream, election_id)
            stream.admitted = True
            writing = self._writing
        _mark([other for other in told if other is not stream])
        if writing is not None and self._election.primary is stream and was_primary is not stream:
            # The new primary hears of it once the old one's last write is done.
            stream.settling = True
            await asyncio.wait([asyncio.wrap_future(writing)])
            stream.settling = False
        stream.changed.set()
        log.info("arbitration", election_id=election_id, primary=self._election.primary is stream)

    def _arbitration_message(self, stream: _Stream) -> Any:
        notice = self._election.notice(stream)
        update = messages.MasterArbitrationUpdate(
            device_id=self._device_id, status={"code": notice.code.value[0], "message": notice.message}
        )
        if notice.highest is not None:
            update.election_id.CopyFrom(uint128(notice.highest))
        return messages.StreamMessageResponse(arbitration=update)

    def _stream_error(self, stream: _Stream, message: Any) -> Any:
        """Packets and digests: this switch has neither, and says so on the stream."""
        kind = message.WhichOneof("update")
        fault = unimplemented(f"{kind} is") if kind else invalid("the stream message is empty")
        if kind == "packet" and self._election.primary is not stream:
            fault = Fault(grpc.StatusCode.PERMISSION_DENIED, "only the primary may send packets")
        error = {"canonical_code": fault.code.value[0], "message": fault.message, "space": _ERROR_SPACE}
        detail = {"packet": "packet_out", "digest_ack": "digest_list_ack"}.get(kind, "other")
        return messages.StreamMessageResponse(error={**error, detail: {}})

    # ---- helpers

    async def _in_worker(self, function: Callable[..., _T], *args: Any) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function, *args)

    def _check_device(self, request: Any) -> None:
        if request.device_id != self._device_id:
            raise self._wrong_device(request.device_id)
        _check_role(getattr(request, "role", ""), getattr(request, "role_id", 0))

    def _wrong_device(self, device_id: int) -> Fault:
        return not_found(f"no device {device_id} here: this is device {self._device_id}")

    def _check_primary(self, request: Any) -> None:
        election_id = from_uint128(request.election_id) if request.HasField("election_id") else None
        if not self._election.may_write(election_id):
            raise Fault(grpc.StatusCode.PERMISSION_DENIED, f"election id {election_id} is not the primary's")

    def _loaded(self) -> store.Pipeline:
        if self._pipeline is None:
            raise Fault(grpc.StatusCode.FAILED_PRECONDITION, "no forwarding pipeline config is set")
        return self._pipeline


class _Stream:
    """The sending side of one controller's stream. Notices are told as they are now, never queued."""

    def __init__(self, context: service.Context) -> None:
        self._context = context
        self._sending = asyncio.Lock()
        self.changed = asyncio.Event()
        self.admitted = False
        self.settling = False

    async def send(self, message: Any) -> None:
        async with self._sending:
            await self._context.write(message)

    async def tell(self, compose: Callable[[_Stream], Any]) -> None:
        while True:
            await self.changed.wait()
            self.changed.clear()
            if not self.settling:
                await self.send(compose(self))


_ACTIONS = {
    value: name for name, value in messages.SetForwardingPipelineConfigRequest.Action.items() if name != "UNSPECIFIED"
}


def _mark(streams: list[Any]) -> None:
    for stream in streams:
        stream.changed.set()


def _same_program(running: Any, wanted: Any) -> bool:
    return (
        running is not None and running.p4_device_config == wanted.p4_device_config and running.p4info == wanted.p4info
    )


def _check_role(name: str, role_id: int) -> None:
    if name or role_id:
        raise not_found(f"role {name or role_id} is not known: this switch has the default role only")


def _parse(kind: Any, data: bytes) -> Any:
    try:
        request: Message = kind.FromString(data)
    except DecodeError as error:
        raise invalid(f"the request is no {kind.DESCRIPTOR.name}: {error}") from error
    return request


def _attempt(pipeline: store.Pipeline, update: Any) -> Fault | None:
    try:
        pipeline.write(update)
    except Fault as fault:
        return fault
    return None


async def _refuse(context: service.Context, fault: Fault) -> NoReturn:
    await context.abort(fault.code, fault.message)
    raise AssertionError("abort raises")


async def _fail_batch(context: service.Context, message: str, outcome: list[Fault | None]) -> NoReturn:
    """End with UNKNOWN and one p4.Error for each element, as the specification asks (section 10)."""
    status = messages.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
    for fault in outcome:
        error = messages.Error()
        if fault is not None:
            error.canonical_code, error.message = fault.code.value[0], fault.message
            error.space = _ERROR_SPACE
        status.details.add().Pack(error)
    metadata = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(grpc.StatusCode.UNKNOWN, message, metadata)
    raise AssertionError("abort raises")


def make_server(switch: Switch) -> grpc.aio.Server:
    """A gRPC server with this switch on it, and no address yet."""
    options = [
        *service.CHANNEL_OPTIONS,
        ("grpc.so_reuseport", 0),  # or a second switch on the same address would start, and share its calls
        ("grpc.http2.min_ping_interval_without_data_ms", 5000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((service.handlers(switch),))
    return server
