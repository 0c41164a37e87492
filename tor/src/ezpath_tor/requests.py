"""What all requests have in common: parsing, device and role, and how a refusal is put into a gRPC status."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from ezpath_tor.faults import Fault, invalid, not_found
from p4rt import messages, service

ERROR_SPACE = "ezpath-tor"

_Request = TypeVar("_Request", bound=Message)


def parse(kind: type[_Request], data: bytes) -> _Request:
    """The request in ``data``. Raises :class:`Fault`."""
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise invalid(f"the request is no {kind.DESCRIPTOR.name}: {error}") from error


def check_device(here: int, asked: int) -> None:
    """Raises :class:`Fault` where a request is for another device."""
    if asked != here:
        raise not_found(f"no device {asked} here: this is device {here}")


def check_role(name: str, role_id: int = 0) -> None:
    """Raises :class:`Fault` for any role but the default one."""
    if name or role_id:
        raise not_found(f"no role {name or role_id} here: this switch has the default role only")


async def refuse(context: service.Context, fault: Fault) -> NoReturn:
    """End the call with the fault."""
    await context.abort(fault.code, fault.message)
    raise AssertionError("abort raises")


async def fail_batch(context: service.Context, message: str, outcome: Sequence[Fault | None]) -> NoReturn:
    """End with UNKNOWN and one p4.Error for each element, as the specification asks ("Error Reporting")."""
    status = messages.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message)
    for fault in outcome:
        error = messages.Error()
        if fault is not None:
            error.canonical_code, error.message = fault.code.value[0], fault.message
            error.space = ERROR_SPACE
        status.details.add().Pack(error)
    metadata = (("grpc-status-details-bin", status.SerializeToString()),)
    await context.abort(grpc.StatusCode.UNKNOWN, message, metadata)
    raise AssertionError("abort raises")
