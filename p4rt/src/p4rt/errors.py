"""What goes wrong between a P4Runtime client and a switch, said in one line a person can act on."""

from __future__ import annotations

import grpc

_REMEDIES = {
    grpc.StatusCode.UNAVAILABLE: "check that the switch runs and listens there",
    grpc.StatusCode.DEADLINE_EXCEEDED: "the switch is busy or hangs: look at its log, or allow more time",
    grpc.StatusCode.PERMISSION_DENIED: "become the primary first, or find out who is",
    grpc.StatusCode.FAILED_PRECONDITION: "set a forwarding pipeline first",
    grpc.StatusCode.NOT_FOUND: "check the device id, and that the switch runs the program you mean",
    grpc.StatusCode.UNIMPLEMENTED: "this switch cannot do that",
    grpc.StatusCode.INVALID_ARGUMENT: "check that p4info and program fit each other",
}


class P4RuntimeError(Exception):
    """A switch refused, or could not be asked.

    Attributes:
        target: address of the switch and its device id.
        asked: what was asked of it, as an infinitive ("to read register stage1").
        code: the gRPC status code it answered, or that stands for not reaching it.
        answer: its own words.
    """

    def __init__(self, target: str, asked: str, code: grpc.StatusCode, answer: str, remedy: str | None = None) -> None:
        self.target = target
        self.asked = asked
        self.code = code
        self.answer = answer
        advice = remedy if remedy is not None else _REMEDIES.get(code, "look at the log of the switch")
        super().__init__(f"{target} was asked {asked} and answered {code.name}: {answer}; {advice}")


class NotPrimary(P4RuntimeError):
    """Another controller is the primary of this switch, or has been with a higher election id.

    Attributes:
        primary_election_id: the highest election id the switch has seen; ``None`` where it names none.
    """

    def __init__(
        self, target: str, asked: str, code: grpc.StatusCode, answer: str, primary_election_id: int | None
    ) -> None:
        self.primary_election_id = primary_election_id
        super().__init__(target, asked, code, answer, "stop the other controller, or use a higher election id")
