"""The lab's reading of captured frames and its lossless check, on bytes made by hand."""

from __future__ import annotations

import socket
import struct

import pytest
from ezpath_lab import probe
from ezpath_lab.frames import ENOUGH, Frame, differences, parse
from ezpath_lab.probe import Gap, Probe, Receiver, gaps

SRC, DST = "02:42:c0:a8:07:0b", "02:42:c0:a8:07:15"
SENDER = "red.red-11.red-21>red-11"


def _ethernet(payload: bytes, ether_type: int = 0x0800) -> bytes:
    return bytes.fromhex((DST + SRC).replace(":", "")) + struct.pack("!H", ether_type) + payload


def _udp(payload: bytes, src: str, dst: str, port: int, ip_id: int = 7, ttl: int = 64) -> bytes:
    udp = struct.pack("!HHHH", port, port, 8 + len(payload), 0xBEEF) + payload
    addresses = socket.inet_aton(src) + socket.inet_aton(dst)
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), ip_id, 0x4000, ttl, 17, 0x1234) + addresses + udp


def _probe_frame(sequence: int = 1, act: int = 0, ip_id: int = 7, ttl: int = 64) -> bytes:
    payload = probe.encode(Probe(SENDER, act, sequence, sent_ns=sequence * 1000))
    return _ethernet(_udp(payload, "192.168.7.11", "192.168.7.21", 7221, ip_id, ttl))


def _tagged(frame: bytes, vid: int, pcp: int = 0) -> bytes:
    return frame[:12] + struct.pack("!HH", 0x8100, pcp << 13 | vid) + frame[12:]


def _in_vxlan(frame: bytes, vni: int) -> bytes:
    return _ethernet(_udp(struct.pack("!II", 0x08 << 24, vni << 8) + frame, "10.255.0.1", "10.255.0.2", 4789))


def test_a_tag_in_the_frame_and_one_that_the_kernel_keeps_beside_it_read_the_same() -> None:
    # Given a probe frame tagged 107 with a priority, once as on the wire, once with the tag taken out
    frame = _probe_frame()

    # When both are read
    on_wire, beside = parse(_tagged(frame, 107, pcp=5)), parse(frame, tag=5 << 13 | 107)

    # Then they are the same frame, tagged 107, of that stream
    assert on_wire == beside
    assert (on_wire.shape, on_wire.vid, on_wire.stream) == ("tagged", 107, SENDER)
    assert (on_wire.src, on_wire.dst) == (SRC, DST)


def test_inside_vxlan_the_vni_the_tunnels_ends_and_the_inner_frame_are_read() -> None:
    frame = parse(_in_vxlan(_probe_frame(), vni=5001))

    assert (frame.shape, frame.vni, frame.stream) == ("vxlan", 5001, SENDER)
    assert (frame.outer_src, frame.outer_dst, frame.src, frame.dst) == ("10.255.0.1", "10.255.0.2", SRC, DST)


def test_the_form_is_the_same_on_every_way_and_for_every_number() -> None:
    # Given two probes that differ in number, act, time and IP id
    one, other = _probe_frame(sequence=1, act=0, ip_id=7), _probe_frame(sequence=2, act=4, ip_id=9)

    # When one is seen bare, tagged and in VXLAN, and the other bare
    forms = {frame.form for frame in map(parse, (one, _tagged(one, 107), _in_vxlan(one, 5001), other))}

    # Then it is one form
    assert len(forms) == 1


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(_probe_frame(ttl=63), id="TTL"),
        pytest.param(_probe_frame(sequence=probe.LARGE_EVERY - 1), id="length"),
        pytest.param(_probe_frame()[:-1] + b"!", id="payload"),
        pytest.param(b"\x02" + _probe_frame()[1:5] + b"\x99" + _probe_frame()[6:], id="MAC"),
    ],
)
def test_the_form_tells_a_changed_frame(changed: bytes) -> None:
    assert parse(changed).form != parse(_probe_frame()).form


SMALL, LARGE = parse(_probe_frame()), parse(_probe_frame(sequence=probe.LARGE_EVERY - 1))
OTHER_TTL = parse(_probe_frame(ttl=63))


