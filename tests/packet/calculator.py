"""The calculator of programs/features.p4: a frame with numbers in, one with results out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ezpath_tor.tc import TcPlane
from packet.frames import ethernet
from packet.hashes import csum16
from packet.wire import Wires, inside

CONFIG = Path(__file__).parent / "programs" / "features.json"
ETHER_TYPE = 0x1234
DST, SRC = "02:00:00:00:00:0d", "02:00:00:00:00:05"
IN, OUT = 1, 2


@dataclass(frozen=True, slots=True)
class Numbers:
    """The header ``numbers_t``."""

    op: int = 0
    a: int = 0
    b: int = 0
    c: int = 0
    d: int = 0
    e: int = 0
    w: int = 0
    n4: int = 0
    n7: int = 0
    n5: int = 0

    def pack(self) -> bytes:
        return (
            struct.pack("!BBHI", self.op, self.a, self.b, self.c)
            + self.d.to_bytes(6, "big")
            + self.e.to_bytes(8, "big")
            + self.w.to_bytes(16, "big")
            + (self.n4 << 12 | self.n7 << 5 | self.n5).to_bytes(2, "big")
        )

    @staticmethod
    def unpack(data: bytes) -> Numbers:
        op, a, b, c = struct.unpack_from("!BBHI", data)
        tail = int.from_bytes(data[38:40], "big")
        return Numbers(
            *(op, a, b, c, int.from_bytes(data[8:14], "big"), int.from_bytes(data[14:22], "big")),
            *(int.from_bytes(data[22:38], "big"), tail >> 12, tail >> 5 & 0x7F, tail & 0x1F),
        )


SIZE = 40


class Calculator:
    """The running program."""

    def __init__(self, wires: Wires, plane: TcPlane) -> None:
        self.wires = wires
        self.plane = plane

    def frames(self, frame: bytes) -> list[bytes]:
        """What comes out of port 2. The known answer to a second question says that there is no more to come."""
        self.wires.drain()
        last = ethernet(DST, SRC, 0xFFFF, b"that was all")
        for one in (frame, last):
            self.wires.far[IN].send(one)
        out: list[bytes] = []
        while True:
            received = self.wires.far[OUT].receive(5)
            assert received is not None, "the calculator does not answer"
            if received.data == last:
                return out
            out.append(received.data)

    def ask(self, numbers: Numbers, behind: bytes = b"\0") -> Numbers:
        """One question, one answer; what stands behind the numbers comes back as it is."""
        [answer] = self.frames(ethernet(DST, SRC, ETHER_TYPE, numbers.pack() + behind))
        assert answer[:14] == ethernet(DST, SRC, ETHER_TYPE, b"")
        assert answer[14 + SIZE :] == behind
        return Numbers.unpack(answer[14:])

    def expect(self, numbers: Numbers, **changes: int) -> None:
        """The answer differs from the question in ``changes``, and in n5, which always gets 2 more."""
        expected = {"n5": (numbers.n5 + 2) % 32} | changes
        assert self.ask(numbers) == replace(numbers, **expected)


def with_checksum(frame: bytes, value: int) -> bytes:
    """The frame with the EtherType that the program computes where ``extra`` is there."""
    total = csum16(value.to_bytes(4, "big") + b"\x5a" + frame[:6])
    return frame[:12] + total.to_bytes(2, "big") + frame[14:]


@contextmanager
def calculator(wires: Wires, ports: dict[int, str], config: Path = CONFIG) -> Iterator[Calculator]:
    """The program of ``config``, which sends every frame out of port 2."""
    plane = TcPlane(ports)
    with inside(wires.switch):
        plane.load(config.read_bytes())
    try:
        yield Calculator(wires, plane)
    finally:
        with inside(wires.switch):
            plane.close()
