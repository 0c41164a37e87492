"""Random frames: stacks of headers as they may come, values that meet the tables' entries, and damage of all kinds."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

from conformance.pools import IPS, MACS, SENDERS, VIDS, VNIS
from packet.entries import Value, number
from packet.frames import ARP, IPV4, IPV6, QINQ, TCP, UDP, VLAN, arp, ethernet, ipv4, ipv6, tagged, udp, vxlan

SHORTEST, LONGEST = 14, 9000
MOST_TAGS = 3
"""The software ToR passes on no frame with more than these in front: docs/CONFORMANCE.md, known differences."""
DEPTH = 3
"""Tunnels in tunnels."""


def tags(frame: bytes) -> int:
    """VLAN tags in front of everything else, as far as they are whole."""
    count = 0
    while frame[12 + 4 * count : 14 + 4 * count] in (b"\x81\x00", b"\x88\xa8") and len(frame) >= 18 + 4 * count:
        count += 1
    return count


class Grammar:
    """Frames and parts of frames from a seeded source. What is not asked for is random."""

    def __init__(self, source: random.Random) -> None:
        self._random = source

    def damaged(self, frame: bytes) -> bytes:
        """Most often the frame as it is; always one that a socket can send."""
        for damage, share in ((self._cut, 0.06), (self._flip, 0.06), (self._lengthen, 0.1)):
            if self._chance(share):
                frame = damage(frame)
        while tags(frame) > MOST_TAGS:
            frame = frame[:12] + frame[16:]
        return frame[:LONGEST].ljust(SHORTEST, b"\0")

    def _cut(self, frame: bytes) -> bytes:
        return frame[: self._random.randint(SHORTEST, max(SHORTEST, min(len(frame), 140)))]

    def _flip(self, frame: bytes) -> bytes:
        changed = bytearray(frame)
        for _ in range(self._random.randint(1, 3)):
            changed[self._random.randrange(min(len(changed), 120))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _lengthen(self, frame: bytes) -> bytes:
        return frame + self._random.randbytes(self._random.choice((1, 2, 7, 18, 46, 500, 1500, 8000)))

    # ---- headers

    def tagged(self, frame: bytes, vid: int | None = None) -> bytes:
        tpid = VLAN if vid is not None or self._chance(0.9) else self._random.choice((QINQ, 0x9100))
        vid = self._random.choice(VIDS) if vid is None else vid
        return tagged(frame, vid, self._random.randrange(8), self._random.randrange(2), tpid)

    def ethernet(self, depth: int = DEPTH, dst: Value | None = None, least_tags: int = 0) -> bytes:
        ether_type, payload = self._one_of(
            (12, lambda: (IPV4, self.ipv4(depth))),
            (2, lambda: (ARP, self.arp())),
            (4, lambda: (IPV6, self._ipv6(depth))),
            (1, lambda: (self._random.choice((VLAN, IPV4, ARP, IPV6, 0x88B5, 46, 0)), self._bytes())),
            (1, lambda: (self._random.getrandbits(16), self._bytes())),
        )
        frame = self.link(dst, ether_type, payload)
        for _ in range(least_tags + self._random.choices(range(6), (85, 9, 3, 1, 1, 1))[0]):
            frame = self.tagged(frame)
        return frame

    def link(self, dst: Value | None, ether_type: int, payload: bytes) -> bytes:
        """An Ethernet header."""
        to = self._random.choice(MACS) if dst is None else number(dst).to_bytes(6, "big").hex(":")
        src = self._random.choice(SENDERS if self._chance(0.6) else MACS)
        return ethernet(to, src, ether_type, payload)

    def ipv4(
        self, depth: int, src: str | None = None, dst: str | None = None, content: tuple[int, bytes] | None = None
    ) -> bytes:
        protocol, payload = content or self._transport(depth)
        fragment = self._chance(0.08)
        packet = ipv4(
            src or self._random.choice(IPS),
            dst or self._random.choice(IPS),
            payload,
            protocol,
            tos=self._random.choice((0, 0xB8, self._random.getrandbits(8))),
            identification=self._random.getrandbits(16),
            flags=self._random.randrange(8) if fragment else self._random.choice((0, 2)),
            offset=self._random.choice((0, 1, 185, 8191)) if fragment else 0,
            ttl=self._random.choice((64, 64, 64, 63, 63, 255, 2, 1, 0)),
            options=self._random.randbytes(4 * self._random.randint(1, 10)) if self._chance(0.08) else b"",
            total_len=self._random.getrandbits(16) if self._chance(0.03) else None,
        )
        if self._chance(0.03):
            packet = bytes([self._random.getrandbits(8)]) + packet[1:]
        if self._chance(0.03):
            packet = packet[:10] + self._random.choice((bytes(2), b"\xff\xff", self._random.randbytes(2))) + packet[12:]
        return packet

    def vxlan(self, frame: bytes, vni: int | None = None) -> tuple[int, bytes]:
        """The protocol number of UDP and the datagram."""
        flags = self._random.getrandbits(8) if self._chance(0.06) else 8
        header = vxlan(self._random.choice(VNIS) if vni is None else vni, b"", flags)
        if self._chance(0.05):
            header = header[:1] + self._random.randbytes(3) + header[4:7] + self._random.randbytes(1)
        dport = self._random.choice((4788, 8472)) if self._chance(0.03) else 4789
        return UDP, udp(self._random.getrandbits(16), dport, header + frame)

    def arp(self, asked: str | None = None) -> bytes:
        macs = [self._random.choice(MACS) for _ in range(2)]
        ips = [self._random.choice(IPS) for _ in range(2)]
        request = arp(self._random.choice((1, 1, 1, 1, 2, 0, 3)), macs[0], ips[0], macs[1], asked or ips[1])
        if self._chance(0.1):
            at = self._random.randrange(8)
            request = request[:at] + self._random.randbytes(1) + request[at + 1 :]
        return request + bytes(self._random.choice((0, 18)))

    def _ipv6(self, depth: int) -> bytes:
        protocol, payload = self._transport(depth)
        src, dst = (self._random.choice(("fd00::1", "fd00::3", "ff02::1:2", "2001:db8::ffff:1")) for _ in range(2))
        packet = ipv6(src, dst, payload, protocol if self._chance(0.9) else self._random.choice((0, 43, 44, 58, 59)))
        traffic_class_and_flow = self._random.getrandbits(28) | (6 << 28 if self._chance(0.97) else 0)
        return traffic_class_and_flow.to_bytes(4, "big") + packet[4:]

    def _transport(self, depth: int) -> tuple[int, bytes]:
        return self._one_of(
            (3, lambda: self.vxlan(self.ethernet(depth - 1) if depth else self._bytes())),
            (4, lambda: (UDP, struct.pack("!HH", *self._ports()) + self._bytes(4))),
            (4, lambda: (TCP, struct.pack("!HH", *self._ports()) + self._bytes(16))),
            (1, lambda: (self._random.getrandbits(8), self._bytes())),
        )

    # ---- the small things

    def _ports(self) -> tuple[int, int]:
        return self._random.choice((0, 1000, 65535)), self._random.choice((80, 4789, self._random.getrandbits(16)))

    def _bytes(self, least: int = 0) -> bytes:
        return self._random.randbytes(least + self._random.choice((0, 0, 1, 2, 9, 20, 40)))

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def _one_of(self, *choices: tuple[int, Callable[[], tuple[int, bytes]]]) -> tuple[int, bytes]:
        makers: Sequence[Callable[[], tuple[int, bytes]]] = [maker for _, maker in choices]
        return self._random.choices(makers, [weight for weight, _ in choices])[0]()
