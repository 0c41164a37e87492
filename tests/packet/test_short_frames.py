"""Frames too short for the conformance vectors: Linux drops a tagged frame with less than two bytes behind the
EtherType on its way to any switch and to any capture. Here they are seen beside the wire or before it.
"""

from __future__ import annotations

import pytest
from packet.frames import IPV4, ethernet, ipv4, tagged, udp, vxlan
from packet.in_memory import SHOT
from packet.rack import C1, C3, FABRIC, HOST1, PARSER, PEER_VTEP, RED, RED_VID, ROUTER, SPINE_MAC, VTEP, Rack

pytestmark = pytest.mark.root


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_a_tagged_frame_of_hardly_anything_comes_out_of_the_tunnel(rack: Rack, payload: bytes) -> None:
    inner = ethernet(C1, C3, 0x88B5, payload)
    outer = ethernet(ROUTER, SPINE_MAC, IPV4, ipv4(PEER_VTEP, VTEP, udp(50000, 4789, vxlan(RED, inner))))

    # The switch leaves the tag beside the bytes, where a capture finds it.
    assert rack.exchange(FABRIC, outer) == {HOST1: [tagged(inner, RED_VID)]}


@pytest.mark.parametrize("octets", [14, 15, 16, 17])
def test_a_frame_cut_off_inside_its_tag_is_dropped(rack: Rack, octets: int) -> None:
    frame = tagged(ethernet(C3, C1, IPV4, bytes(30)), RED_VID)[:octets]

    assert rack.in_memory(HOST1, frame).verdict == SHOT

    assert rack.drops() == {PARSER: (1, octets)}