def test_what_one_capture_has_and_the_other_has_not_is_a_difference() -> None:
    assert differences({SMALL: 400, LARGE: 4}, {SMALL: 300, LARGE: 3}) == []
    assert differences({SMALL: 400, LARGE: 4}, {SMALL: 300, LARGE: 3, OTHER_TTL: 1}) == [OTHER_TTL]
    assert differences({SMALL: 400, LARGE: 4}, {SMALL: ENOUGH}) == [LARGE]


def test_a_large_frame_missed_among_a_few_is_none_but_a_stream_that_is_all_changed_is() -> None:
    # Given so few frames that none of them need have been a large one
    assert differences({SMALL: 400, LARGE: 4}, {SMALL: 60}) == []
    # But of as few, none is as it was
    assert differences({SMALL: 400}, {OTHER_TTL: 60}) == sorted([SMALL, OTHER_TTL], key=str)
    assert differences({SMALL: 400}, {}) == [SMALL]


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 13, _ethernet(b""), _ethernet(b"\x45"), _tagged(_ethernet(b""), 5)[:15], _in_vxlan(b"", 5001)],
    ids=["empty", "cut in the MACs", "no IPv4", "cut in IPv4", "cut in the tag", "empty VXLAN"],
)
def test_frames_cut_off_are_read_without_a_stream(data: bytes) -> None:
    assert parse(data).stream == ""


def test_a_frame_of_nobody_we_know_is_still_counted_by_its_shape() -> None:
    assert parse(_ethernet(bytes(28), 0x0806)) == Frame("other", src=SRC, dst=DST)


# ---- the receiver of the lossless check ------------------------------------------------------------------------------


def test_a_receiver_counts_by_act_and_knows_duplicates_and_overtaking() -> None:
    # Given a receiver, and packets of two acts: 0 1 3 2 2 | 4
    receiver = Receiver(SENDER)

    # When they arrive
    for act, sequence in ((0, 0), (0, 1), (0, 3), (0, 2), (0, 2), (1, 4)):
        receiver.take(probe.encode(Probe(SENDER, act, sequence, sent_ns=1_000)), now_ns=5_000)

    # Then each act has its own counts
    first, second = receiver.acts[0], receiver.acts[1]
    assert (first.received, first.duplicated, first.reordered) == (4, 1, 1)
    assert (second.received, second.duplicated, second.reordered) == (1, 0, 0)
    assert first.delays_us == [4, 4, 4, 4]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(probe.encode(Probe("blue.blue-11.blue-21>blue-11", 0, 1, 0)), id="another tenant"),
        pytest.param(b"EZPk", id="cut off"),
        pytest.param(b"something else altogether, of some length", id="something else"),
    ],
)
def test_what_is_not_of_the_expected_sender_is_foreign_and_not_received(payload: bytes) -> None:
    receiver = Receiver(SENDER)

    assert receiver.take(payload, now_ns=0) is None
    assert (receiver.foreign, receiver.acts) == (1, {})


def test_gaps_name_the_missing_numbers_and_the_times_around_them() -> None:
    assert gaps({1: 10, 2: 20, 5: 50, 7: 70}) == [Gap(3, 4, 20, 50), Gap(6, 6, 50, 70)]
    assert gaps({}) == []


def test_probes_have_two_sizes_and_survive_the_way() -> None:
    small, large = Probe(SENDER, 3, 1, 99), Probe(SENDER, 3, probe.LARGE_EVERY - 1, 99)

    assert [len(probe.encode(p)) for p in (small, large)] == [64, 1422]
    assert [probe.decode(probe.encode(p)) for p in (small, large)] == [small, large]


def test_tenants_with_the_same_addresses_share_the_port_and_pairs_do_not() -> None:
    assert probe.port("192.168.7.11", "192.168.7.21") == probe.port("192.168.7.21", "192.168.7.11")
    assert probe.port("192.168.7.11", "192.168.7.21") != probe.port("192.168.7.11", "192.168.7.12")
