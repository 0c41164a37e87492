"""Segmentation and checksum offload: large segments stay large through encapsulation, and come out right.

A super-frame is put on the wire by hand, and two switches in series carry real TCP between two hosts' stacks.
"""

from __future__ import annotations

import struct

import pytest
from packet.frames import IPV4, IPV6, TCP, checksum, ethernet, ipv4, ipv6, pseudo_header_sum, tagged, tcp
from packet.rack import C1, C2, C3, FABRIC, HOST1, HOST2, PEER_VTEP, RED_VID, RED_VID2, UNKNOWN_DST, VTEP, Rack
from packet.wire import GSO_TCPV4, GSO_TCPV6, Captured, inside

pytestmark = pytest.mark.root

MSS = 1398
PAYLOAD = bytes(index % 253 for index in range(30 * MSS + 17))


def super_frame(dst: str, version: int, payload: bytes = PAYLOAD) -> bytes:
    """One TCP segment of many MSS, its checksum prepared for the hardware. Untagged."""
    size = 20 + len(payload)
    if version == 4:
        unfinished = pseudo_header_sum("10.0.0.1", "10.0.0.3", TCP, size)
        segment = tcp(5000, 80, payload, csum=unfinished)
        return ethernet(dst, C1, IPV4, ipv4("10.0.0.1", "10.0.0.3", segment, TCP, flags=2))
    pseudo = bytes.fromhex("fd00" + "00" * 13 + "01" + "fd00" + "00" * 13 + "03") + struct.pack("!II", size, TCP)
    segment = tcp(5000, 80, payload, csum=~checksum(pseudo) & 0xFFFF)
    return ethernet(dst, C1, IPV6, ipv6("fd00::1", "fd00::3", segment, TCP))


def send(rack: Rack, frame: bytes, version: int, *, gso: bool) -> dict[int, list[Captured]]:
    """The frame into host 1's port as a container's stack hands it down."""
    start = 18 + (20 if version == 4 else 40)
    kind = (GSO_TCPV4 if version == 4 else GSO_TCPV6) if gso else 0
    rack.wires.far[HOST1].send_offloaded(
        tagged(frame, RED_VID), checksum_start=start, checksum_offset=16, gso_type=kind, gso_size=MSS if gso else 0
    )
    return rack.settle(HOST1)


def finished(frame: Captured) -> bytes:
    """The frame with its checksum calculated, as hardware would."""
    if frame.checksum_start is None:
        return frame.data
    data = bytearray(frame.data)
    value = checksum(bytes(data[frame.checksum_start :]))
    struct.pack_into("!H", data, frame.checksum_start + 16, value)
    return bytes(data)


def complete(frame: bytes, version: int) -> bytes:
    """An untagged frame of ours with its TCP checksum calculated."""
    return finished(Captured(frame, checksum_start=34 if version == 4 else 54))


@pytest.mark.parametrize("version", [4, 6])
def test_an_unfinished_checksum_is_finished_right_behind_the_tunnel(rack: Rack, version: int) -> None:
    frame = super_frame(C3, version, b"small")

    [out] = send(rack, frame, version, gso=False)[FABRIC]

    assert finished(out)[50:] == complete(frame, version)


@pytest.mark.parametrize("version", [4, 6])
def test_a_super_frame_goes_into_the_tunnel_whole(rack: Rack, version: int) -> None:
    frame = super_frame(C3, version)

    [out] = send(rack, frame, version, gso=True)[FABRIC]

    assert out.gso_size == MSS
    assert out.data[50:] == frame
    total_len, udp_len = struct.unpack_from("!H", out.data, 16)[0], struct.unpack_from("!H", out.data, 38)[0]
    assert (total_len, udp_len) == (len(frame) + 36, len(frame) + 16)
    assert checksum(out.data[14:34]) == 0
    assert out.data[26:34] == ipv4(VTEP, PEER_VTEP, b"")[12:20]


@pytest.mark.parametrize("version", [4, 6])
def test_a_super_frame_crosses_the_rack_whole(rack: Rack, version: int) -> None:
    frame = super_frame(C2, version)

    [out] = send(rack, frame, version, gso=True)[HOST2]

    assert out.gso_size == MSS
    assert out.data == tagged(frame, RED_VID2)


@pytest.mark.parametrize("version", [4, 6])
def test_where_the_wire_cannot_segment_the_kernel_does_it_and_every_segment_is_right(rack: Rack, version: int) -> None:
    frame = super_frame(C3, version)
    features = ("tso", "gso", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation", "tx-tcp6-segmentation")

    def switch_features(state: str) -> None:
        arguments = [argument for feature in features for argument in (feature, state)]
        rack.wires.switch_command("ethtool", "-K", "ezt-pkt-10", *arguments)
        with inside(rack.wires.switch):
            rack.plane.refresh()

    switch_features("off")
    try:
        out = send(rack, frame, version, gso=True)[FABRIC]
    finally:
        switch_features("on")

    headers = 50 + 14 + (20 if version == 4 else 40) + 20
    segments = [finished(one) for one in out]
    assert len(segments) == 31
    assert b"".join(segment[headers:] for segment in segments) == PAYLOAD
    for number, segment in enumerate(segments):
        payload = len(segment) - headers
        assert payload == (MSS if number < 30 else 17)
        assert checksum(segment[14:34]) == 0
        assert struct.unpack_from("!H", segment, 16)[0] == len(segment) - 14
        assert struct.unpack_from("!H", segment, 38)[0] == len(segment) - 34
        assert struct.unpack_from("!I", segment, headers - 16)[0] == 1 + number * MSS
        tcp_part = segment[headers - 20 :]
        addresses = segment[headers - 28 : headers - 20] if version == 4 else segment[headers - 52 : headers - 20]
        assert checksum(addresses + struct.pack("!HH", TCP, len(tcp_part)) + tcp_part) == 0


@pytest.mark.parametrize("version", [4, 6])
def test_a_dropped_super_frame_counts_as_the_packets_it_stands_for(rack: Rack, version: int) -> None:
    frame = super_frame("02:00:00:00:00:99", version)

    assert send(rack, frame, version, gso=True) == {}

    assert rack.drops() == {UNKNOWN_DST: (31, len(frame) + 4)}
