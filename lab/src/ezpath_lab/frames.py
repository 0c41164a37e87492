"""Reading captured frames: which way a frame went, whose it is, and what of it a container may compare.

Pure, standard library only. A frame is one of

    bare     Ethernet as containers see it
    tagged   the same with an 802.1Q tag: between host and ToR, offloaded
    vxlan    the same inside VXLAN: between hosts (overlay) or between ToRs (offloaded)
    other    anything else of the underlay, ARP for instance
"""

from __future__ import annotations

import hashlib
import socket
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from ezpath_lab import probe

_ETH, _IPV4, _UDP, _VXLAN = 14, 20, 8, 8
_TYPE_IPV4, _TYPE_VLAN = b"\x08\x00", b"\x81\x00"
_VXLAN_PORT = 4789


@dataclass(frozen=True, slots=True)
class Frame:
    """What one captured frame was. Equal frames are counted together."""

    shape: str
    vid: int = 0
    vni: int = 0
    outer_src: str = ""
    outer_dst: str = ""
    src: str = ""
    """The container's MAC, inside whatever wraps the frame."""
    dst: str = ""
    stream: str = ""
    """Who sent it, where it is a probe: ``tenant.a.b>sender``."""
    form: str = ""
    """Digest of all that must not change on the way, where it is a probe."""


def parse(data: bytes, tag: int | None = None) -> Frame:
    """Read one frame; ``tag`` is the VLAN tag that the kernel keeps beside the bytes, if there is one."""
    if tag is None and data[12:14] == _TYPE_VLAN and len(data) >= _ETH + 4:
        tag = int.from_bytes(data[14:16], "big")
        data = data[:12] + data[16:]
    if tag is not None:
        return _tenant_frame("tagged", data, vid=tag & 0xFFF)
    tunnelled = _vxlan(data)
    if tunnelled is not None:
        vni, outer_src, outer_dst, inner = tunnelled
        return _tenant_frame("vxlan", inner, vni=vni, outer_src=outer_src, outer_dst=outer_dst)
    return _tenant_frame("bare" if data[12:14] == _TYPE_IPV4 else "other", data)


ENOUGH = 3 * probe.LARGE_EVERY
"""Of so many probes of a stream some are large, also where a few in a row were missed."""


def differences(one: Mapping[Frame, int], other: Mapping[Frame, int]) -> list[Frame]:
    """Kinds of probe frames that one capture has and the other ought to have, and has not.

    What passed a busy machine within seconds may be too little for a large frame: a form that is missing among fewer
    than :data:`ENOUGH` frames of its stream shows nothing, as long as others of the stream are there.
    """
    return sorted((*_missing(one, other), *_missing(other, one)), key=str)


def _missing(here: Mapping[Frame, int], there: Mapping[Frame, int]) -> list[Frame]:
    counts: Counter[str] = Counter()
    kinds: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for frame, count in there.items():
        counts[frame.stream] += count
        kinds[frame.stream].add((frame.form, frame.shape))
    known = {frame.stream for frame in here if (frame.form, frame.shape) in kinds[frame.stream]}
    return [
        frame
        for frame in here
        if (frame.form, frame.shape) not in kinds[frame.stream]
        and (counts[frame.stream] >= ENOUGH or frame.stream not in known)
    ]


def _tenant_frame(
    shape: str, data: bytes, *, vid: int = 0, vni: int = 0, outer_src: str = "", outer_dst: str = ""
) -> Frame:
    sender, form = "", ""
    payload = _udp_payload(data)
    if payload is not None:
        found = probe.decode(payload)
        if found is not None and not found.hello:
            sender, form = found.sender, _form(data, payload)
    return Frame(shape, vid, vni, outer_src, outer_dst, _mac(data[6:12]), _mac(data[0:6]), sender, form)


def _vxlan(data: bytes) -> tuple[int, str, str, bytes] | None:
    payload = _udp_payload(data, _VXLAN_PORT)
    if payload is None or len(payload) < _VXLAN + _ETH or not payload[0] & 0x08:
        return None
    outer_src, outer_dst = socket.inet_ntoa(data[26:30]), socket.inet_ntoa(data[30:34])
    return int.from_bytes(payload[4:7], "big"), outer_src, outer_dst, payload[_VXLAN:]


def _udp_payload(data: bytes, port: int = 0) -> bytes | None:
    """The payload where ``data`` is UDP over IPv4 (to ``port``)."""
    if data[12:14] != _TYPE_IPV4 or len(data) < _ETH + _IPV4 + _UDP or data[23] != socket.IPPROTO_UDP:
        return None
    start = _ETH + (data[14] & 0x0F) * 4
    if port and int.from_bytes(data[start + 2 : start + 4], "big") != port:
        return None
    return data[start + _UDP :]


def _form(data: bytes, payload: bytes) -> str:
    """Everything of an untagged probe frame but what differs from packet to packet: IP id, checksums, number, time."""
    same = bytearray(data[: len(data) - len(payload)] + payload)
    udp = _ETH + (data[14] & 0x0F) * 4
    start = len(data) - len(payload)
    for varying in (slice(18, 20), slice(24, 26), slice(udp + 6, udp + 8)):
        same[varying] = b"\0\0"
    same[start + probe.VARYING.start : start + probe.VARYING.stop] = bytes(18)
    return hashlib.sha256(same).hexdigest()[:16]


def _mac(data: bytes) -> str:
    return data.hex(":")
