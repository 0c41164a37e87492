"""Header stacks, and what else parsers and headers can do, on the wire: ``programs/stacks.p4``."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest
from packet.calculator import CONFIG, DST, SRC, Calculator, calculator
from packet.frames import ethernet, mac
from packet.hashes import crc16, csum16
from packet.wire import Wires

pytestmark = pytest.mark.root

LABELS, SKIP, WIDE = 0x5354, 0x5355, 0x5356
NO_OP, SWAP, PUSH_ONE, PUSH_ALL, POP_ONE, POP_TWO, EXTRA, ODD, CHECKED = 0, 1, 2, 3, 4, 5, 0x40, 0x41, 0x44


@pytest.fixture(scope="module")
def stacks(needs: Callable[..., None]) -> Iterator[Calculator]:
    needs("ip", "clang", "sysctl", root=True)
    ports = {1: "ezt-st-1", 2: "ezt-st-2"}
    with Wires(ports, name="stacks") as wires, calculator(wires, ports, CONFIG.with_name("stacks.json")) as running:
        yield running


def label(number: int, *, bottom: bool = False, ttl: int = 9) -> bytes:
    return struct.pack("!I", number << 12 | bottom << 8 | ttl)


def command(op: int, result: int = 0, total: int = 0) -> bytes:
    return struct.pack("!BBH", op, result, total)


def stack(*numbers: int) -> bytes:
    return b"".join(label(number, bottom=number == numbers[-1]) for number in numbers)


def answer(stacks: Calculator, payload: bytes, ether_type: int = LABELS) -> bytes:
    [frame] = stacks.frames(ethernet(DST, SRC, ether_type, payload))
    return frame[14:]


@pytest.mark.parametrize("numbers", [(1,), (1, 2), (1, 2, 3)])
def test_a_stack_is_filled_up_to_its_last_element_and_emitted_in_order(
    stacks: Calculator, numbers: tuple[int, ...]
) -> None:
    sent = stack(*numbers) + b"payload"
    assert answer(stacks, command(NO_OP) + sent) == command(NO_OP, len(numbers) - 1) + sent


def test_more_than_it_has_room_for_ends_the_parser_with_its_error(stacks: Calculator) -> None:
    sent = stack(1, 2, 3, 4)
    assert answer(stacks, command(NO_OP) + sent) == command(NO_OP, 0xF0) + sent


def test_a_condition_on_the_last_element_is_verified_for_each(stacks: Calculator) -> None:
    sent = label(1) + label(2, ttl=0) + label(3, bottom=True)
    assert answer(stacks, command(NO_OP) + sent) == command(NO_OP, 0xF1) + sent


def test_elements_are_headers_like_others(stacks: Calculator) -> None:
    expected = label(2) + label(3) + label(3, bottom=True)
    assert answer(stacks, command(SWAP) + stack(1, 2, 3)) == command(SWAP, 2) + expected


@pytest.mark.parametrize(
    ("op", "before", "after"),
    [
        (PUSH_ONE, (1,), [label(0xABCDE, ttl=64), label(1, bottom=True)]),
        (PUSH_ONE, (1, 2, 3), [label(0xABCDE, ttl=64), label(1), label(2)]),
        (PUSH_ALL, (1, 2, 3), []),
        (POP_ONE, (1, 2, 3), [label(2), label(3, bottom=True)]),
        (POP_ONE, (1,), []),
        (POP_TWO, (1, 2, 3), [label(3, bottom=True)]),
        (POP_TWO, (1,), []),
    ],
)
def test_pushing_and_popping_moves_all_elements(
    stacks: Calculator, op: int, before: tuple[int, ...], after: list[bytes]
) -> None:
    found = answer(stacks, command(op) + stack(*before) + b"tail")
    assert found == command(op, len(before) - 1) + b"".join(after) + b"tail"


def test_skipped_bytes_are_gone_and_the_parser_can_make_headers(stacks: Calculator) -> None:
    found = answer(stacks, b"xyz" + command(NO_OP) + stack(5), SKIP)
    assert found == command(NO_OP) + stack(5) + b"\x07" + command(NO_OP)[:2]


@pytest.mark.parametrize("cut", [0, 2, 3, 4])
def test_too_short_to_skip_or_to_look_ahead_is_an_error(stacks: Calculator, cut: int) -> None:
    """The three bytes are there or they are not; what is not taken passes as it is."""
    found = answer(stacks, b"xyz!"[:cut], SKIP)
    assert found == (b"xyz"[:cut] if cut < 3 else b"\x07\0\0" + b"xyz!"[3:cut])


def test_looking_ahead_further_than_64_bits(stacks: Calculator) -> None:
    ahead = bytes([0x40, 1, 2, 3, 4, 5, 6, 7, 0x0A, 9, 10, 11, 12, 13, 14, 15])
    [frame] = stacks.frames(ethernet(DST, SRC, WIDE, ahead))
    assert (frame[:6], frame[6:12]) == (ahead[:6], ahead[10:16])
    # 0x40 and 0x0a are where the select looks: the command is taken, with extra behind it
    assert frame[14:18] == command(EXTRA, 0, int.from_bytes(ahead[4:6]) ^ int.from_bytes(ahead[6:7] + b"\x40"))


def test_where_the_far_end_of_it_differs_the_other_way_is_taken(stacks: Calculator) -> None:
    ahead = bytes([0x40, 1, 2, 3, 4, 5, 6, 7, 0x0B, 9, 10, 11, 12, 13, 14, 15])
    [frame] = stacks.frames(ethernet(DST, SRC, WIDE, ahead))
    assert frame[14:] == ahead


@pytest.mark.parametrize("a", [9, 10])
def test_a_header_is_chosen_inside_an_action(stacks: Calculator, a: int) -> None:
    extra = bytes([a, 0x12, 0x34])
    total = int.from_bytes(bytes([a, 0x12])) ^ int.from_bytes(bytes([0x34, EXTRA]))
    chosen = extra if a > 9 else b"\x01\0\0"
    assert answer(stacks, command(EXTRA) + extra) == command(EXTRA, 0, total) + chosen + extra


def test_headers_that_are_not_there_are_left_out_of_a_checksum(stacks: Calculator) -> None:
    odd, extra = b"\x99", b"\x01\x22\x33"
    total = crc16(odd + extra[1:] + bytes([ODD]))
    assert answer(stacks, command(ODD) + odd + extra) == command(ODD, 0, total) + odd + extra


def test_in_an_internet_checksum_what_is_behind_them_moves_up(stacks: Calculator) -> None:
    total = csum16(bytes([CHECKED]))
    assert answer(stacks, command(CHECKED) + stack(5)) == command(CHECKED, 0, total) + stack(5)


def test_the_addresses_stay_where_nobody_writes_them(stacks: Calculator) -> None:
    [frame] = stacks.frames(ethernet(DST, SRC, LABELS, command(NO_OP) + stack(1)))
    assert frame[:12] == mac(DST) + mac(SRC)
