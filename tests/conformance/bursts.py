"""Frames in bursts that a switch's queues hold, and the sentinels that tell when all of a burst has come out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from packet.entries import entry
from packet.frames import IPV4, ethernet, ipv4, udp

PORTS = {1: "ezt-con-1", 2: "ezt-con-2", 10: "ezt-con-10"}

_FRAMES, _OCTETS = 48, 256 << 10
"""What is sent before the switch is given time: BMv2's queue of a port has 64 places, and drops silently."""

_MAC, _SRC = "02:00:00:5e:00:01", "169.254.200.1"
_IPS = {port: f"169.254.200.{100 + port}" for port in PORTS}
SENTINELS = (
    entry("router_mac", {"mac": _MAC}, "for_router"),
    *(entry("local_vtep", {"vtep": address}, "not_local_vtep") for address in _IPS.values()),
    *(
        entry("route", {"prefix": (address, 32)}, "next_hop", port=port, src=_MAC, dst=_MAC)
        for port, address in _IPS.items()
    ),
)
"""What a switch holds besides a vector's own entries: the sentinels' way to each port."""


def sentinel(port: int, number: int, *, arrived: bool) -> bytes:
    """The frame that leaves by ``port``, as it is sent or as it has to arrive there."""
    packet = ipv4(_SRC, _IPS[port], udp(9, 9, number.to_bytes(8, "big")), ttl=63 if arrived else 64)
    return ethernet(_MAC, _MAC, IPV4, packet)


def bursts(frames: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """All ``frames`` in their order, as many at a time as a port's queues hold."""
    burst: list[bytes] = []
    octets = 0
    for frame in frames:
        if len(burst) == _FRAMES or octets + len(frame) > _OCTETS:
            yield burst
            burst, octets = [], 0
        burst.append(frame)
        octets += len(frame)
    yield burst


def can_be_seen(frame: bytes) -> bool:
    """Linux drops a tagged frame with less than two bytes behind the EtherType, unless its tag came beside the bytes.

    So one switch's may be captured and another one's not: no such frame counts.
    """
    return len(frame) >= 20 or frame[12:14] not in (b"\x81\x00", b"\x88\xa8")
