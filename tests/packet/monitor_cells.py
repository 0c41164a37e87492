"""The flow monitor's cells from outside: what a key's candidates are, keys for given candidates, cells as values."""

from __future__ import annotations

import time
import zlib
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from ezpath_tor.tc import TcPlane
from packet.frames import IPV4, ethernet, ipv4, udp, vxlan
from packet.rack import HOST1_IP, HOST1_MAC, ROUTER, STAGES

BITS = 14
PER_STAGE = 1 << BITS
EPOCH_US = 1 << 20
OUTER = 50
"""Bytes of the tunnel around an overlay frame."""


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """A flow: tenant, source and destination MAC."""

    vni: int
    src: int
    dst: int

    @property
    def packed(self) -> bytes:
        return self.vni.to_bytes(3, "big") + self.src.to_bytes(6, "big") + self.dst.to_bytes(6, "big")

    @property
    def places(self) -> list[int]:
        """Index of the candidate cell in each stage."""
        digest = zlib.crc32(self.packed)
        step = digest >> BITS
        return [(digest + stage * step) % PER_STAGE for stage in range(len(STAGES))]


def key_at(first: int, step: int, *, vni: int = 7000, src: int = 0x02_00_00_00_00_07, salt: int = 0) -> Key:
    """A key whose candidates start at ``first`` and go on by ``step``; another ``salt`` (below 16) is another key.

    Any four bytes of its input bring a CRC-32 to any value: the last four of the destination's address do.
    """
    table = _crc_table()
    head = Key(vni, src, 0x02_00 << 32).packed[:11]
    wanted = (salt << 2 * BITS | step << BITS | first) ^ 0xFFFFFFFF
    entries: list[int] = []
    for _ in range(4):
        entry = next(index for index, value in enumerate(table) if value >> 24 == wanted >> 24)
        entries.append(entry)
        wanted = (wanted ^ table[entry]) << 8 & 0xFFFFFFFF
    register = zlib.crc32(head) ^ 0xFFFFFFFF
    tail = 0
    for entry in reversed(entries):
        tail = tail << 8 | (register ^ entry) & 0xFF
        register = table[entry] ^ register >> 8
    key = Key(vni, src, 0x02_00 << 32 | tail)
    assert key.places[:2] == [first, (first + step) % PER_STAGE]
    return key


def _crc_table() -> list[int]:
    table = list(range(256))
    for _ in range(8):
        table = [value >> 1 ^ (0xEDB88320 if value & 1 else 0) for value in table]
    return table


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell. Without a key it is an unused one."""

    key: Key | None = None
    octets: int = 0
    epoch: int = 0
    packets: int = 0
    strength: int = 0

    @classmethod
    def parse(cls, data: bytes) -> Cell:
        value = int.from_bytes(data, "big")
        key = Key(*(int.from_bytes(data[a:b], "big") for a, b in ((1, 4), (4, 10), (10, 16)))) if data[0] else None
        return cls(
            key, value >> 80 & 0xFFFFFFFFFFFF, value >> 64 & 0xFFFF, value >> 24 & 0xFFFFFFFFFF, value & 0xFFFFFF
        )

    @property
    def value(self) -> int:
        head = b"\1" + self.key.packed if self.key else bytes(16)
        counters = self.octets << 80 | self.epoch << 64 | self.packets << 24 | self.strength
        return int.from_bytes(head, "big") << 128 | counters

    def aged(self, epochs: int) -> Cell:
        """The same, ``epochs`` older."""
        return replace(self, epoch=(self.epoch - epochs) % (1 << 16))


def read(plane: TcPlane, stage: int, index: int) -> Cell:
    return Cell.parse(plane.read_register(STAGES[stage])[index].tobytes())


def write(plane: TcPlane, stage: int, index: int, cell: Cell) -> None:
    plane.write_register(STAGES[stage], index, cell.value)


def read_all(plane: TcPlane) -> npt.NDArray[np.uint8]:
    """All stages, shape (stages, cells, bytes)."""
    return np.stack([plane.read_register(name) for name in STAGES])


def overlay(key: Key, octets: int) -> bytes:
    """A frame of ``octets`` inner bytes of the flow, from host 1 to another rack's host."""
    inner = key.dst.to_bytes(6, "big") + key.src.to_bytes(6, "big") + b"\x88\xb5" + bytes(octets - 14)
    return ethernet(ROUTER, HOST1_MAC, IPV4, ipv4(HOST1_IP, "10.1.3.1", udp(40000, 4789, vxlan(key.vni, inner))))


CLOCK_MONOTONIC_COARSE = 6
"""<linux/time.h>: the monotonic clock as it was at the kernel's last tick. Python has no name for it."""
TICK_US = 10_000
"""At most."""


def epoch_now() -> int:
    """The switch's: it counts the microseconds of the kernel's monotonic clock, as of the last tick (decision 10)."""
    return time.clock_gettime_ns(CLOCK_MONOTONIC_COARSE) // 1000 // EPOCH_US % (1 << 16)


def start_of_an_epoch() -> int:
    """Waits until at least half of an epoch lies ahead. Which one it is."""
    if _left_us() < EPOCH_US // 2:
        wait_for_the_next_epoch()
    return epoch_now()


def clear_of_an_epochs_end() -> None:
    """Waits where the epoch is about to end: what two switches are shown now, they see in the same one."""
    if _left_us() < EPOCH_US // 10:
        wait_for_the_next_epoch()


def wait_for_the_next_epoch() -> None:
    time.sleep((_left_us() + TICK_US + 1000) / 1e6)


def _left_us() -> int:
    return EPOCH_US - time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 % EPOCH_US
