"""What a request can be refused with: a canonical status code and a sentence."""

from __future__ import annotations

import grpc


class Fault(Exception):
    """A request, or one element of it, is refused. Nothing of it was done."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code.name}: {message}")


class CannotStart(Exception):
    """The switch was started in a way that does not fit what runs on its ports. Nothing was changed."""


def invalid(message: str) -> Fault:
    """The request contradicts itself or the program."""
    return Fault(grpc.StatusCode.INVALID_ARGUMENT, message)


def unimplemented(what: str) -> Fault:
    """P4Runtime has it and this switch does not. ``what`` starts the sentence."""
    return Fault(grpc.StatusCode.UNIMPLEMENTED, f"{what} not supported by this switch")


def not_found(message: str) -> Fault:
    """What the request names is not there."""
    return Fault(grpc.StatusCode.NOT_FOUND, message)
