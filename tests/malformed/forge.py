"""Good requests, and what is done to them."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError, Message
from p4rt.arbitration import uint128
from p4rt.entries import to_proto

from malformed import programs, wrongs
from p4rt import P4Info, TableEntry, messages

SET, GET = messages.SetForwardingPipelineConfigRequest, messages.GetForwardingPipelineConfigRequest
WRITE, READ = messages.WriteRequest, messages.ReadRequest
METHODS = {
    WRITE: "Write",
    READ: "Read",
    SET: "SetForwardingPipelineConfig",
    GET: "GetForwardingPipelineConfig",
    messages.CapabilitiesRequest: "Capabilities",
    messages.StreamMessageRequest: "StreamChannel",
}
ENTRIES = (
    TableEntry("endpoint", {"vni": 5001, "mac": 2}, "to_port", {"port": 1, "vid": 7}),
    TableEntry("route", {"prefix": (0x0A000000, 8)}, "next_hop", {"port": 1, "src": 1, "dst": 2}),
    TableEntry("tenant_tag", {"ingress_port": 1, "vid": 9}, "set_tenant", {"vni": 5001}),
)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as bytes, and what is wrong with it."""

    method: str
    data: bytes
    what: str


class Forge:
    """Makes requests that the primary of device 1 would send, and spoils each."""

    def __init__(self, seed: int, info: P4Info, config: bytes, election_id: int) -> None:
        self._random = random.Random(seed)
        self._info = info
        self._config = config
        self._election_id = election_id

    def requests(self, count: int) -> Iterator[Request]:
        """So many, of all kinds."""
        kinds: tuple[Callable[[], Request], ...] = (
            *(self._noise, self._cut, self._envelope, self._question, self._stream),
            *(self._entries, self._entries, self._cell, self._read, self._program, self._p4info),
        )
        for _ in range(count):
            yield self._random.choice(kinds)()

    # ---- no messages at all

    def _noise(self) -> Request:
        """Random bytes that end inside a field."""
        method = self._random.choice(list(METHODS.values()))
        return Request(method, self._random.randbytes(self._random.randint(0, 300)) + b"\x0a\xff\xff\x7f!", "noise")

    def _cut(self) -> Request:
        """A good request, cut off where nobody can read it, perhaps with something else behind it."""
        message: Message = self._random.choice([self._write(self._update()), self._read_three(), self._load()])
        data = message.SerializeToString()
        while True:
            piece = data[: self._random.randrange(1, len(data))]
            if self._random.random() < 0.5:
                piece += self._random.randbytes(self._random.randint(1, 8))
            try:
                type(message).FromString(piece)
            except DecodeError:
                return Request(METHODS[type(message)], piece, "cut off")

    # ---- well formed, and wrong

    def _envelope(self) -> Request:
        """A good update or program in a request that is not the primary's, or asks for what is not there."""
        request: Any = self._random.choice([self._write(self._update()), self._load()])
        return self._spoilt(request, wrongs.ENVELOPES, request, self._election_id)

    def _entries(self) -> Request:
        """One to four updates, each with something that cannot be."""
        request = self._write(*(self._update() for _ in range(self._random.randint(1, 4))))
        spoilt = [self._spoilt(request, wrongs.ENTRIES, update) for update in request.updates]
        return Request("Write", request.SerializeToString(), ", ".join(each.what for each in spoilt))

    def _cell(self) -> Request:
        request = self._write(messages.Update(type=messages.Update.MODIFY))
        return self._spoilt(request, wrongs.CELLS, request.updates[0], self._info)

    def _read(self) -> Request:
        request = READ(device_id=1, entities=[messages.Entity()])
        if self._random.random() < 0.3:  # behind one that is answered
            request.entities.insert(0, messages.Entity(counter_entry=messages.CounterEntry()))
        entry = to_proto(self._random.choice(ENTRIES), self._info)
        return self._spoilt(request, wrongs.READS, request.entities[-1], entry)

    def _question(self) -> Request:
        question: Any = self._random.choice(
            [GET(device_id=1), messages.CapabilitiesRequest(device_id=1), READ(device_id=1)]
        )
        return self._spoilt(question, wrongs.QUESTIONS, question)

    def _program(self) -> Request:
        """The running program's JSON, cut off, something else, or with a hole where every program has something."""
        request = self._load()
        what, request.config.p4_device_config = programs.damaged(self._config, self._random)
        return Request("SetForwardingPipelineConfig", request.SerializeToString(), what)

    def _p4info(self) -> Request:
        request = self._load()
        return self._spoilt(request, wrongs.P4INFOS, request.config.p4info)

    def _stream(self) -> Request:
        message = messages.StreamMessageRequest()
        return self._spoilt(message, wrongs.STREAMS, message)

    def _spoilt(self, request: Message, ways: wrongs.Wrongs, *parts: Any) -> Request:
        what = self._random.choice(list(ways))
        ways[what](self._random, *parts)
        return Request(METHODS[type(request)], request.SerializeToString(), what)

    # ---- what is right

    def _update(self) -> messages.Update:
        entry = to_proto(self._random.choice(ENTRIES), self._info)
        return messages.Update(type=messages.Update.INSERT, entity=messages.Entity(table_entry=entry))

    def _write(self, *updates: messages.Update) -> messages.WriteRequest:
        return WRITE(device_id=1, election_id=uint128(self._election_id), updates=updates)

    def _read_three(self) -> messages.ReadRequest:
        return READ(device_id=1, entities=[messages.Entity(table_entry=messages.TableEntry()) for _ in range(3)])

    def _load(self) -> messages.SetForwardingPipelineConfigRequest:
        config = messages.ForwardingPipelineConfig(p4info=self._info.proto, p4_device_config=self._config)
        election_id = uint128(self._election_id)
        return SET(device_id=1, election_id=election_id, action=SET.VERIFY_AND_COMMIT, config=config)
