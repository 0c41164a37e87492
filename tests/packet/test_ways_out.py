"""Two ways out of a port: straight to the other end of a veth, or through the interface. The frames are the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from ezpath_tor import compiler, tc
from ezpath_tor.links import reaches_other_namespace
from packet.frames import ARP, IPV4, arp, ethernet, ipv4, tagged, udp
from packet.rack import C1, C2, C3, FABRIC, HOST1, HOST2, PORTS, RED_VID, RED_VID2, ROUTER, Rack
from packet.wire import Wires, inside

pytestmark = pytest.mark.root

HOST2_PORT = PORTS[HOST2]


def datagram(dst: str, octets: int = 100) -> bytes:
    return ethernet(dst, C1, IPV4, ipv4("10.0.0.1", "10.0.0.2", udp(1000, 2000, bytes(octets))))


def sent_by(rack: Rack, port: int) -> int:
    """Frames that left by the interface itself."""
    return int(rack.wires.switch_command("cat", f"/sys/class/net/{PORTS[port]}/statistics/tx_packets"))


@pytest.fixture(params=["straight", "through the interface"])
def way(request: pytest.FixtureRequest, rack: Rack) -> Iterator[str]:
    """Port 2 takes frames as they are, or has segmentation turned off and so has to look at each."""
    if request.param == "straight":
        yield "straight"
        return
    _segmentation(rack, "off")
    yield "through"
    _segmentation(rack, "on")


def _segmentation(rack: Rack, state: str) -> None:
    rack.wires.switch_command("ethtool", "-K", HOST2_PORT, "tso", state, "gso", state)
    with inside(rack.wires.switch):
        rack.plane.refresh()


def test_the_bytes_are_the_same_either_way(rack: Rack, way: str) -> None:
    before = sent_by(rack, HOST2)

    out = rack.exchange(HOST1, tagged(datagram(C2), RED_VID))

    assert out == {HOST2: [tagged(datagram(C2), RED_VID2)]}
    assert sent_by(rack, HOST2) - before == (0 if way == "straight" else 1)


def test_a_frame_that_the_kernel_would_misread_takes_the_interface(rack: Rack) -> None:
    """ARP into a tunnel: the kernel's own header offsets do not fit the new frame."""
    before = sent_by(rack, FABRIC)
    request = ethernet(C3, C1, ARP, arp(1, C1, "10.0.0.1", "00:00:00:00:00:00", "10.0.0.3"))

    [out] = rack.exchange(HOST1, tagged(request, RED_VID))[FABRIC]

    assert out.endswith(request)
    assert sent_by(rack, FABRIC) - before == 1


def test_a_frame_longer_than_the_ports_mtu_is_lost_and_counted(running_rack: Rack) -> None:
    rack = running_rack
    rack.wires.switch_command("ip", "link", "set", HOST2_PORT, "mtu", "1000")
    before = dict(rack.plane.losses)
    try:
        out = rack.exchange(HOST1, tagged(datagram(C2, 1000), RED_VID), tagged(datagram(C2, 900), RED_VID))
        lost = {reason: count - before.get(reason, 0) for reason, count in rack.plane.losses.items()}
    finally:
        rack.wires.switch_command("ip", "link", "set", HOST2_PORT, "mtu", "9000")
        with inside(rack.wires.switch):
            rack.stop()
            rack.start()

    assert out == {HOST2: [tagged(datagram(C2, 900), RED_VID2)]}
    assert lost == {"longer than the MTU of the port it was to leave by": 1}


def test_only_a_veth_that_ends_in_another_namespace_has_a_straight_way(wires: Wires) -> None:
    wires.switch_command("ip", "link", "add", "ezt-here", "type", "veth", "peer", "name", "ezt-there")
    try:
        with inside(wires.switch):
            straight = {name: reaches_other_namespace(name) for name in (HOST2_PORT, "ezt-here", "lo", "ezt-nothing")}
    finally:
        wires.switch_command("ip", "link", "del", "ezt-here")

    assert straight == {HOST2_PORT: True, "ezt-here": False, "lo": False, "ezt-nothing": False}


def test_a_program_too_large_for_the_stack_runs_all_the_same(
    wires: Wires, running_rack: Rack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its variables are then in memory, like its headers. Here a compiler says that it is too large."""
    tried: list[bool] = []

    def no_stack(source: str, *, real: Callable[[str], bytes] = compiler.compile_c) -> bytes:
        tried.append(source.startswith("#define STATE_IN_MAP"))
        if not tried[-1]:
            raise tc.PlaneError("the BPF stack limit is exceeded")
        return real(source)

    running_rack.stop()
    monkeypatch.setattr(tc, "compile_c", no_stack)
    other = Rack(wires)
    try:
        other.start()
        out = other.exchange(HOST1, tagged(datagram(C2), RED_VID), tagged(datagram(C3), RED_VID))
    finally:
        other.stop()
        monkeypatch.undo()
        running_rack.start()

    assert tried == [False, True]
    assert out[HOST2] == [tagged(datagram(C2), RED_VID2)]
    assert out[FABRIC][0].endswith(datagram(C3))
    assert out[FABRIC][0][6:12].hex(":") == ROUTER
