"""Monitor cells from words, against cells that were cut into words by hand."""

from __future__ import annotations

import numpy as np
import pytest
from ezpath_collector.cells import CELL_BYTES
from ezpath_collector.words import KEY_BYTES, MAX_WORD_BYTES, Word, put_together, words_of
from hypothesis import given
from hypothesis import strategies as st

STAGE = "EzIngress.monitor.stage1"
WIDTHS = (32, 48, 48, 32, 48, 48)
"""In bits; together a cell."""


def registers(*widths: int) -> dict[str, int]:
    return {f"{STAGE}_{letter}": width for letter, width in zip("abcdefghijklmnopqrstuvwxyz", widths, strict=False)}


def cut(cells: np.ndarray, words: tuple[Word, ...]) -> dict[str, np.ndarray]:
    """What a switch that keeps ``cells`` in words serves."""
    return {
        word.name: np.array([int.from_bytes(cell[word.first : word.first + word.width], "big") for cell in cells])
        for word in words
    }


def keys(columns: dict[str, np.ndarray], words: tuple[Word, ...]) -> dict[str, np.ndarray]:
    return {word.name: columns[word.name].copy() for word in words if word.of_key}


def random_cells(count: int = 5) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, CELL_BYTES), dtype=np.uint8)


@st.composite
def splits(draw: st.DrawFn) -> list[int]:
    """Ways to cut a cell into words that can be served."""
    left, widths = CELL_BYTES, []
    while left:
        widths.append(draw(st.integers(min(left, 2), min(left, MAX_WORD_BYTES))))
        left -= widths[-1]
    return [8 * width for width in widths]


@given(splits())
def test_a_cell_is_the_same_however_it_was_cut(widths):
    words = words_of(STAGE, registers(*widths))
    cells = random_cells()
    columns = cut(cells, words)
    assert np.array_equal(put_together(words, columns, keys(columns, words)), cells)


def test_a_word_with_its_highest_bit_set_is_no_negative_number():
    words = words_of(STAGE, registers(*WIDTHS))
    cells = np.full((3, CELL_BYTES), 0xFF, np.uint8)
    columns = cut(cells, words)
    assert np.array_equal(put_together(words, columns, keys(columns, words)), cells)


def test_words_that_hold_any_of_the_key_are_of_it():
    # 16 bytes of key, cut so that the third word has 4 bytes of it and 3 of the counters
    words = words_of(STAGE, registers(48, 48, 56, 56, 48))
    assert KEY_BYTES == 16
    assert [word.of_key for word in words] == [True, True, True, False, False]


@pytest.mark.parametrize("word", ["a", "b", "c"])
def test_a_cell_whose_key_changed_meanwhile_is_left_out_and_its_neighbours_are_not(word):
    # Given cells of which one gets a new owner while the counters are read
    words = words_of(STAGE, registers(*WIDTHS))
    cells = random_cells()
    columns = cut(cells, words)
    again = keys(columns, words)
    again[f"{STAGE}_{word}"][2] ^= 1
    # When they are put together
    found = put_together(words, columns, again)
    # Then that one is as if nobody used it, and the others are as they are
    assert not found[2].any()
    assert np.array_equal(np.delete(found, 2, 0), np.delete(cells, 2, 0))


@pytest.mark.parametrize(
    ("widths", "told"),
    [
        ((), "there is no register EzIngress.monitor.stage1_a, where a cell has 256"),
        (WIDTHS[:-1], "there are 208 bits up to EzIngress.monitor.stage1_e, where a cell has 256"),
        ((*WIDTHS, 8), "there are 264 bits up to EzIngress.monitor.stage1_g"),
        ((64, 64, 64, 64), "register EzIngress.monitor.stage1_a has cells of 64 bits"),
        ((32, 48, 47), "register EzIngress.monitor.stage1_c has cells of 47 bits"),
        ((0,), "register EzIngress.monitor.stage1_a has cells of 0 bits"),
    ],
)
def test_a_program_that_was_not_built_for_it_is_refused_by_name(widths, told):
    with pytest.raises(ValueError, match="Is it the program built for BMv2") as refused:
        words_of(STAGE, registers(*widths))
    assert told in str(refused.value)


def test_a_gap_between_the_letters_is_the_end():
    with_gap = registers(*WIDTHS)
    del with_gap[f"{STAGE}_c"]
    with pytest.raises(ValueError, match=r"80 bits up to .*stage1_b"):
        words_of(STAGE, with_gap)


def test_words_of_unequal_length_are_refused():
    words = words_of(STAGE, registers(*WIDTHS))
    columns = cut(random_cells(), words)
    columns[f"{STAGE}_e"] = columns[f"{STAGE}_e"][:-1]
    with pytest.raises(ValueError, match=r"stage1_e has 4 cells, where .*stage1_a has 5"):
        put_together(words, columns, keys(columns, words))


def test_the_program_built_for_bmv2_has_words_and_the_other_has_not(request):
    from ezpath_collector.source import STAGES

    from p4rt import P4Info

    for program, fits in (("ezpath.bmv2", True), ("ezpath", False)):
        info = P4Info.load(request.config.rootpath / "p4" / f"{program}.p4info.txtpb")
        widths = {register.name: register.width for register in info.registers.by_id.values()}
        for stage in STAGES:
            if fits:
                assert sum(word.width for word in words_of(stage, widths)) == CELL_BYTES
            else:
                with pytest.raises(ValueError, match="there is no register"):
                    words_of(stage, widths)
