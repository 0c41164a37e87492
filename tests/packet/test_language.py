"""The supported subset of P4, on the wire: each construct against numbers computed in Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from ezpath_tor.plane import ActionCall, Lpm, PlaneError
from packet.calculator import DST, ETHER_TYPE, SIZE, SRC, Calculator, Numbers, calculator, with_checksum
from packet.frames import ethernet, mac
from packet.hashes import crc16, crc32, csum16, identity, packed
from packet.wire import Wires

pytestmark = pytest.mark.root

ADD, MULTIPLY, SHIFT, LOGIC, SLICES, SATURATE, COMPARE, HASHES, COPIES, GHOSTS, REGISTERS, ERRORS, STOP = range(1, 14)
PREFIXES, DROP_IN_INGRESS, DROP_IN_EGRESS, REFUSED = 0x20, 0x66, 0x67, 0xEE
M16, M32, M48, M64, M128 = ((1 << bits) - 1 for bits in (16, 32, 48, 64, 128))


@pytest.fixture(scope="module")
def calc(needs: Callable[..., None]) -> Iterator[Calculator]:
    needs("ip", "clang", "sysctl", root=True)
    ports = {1: "ezt-calc-1", 2: "ezt-calc-2"}
    with Wires(ports, name="calc") as wires, calculator(wires, ports) as running:
        yield running


def interesting(op: int) -> list[Numbers]:
    """All zero, all ones, and a few from a seed."""
    ones = Numbers(op, 0xFF, M16, M32, M48, M64, M128, 0xF, 0x7F, 0x1F)
    some = random.Random(op)
    return [
        Numbers(op),
        ones,
        *(
            Numbers(
                *(op, some.getrandbits(8), some.getrandbits(16), some.getrandbits(32), some.getrandbits(48)),
                *(some.getrandbits(64), some.getrandbits(128)),
                *(some.getrandbits(4), some.getrandbits(7), some.getrandbits(5)),
            )
            for _ in range(6)
        ),
    ]


@pytest.mark.parametrize("n", interesting(ADD))
def test_sums_wrap_at_each_width(calc: Calculator, n: Numbers) -> None:
    b = (n.b - 0x8001) & M16
    c = (n.c + b) & M32
    d = (n.d - c) & M48
    calc.expect(
        n,
        **{"a": (n.a + 200) & 0xFF, "b": b, "c": c, "d": d, "e": (n.e + d) & M64},
        **{"n7": (n.n7 + 1) & 0x7F, "n5": (n.n5 + 1) & 0x1F, "n4": 1},
    )


@pytest.mark.parametrize("n", interesting(MULTIPLY))
def test_products_wrap_at_each_width(calc: Calculator, n: Numbers) -> None:
    e = (n.e * n.e & M64) >> 3
    calc.expect(n, b=n.b * n.b & M16, c=n.c * 7 & M32, e=e, d=n.d * n.a & M48)


@pytest.mark.parametrize("amount", [0, 1, 31, 32, 63, 64, 200])
def test_shifts_by_constants_and_by_fields(calc: Calculator, amount: int) -> None:
    for n in interesting(SHIFT):
        n = replace(n, a=amount)
        rotated = (n.w << 9 | n.w >> 119) & M128
        calc.expect(n, b=n.b >> 3, c=n.c << amount & M32, e=n.e >> amount, w=rotated)


@pytest.mark.parametrize("n", interesting(LOGIC))
def test_bitwise_operators_on_narrow_and_wide_fields(calc: Calculator, n: Numbers) -> None:
    c, e = n.c ^ M32, n.e ^ 0xFF00FF00FF00FF00
    calc.expect(n, c=c, e=e, w=(n.w ^ M128) & (c << 96 | c << 64 | e), n4=n.n4 ^ 0xF)


@pytest.mark.parametrize("n", interesting(SLICES))
def test_slices_of_a_wide_field_are_read_and_written(calc: Calculator, n: Numbers) -> None:
    c = n.w >> 64 & M32
    w = n.w & ~(M64 << 16) | n.e << 16
    calc.expect(n, b=n.w >> 85 & M16, c=c, a=n.w >> 120, w=w, n7=c >> 25)


@pytest.mark.parametrize(
    "n", [*interesting(SATURATE), Numbers(SATURATE, 201, 0xFEFF, 101), Numbers(SATURATE, 200, 0xFF00, 100)]
)
def test_saturating_arithmetic_stops_at_the_ends(calc: Calculator, n: Numbers) -> None:
    calc.expect(n, b=min(n.b + 0x100, M16), c=max(n.c - 100, 0), a=max(n.a - 200, 0))


HALF = 1 << 127


@pytest.mark.parametrize(
    "n",
    [
        *interesting(COMPARE),
        Numbers(COMPARE, w=HALF),
        Numbers(COMPARE, w=HALF + 1),
        Numbers(COMPARE, w=HALF - 1),
        Numbers(COMPARE, w=77, e=77, b=5, c=5, d=5),
        Numbers(COMPARE, w=77 | 1 << 64, e=77, b=5, c=6, d=6 | 1 << 32),
    ],
)
def test_comparisons(calc: Calculator, n: Numbers) -> None:
    a = (
        *(1 if n.w > HALF else 0, 2 if n.w == n.e else 0, 4 if n.c <= n.b else 0),
        *(8 if n.d != n.c else 0, 16 if n.e >= 0xFFFFFFFF00000000 else 0),
    )
    calc.expect(n, a=sum(a), n4=2)


@pytest.mark.parametrize("n", interesting(HASHES))
def test_hashes_equal_bmv2s_also_where_the_input_is_no_whole_bytes(calc: Calculator, n: Numbers) -> None:
    c = (5 + crc32(packed((n.n4, 4), (n.n7, 7), (n.w, 128), (n.a, 8)))) & M32
    b = crc16(packed((n.n7, 7), (n.e, 64))) % 1000
    d = 7 + identity(packed((n.a, 8), (n.n4, 4), (n.n7, 7)))
    calc.expect(n, c=c, b=b, d=d, e=0)


def test_the_tests_own_hashes_give_the_published_check_values() -> None:
    assert crc32(b"123456789") == 0xCBF43926
    assert crc16(b"123456789") == 0xBB3D
    assert csum16(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


def test_a_copied_header_is_emitted_and_counted_into_the_length(calc: Calculator) -> None:
    n = Numbers(COPIES, a=3, b=4, c=5, w=6 << 64 | 7, n5=1)

    [out] = calc.frames(ethernet(DST, SRC, ETHER_TYPE, n.pack() + b"payload"))

    assert Numbers.unpack(out[14:]) == replace(n, op=0xCC)
    length = 14 + 2 * SIZE + 7
    assert Numbers.unpack(out[14 + SIZE :]) == replace(n, w=7 << 64, n5=3, c=length, a=2)
    assert out[14 + 2 * SIZE :] == b"payload"


def test_a_header_taken_away_and_put_back_is_zero(calc: Calculator) -> None:
    assert calc.ask(Numbers(GHOSTS, 1, 2, 3, 4, 5, 6, 7, 8, 9)) == Numbers(0x77, n5=2)


def test_registers_of_all_widths_and_counters(calc: Calculator) -> None:
    for name, size in (("narrow", 8), ("full", 4), ("odd", 3)):
        for index in range(size):
            calc.plane.write_register(f"Calc.{name}", index, 0)
    calc.plane.write_register("Calc.full", 3, M64)
    calc.plane.write_register("Calc.odd", 2, (1 << 100) - 1)

    first = calc.ask(Numbers(REGISTERS, a=2, b=0xFFFF))
    second = calc.ask(Numbers(REGISTERS, a=2, b=3))

    assert (first.b, first.e) == (0, M64)
    assert (second.b, second.e) == (0xFFFF, 0)
    assert calc.plane.read_register("Calc.narrow").shape == (8, 2)
    assert bytes(calc.plane.read_register("Calc.narrow")[2]) == (2).to_bytes(2, "big")
    assert bytes(calc.plane.read_register("Calc.full")[3]) == (1).to_bytes(8, "big")
    assert calc.plane.read_register("Calc.odd").shape == (3, 13)
    odd = ((1 << 100) - 1) << 16 | 0x0202
    assert bytes(calc.plane.read_register("Calc.odd")[2]) == (odd & ((1 << 100) - 1)).to_bytes(13, "big")
    assert calc.plane.read_counter("Calc.seen").tolist()[2] == [2, 2 * (14 + SIZE + 1)]


def test_outside_a_register_reads_are_zero_and_writes_nothing(calc: Calculator) -> None:
    before = calc.plane.read_register("Calc.narrow")

    answer = calc.ask(Numbers(REGISTERS, a=8, b=5))

    assert answer.b == 0
    assert np.array_equal(calc.plane.read_register("Calc.narrow"), before)


def test_the_switch_says_length_and_port(calc: Calculator) -> None:
    calc.expect(Numbers(ERRORS), c=14 + SIZE + 1, a=1)


def test_exit_ends_ingress_and_nothing_else(calc: Calculator) -> None:
    calc.expect(Numbers(STOP, a=9, n5=4), a=1, n5=4)


def test_mark_to_drop_and_return_in_ingress_and_in_egress(calc: Calculator) -> None:
    for op in (DROP_IN_INGRESS, DROP_IN_EGRESS):
        assert calc.frames(ethernet(DST, SRC, ETHER_TYPE, Numbers(op).pack())) == []


def test_a_const_default_cannot_be_changed(calc: Calculator) -> None:
    with pytest.raises(PlaneError, match=r"default action of table Calc\.alu is constant"):
        calc.plane.set_default("Calc.alu", ActionCall("Calc.nothing"))


PREFIX = 0x20010DB8 << 96


def test_prefixes_of_128_bits_beside_exact_fields(calc: Calculator) -> None:
    entries = {
        (Lpm(PREFIX, 32), PREFIXES, 5): 1,
        (Lpm(PREFIX | 7 << 64, 64), PREFIXES, 5): 2,
        (Lpm(PREFIX | 7 << 64, 64), PREFIXES, 6): 3,
        (Lpm(PREFIX | 7 << 64 | 9, 128), PREFIXES, 5): 4,
        (Lpm(0, 0), PREFIXES, 31): 5,
    }
    for key, value in entries.items():
        calc.plane.insert("Calc.prefixes", key, ActionCall("Calc.label", (value,)))
    try:
        for w, n5, label in (
            (PREFIX | 1, 5, 1),
            (PREFIX | 7 << 64 | 8, 5, 2),
            (PREFIX | 7 << 64 | 9, 5, 4),
            (PREFIX | 7 << 64 | 9, 6, 3),
            (PREFIX | 1, 6, 0),
            (PREFIX ^ 1 << 127, 5, 0),
            (M128, 31, 5),
        ):
            calc.expect(Numbers(PREFIXES, w=w, n5=n5), n7=label)
    finally:
        for key in entries:
            calc.plane.delete("Calc.prefixes", key)
    calc.expect(Numbers(PREFIXES, w=PREFIX, n5=5), n7=0)


def test_an_action_parameter_of_128_bits(calc: Calculator) -> None:
    calc.plane.set_default("Calc.prefixes", ActionCall("Calc.wide_label", (M128 - 5,)))
    calc.expect(Numbers(PREFIXES, w=1), w=M128 - 5)
    calc.plane.set_default("Calc.prefixes", None)
    calc.expect(Numbers(PREFIXES, w=1))


def test_exact_keys_of_128_bits_and_validity(calc: Calculator) -> None:
    key = (PREFIX | 42, 1)
    calc.plane.insert("Calc.wide_exact", key, ActionCall("Calc.label", (77,)))
    try:
        calc.expect(Numbers(0x50, w=PREFIX | 42), n7=77)
        calc.expect(Numbers(0x50, w=PREFIX | 43), n7=9, c=0xD0D0)
        calc.plane.modify("Calc.wide_exact", key, ActionCall("Calc.nothing"))
        calc.expect(Numbers(0x50, w=PREFIX | 42))
    finally:
        calc.plane.delete("Calc.wide_exact", key)


def test_the_parser_looks_ahead_and_masks(calc: Calculator) -> None:
    extra = b"\xaa" + bytes(4)
    frame = ethernet(DST, SRC, 0x123F, Numbers(0x50, n4=9).pack() + extra)
    [out] = calc.frames(frame)
    expected = replace(Numbers(0x50, n4=9), n7=9, c=0xD0D0, n5=2).pack() + b"\xaa" + (0xAA).to_bytes(4, "big")
    assert out == with_checksum(frame[:14] + expected, 0xAA)


@pytest.mark.parametrize("n4, taken", [(3, True), (4, False)])
def test_two_select_keys_of_which_one_is_masked_out(calc: Calculator, n4: int, taken: bool) -> None:
    frame = ethernet(DST, SRC, ETHER_TYPE, Numbers(0x50, n4=n4).pack() + b"\xbb" + bytes(4))
    [out] = calc.frames(frame)
    assert (out[-4:] == (0xBB).to_bytes(4, "big")) is taken


def test_a_state_reached_at_two_offsets(calc: Calculator) -> None:
    frame = ethernet(DST, SRC, 0x5678, b"\x01\xcc\x00\x00\x00tail")
    [out] = calc.frames(frame)
    assert out == with_checksum(ethernet(DST, SRC, 0, b"\x01" + (1).to_bytes(4, "big") + b"tail"), 1)


def test_verify_leaves_the_parser_with_its_error(calc: Calculator) -> None:
    [out] = calc.frames(ethernet(DST, SRC, ETHER_TYPE, Numbers(REFUSED).pack() + b"\xaa" + bytes(4)))
    assert out[6:12] == mac("00:00:00:00:00:02")
    assert out[-5:] == b"\xaa" + bytes(4), "what was not parsed passes as it is"


@pytest.mark.parametrize("cut", [0, 1, SIZE - 1])
def test_a_frame_too_short_goes_on_with_the_error_and_without_the_header(calc: Calculator, cut: int) -> None:
    rest = Numbers(1, 2, 3).pack()[:cut]
    [out] = calc.frames(ethernet(DST, SRC, ETHER_TYPE, rest))
    assert out == ethernet(DST, "00:00:00:00:00:01", 0xE000, rest)


def test_lookahead_beyond_the_end_is_an_error_as_well(calc: Calculator) -> None:
    [out] = calc.frames(ethernet(DST, SRC, ETHER_TYPE, Numbers(1).pack()))
    assert out[14:15] == b"\x01"
    [short] = calc.frames(ethernet(DST, SRC, 0x5678, b"\xcc"))
    assert short[6:12] == mac("00:00:00:00:00:01")
