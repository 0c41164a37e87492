"""The service ``p4.v1.P4Runtime``: its methods, for a client's channel and for a server.

``Read`` is raw bytes on both sides: a register read has tens of thousands of small messages inside, and
:mod:`p4rt.wire` builds and takes them apart as columns.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol, TypeAlias

import grpc
import grpc.aio
from google.protobuf.message import Message

from p4rt import messages

NAME = "p4.v1.P4Runtime"

# Answers of a switch can be large: a register read in one message, or one error for each of many updates.
CHANNEL_OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
    ("grpc.max_metadata_size", 16 << 20),
    ("grpc.absolute_max_metadata_size", 32 << 20),
]


class Stub:
    """A client's view of the service over ``channel``. Each attribute is called as grpc.aio's stubs are.

    Requests are messages, or the bytes of one.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        def unary(method: str, answer: type[Message]) -> Any:
            return channel.unary_unary(
                f"/{NAME}/{method}",
                request_serializer=_serialize,
                response_deserializer=answer.FromString,
            )

        self.write = unary("Write", messages.WriteResponse)
        self.set_pipeline = unary("SetForwardingPipelineConfig", messages.SetForwardingPipelineConfigResponse)
        self.get_pipeline = unary("GetForwardingPipelineConfig", messages.GetForwardingPipelineConfigResponse)
        self.capabilities = unary("Capabilities", messages.CapabilitiesResponse)
        # Yields the bytes of each p4.v1.ReadResponse.
        self.read: Any = channel.unary_stream(  # type: ignore[call-arg]
            f"/{NAME}/Read", request_serializer=_serialize
        )
        self.stream: Any = channel.stream_stream(
            f"/{NAME}/StreamChannel",
            request_serializer=_serialize,
            response_deserializer=messages.StreamMessageResponse.FromString,
        )


Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Servicer(Protocol):
    """What a server implements. Requests come as bytes: parsing them is the server's, and so is refusing."""

    def write(self, request: bytes, context: Context) -> Awaitable[Message]: ...

    def read(self, request: bytes, context: Context) -> AsyncIterator[bytes]: ...

    def set_pipeline(self, request: bytes, context: Context) -> Awaitable[Message]: ...

    def get_pipeline(self, request: bytes, context: Context) -> Awaitable[Message]: ...

    def stream(self, requests: AsyncIterator[bytes], context: Context) -> Awaitable[None]: ...

    def capabilities(self, request: bytes, context: Context) -> Awaitable[Message]: ...


def handlers(servicer: Servicer) -> grpc.GenericRpcHandler[Any, Any]:
    """The handlers to register with ``grpc.aio.Server.add_generic_rpc_handlers``."""
    table: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Write": grpc.unary_unary_rpc_method_handler(servicer.write, None, _serialize),
        "Read": grpc.unary_stream_rpc_method_handler(servicer.read, None, None),
        "SetForwardingPipelineConfig": grpc.unary_unary_rpc_method_handler(servicer.set_pipeline, None, _serialize),
        "GetForwardingPipelineConfig": grpc.unary_unary_rpc_method_handler(servicer.get_pipeline, None, _serialize),
        "StreamChannel": grpc.stream_stream_rpc_method_handler(servicer.stream, None, _serialize),
        "Capabilities": grpc.unary_unary_rpc_method_handler(servicer.capabilities, None, _serialize),
    }
    return grpc.method_handlers_generic_handler(NAME, table)


def _serialize(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()
