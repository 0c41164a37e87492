"""Frames by hand: every header from its own bytes, so that what is expected owes nothing to the code under test."""

from __future__ import annotations

import socket
import struct

IPV4, ARP, VLAN, IPV6, QINQ = 0x0800, 0x0806, 0x8100, 0x86DD, 0x88A8
TCP, UDP = 6, 17


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ip(text: str) -> int:
    """An IPv4 address as the number that a table entry holds."""
    return int.from_bytes(socket.inet_aton(text), "big")


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(dst: str, src: str, ether_type: int, payload: bytes) -> bytes:
    return mac(dst) + mac(src) + struct.pack("!H", ether_type) + payload


def tagged(frame: bytes, vid: int, pcp: int = 0, dei: int = 0, tpid: int = VLAN) -> bytes:
    """The frame with one more tag, outermost."""
    return frame[:12] + struct.pack("!HH", tpid, pcp << 13 | dei << 12 | vid) + frame[12:]


def ipv4(
    src: str,
    dst: str,
    payload: bytes,
    protocol: int = UDP,
    *,
    tos: int = 0,
    identification: int = 0,
    flags: int = 0,
    offset: int = 0,
    ttl: int = 64,
    options: bytes = b"",
    total_len: int | None = None,
) -> bytes:
    words = 5 + len(options) // 4
    total = 4 * words + len(payload) if total_len is None else total_len
    head = struct.pack(
        "!BBHHHBBH4s4s",
        *(0x40 | words, tos, total & 0xFFFF, identification, flags << 13 | offset, ttl, protocol, 0),
        *(socket.inet_aton(src), socket.inet_aton(dst)),
    )
    head += options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def udp(sport: int, dport: int, payload: bytes, *, length: int | None = None, csum: int = 0) -> bytes:
    size = 8 + len(payload) if length is None else length
    return struct.pack("!HHHH", sport, dport, size & 0xFFFF, csum) + payload


def tcp(sport: int, dport: int, payload: bytes, *, sequence: int = 1, csum: int = 0) -> bytes:
    return struct.pack("!HHIIBBHHH", sport, dport, sequence, 1, 5 << 4, 0x10, 8192, csum, 0) + payload


def pseudo_header_sum(src: str, dst: str, protocol: int, octets: int) -> int:
    """What a sender that leaves the checksum to the hardware puts in its place."""
    pseudo = socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!HH", protocol, octets)
    return ~checksum(pseudo) & 0xFFFF


def ipv6(src: str, dst: str, payload: bytes, next_header: int = UDP) -> bytes:
    addresses = socket.inet_pton(socket.AF_INET6, src) + socket.inet_pton(socket.AF_INET6, dst)
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64) + addresses + payload


def vxlan(vni: int, frame: bytes, flags: int = 8) -> bytes:
    return struct.pack("!II", flags << 24, vni << 8) + frame


def arp(op: int, sender_mac: str, sender_ip: str, target_mac: str, target_ip: str) -> bytes:
    return (
        struct.pack("!HHBBH", 1, IPV4, 6, 4, op)
        + mac(sender_mac)
        + socket.inet_aton(sender_ip)
        + mac(target_mac)
        + socket.inet_aton(target_ip)
    )
