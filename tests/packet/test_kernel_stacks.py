"""Two containers' own TCP/IP stacks through two switches: what arrives is what was sent, and large stays large."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from packet.frames import ethernet
from packet.two_racks import SIDES, TwoRacks
from packet.wire import inside

pytestmark = pytest.mark.root

OCTETS = 4 << 20
UDP_SEGMENT = 103


@pytest.fixture(scope="module")
def racks(needs: Callable[..., None]) -> Iterator[TwoRacks]:
    needs("ip", "tc", "clang", "ethtool", root=True)
    with TwoRacks() as up:
        yield up


@pytest.fixture(params=["v4", "v6"])
def family(request: pytest.FixtureRequest) -> socket.AddressFamily:
    return socket.AF_INET if request.param == "v4" else socket.AF_INET6


@pytest.fixture(params=["nowhere", "fabric", "host"])
def segmented(request: pytest.FixtureRequest, racks: TwoRacks) -> Iterator[str]:
    """Before which ports the kernel has to segment super-frames that the switches encapsulated or decapsulated."""
    where = str(request.param)
    if where != "nowhere":
        racks.segmentation(where, "off")
    yield where
    if where != "nowhere":
        racks.segmentation(where, "on")


def address(family: socket.AddressFamily) -> str:
    """Of the container behind switch 2."""
    return SIDES[1].address if family == socket.AF_INET else SIDES[1].address6


def transferred(racks: TwoRacks, family: socket.AddressFamily, data: bytes) -> str:
    """Hash of what the container behind switch 2 receives over TCP from the one behind switch 1."""
    with inside(racks.container(1)):
        listener = socket.create_server((address(family), 0), family=family)
    with inside(racks.container(0)):
        sender = socket.socket(family, socket.SOCK_STREAM)
    result: list[str] = []

    def receive() -> None:
        connection, _ = listener.accept()
        digest = hashlib.sha256()
        with connection:
            connection.settimeout(20)
            while chunk := connection.recv(1 << 18):
                digest.update(chunk)
        result.append(digest.hexdigest())

    receiver = threading.Thread(target=receive)
    receiver.start()
    with sender, listener:
        sender.settimeout(20)
        sender.connect((address(family), listener.getsockname()[1]))
        sender.sendall(data)
        sender.shutdown(socket.SHUT_WR)
        receiver.join(30)
    assert result, "the receiver got no end of stream"
    return result[0]


def test_tcp_arrives_whole(racks: TwoRacks, family: socket.AddressFamily, segmented: str) -> None:
    data = random.Random(7).randbytes(OCTETS)
    frames, octets = racks.fabric_counters()

    assert transferred(racks, family, data) == hashlib.sha256(data).hexdigest()

    more_frames, more_octets = racks.fabric_counters()
    average = (more_octets - octets) / (more_frames - frames)
    if segmented == "fabric":
        assert average <= 1514
    else:
        assert average > 8000, "segments did not stay large"


@pytest.mark.parametrize("size", [1, 100, 1300, 1390])
def test_datagrams_arrive_with_a_right_checksum(racks: TwoRacks, family: socket.AddressFamily, size: int) -> None:
    """The receiving stack drops a datagram whose checksum is wrong."""
    with inside(racks.container(1)):
        receiver = socket.socket(family, socket.SOCK_DGRAM)
    with inside(racks.container(0)):
        sender = socket.socket(family, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.bind((address(family), 0))
        receiver.settimeout(5)
        sent = [bytes([index]) * size for index in range(20)]
        for payload in sent:
            sender.sendto(payload, (address(family), receiver.getsockname()[1]))
        assert sorted(receiver.recv(2000) for _ in sent) == sent


def test_one_large_send_of_many_datagrams_arrives_where_the_fabric_is_a_real_wire(
    racks: TwoRacks, family: socket.AddressFamily
) -> None:
    """UDP segmentation offload: one super-frame of ten datagrams, segmented at the latest before the fabric.

    Over a fabric of veth pairs without that, it would be lost behind the second switch: see runtime.h.
    """
    with inside(racks.container(1)):
        receiver = socket.socket(family, socket.SOCK_DGRAM)
    with inside(racks.container(0)):
        sender = socket.socket(family, socket.SOCK_DGRAM)
    racks.segmentation("fabric", "off")
    try:
        with receiver, sender:
            receiver.bind((address(family), 0))
            receiver.settimeout(5)
            sender.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 1000)
            parts = [bytes([index]) * 1000 for index in range(10)]
            sender.sendto(b"".join(parts), (address(family), receiver.getsockname()[1]))
            assert [receiver.recv(2000) for _ in parts] == parts
    finally:
        racks.segmentation("fabric", "on")


@pytest.mark.parametrize("size", [2, 10, 19, 20, 28])
def test_a_frame_shorter_than_any_on_a_real_wire_arrives(racks: TwoRacks, size: int) -> None:
    """At most padded, as a real wire would have done. The kernel refuses to shorten such a frame any further."""
    with inside(racks.container(1)):
        receiver = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5))
        receiver.bind(("eth0", 0x88B5))
    with inside(racks.container(0)):
        sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        sender.bind(("eth0", 0x88B5))
    frame = ethernet(SIDES[1].container_mac, SIDES[0].container_mac, 0x88B5, bytes(range(1, size + 1)))
    with receiver, sender:
        receiver.settimeout(5)
        sender.send(frame)
        arrived = receiver.recv(2000)
    assert arrived[: len(frame)] == frame
    assert not any(arrived[len(frame) :])
    assert len(arrived) <= 60
