"""Monitor cells from words: how a switch that serves no more than 63 bits at a time keeps a 256-bit cell. Pure.

The program built for BMv2 keeps stage ``X`` in several registers, ``X_a``, ``X_b``, ..., the highest bits first. They
are read one after the other while packets go on, so the key is read before and after the counters: where it changed,
the counters may be another flow's, and the cell is left out until the next poll.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase

import numpy as np
import numpy.typing as npt

from ezpath_collector.cells import CELL_BYTES, RawCells

KEY_BYTES = 16
"""The first bytes of a cell are its key (:mod:`ezpath_collector.cells`)."""
MAX_WORD_BYTES = 7
"""Signed 64-bit integers carry 63 bits."""

WordColumn = npt.NDArray[np.int64]
"""One word of all cells."""


@dataclass(frozen=True, slots=True)
class Word:
    """A register that holds ``width`` bytes of each cell, from byte ``first`` on."""

    name: str
    first: int
    width: int

    @property
    def of_key(self) -> bool:
        return self.first < KEY_BYTES


def words_of(stage: str, widths: Mapping[str, int]) -> tuple[Word, ...]:
    """The words of ``stage``, from the names of a program's registers to their widths in bits.

    Raises ValueError where they do not make up a cell: the switch runs another program than one built for this.
    """
    words: list[Word] = []
    first = 0
    for letter in ascii_lowercase:
        name = f"{stage}_{letter}"
        if name not in widths:
            break
        width, rest = divmod(widths[name], 8)
        if rest or not 0 < width <= MAX_WORD_BYTES:
            raise ValueError(
                f"register {name} has cells of {widths[name]} bits, where whole bytes up to {8 * MAX_WORD_BYTES} bits "
                "can be read. Is it the program built for BMv2, of this version?"
            )
        words.append(Word(name, first, width))
        first += width
    if first != CELL_BYTES:
        last = f"there are {first * 8} bits up to {words[-1].name}" if words else f"there is no register {stage}_a"
        raise ValueError(
            f"{stage} cannot be read in words: {last}, where a cell has {CELL_BYTES * 8}. "
            "Is it the program built for BMv2?"
        )
    return tuple(words)


def put_together(words: Sequence[Word], columns: Mapping[str, WordColumn], again: Mapping[str, WordColumn]) -> RawCells:
    """The cells of one stage. ``again`` is what the key's words were when all ``columns`` had been read.

    A cell whose key changed in between is all zero, as one that nobody uses. Raises ValueError where the words of one
    stage are not equally many.
    """
    count = len(columns[words[0].name])
    for name, column in (*columns.items(), *again.items()):
        if len(column) != count:
            raise ValueError(f"{name} has {len(column)} cells, where {words[0].name} has {count}")
    cells = np.zeros((count, CELL_BYTES), np.uint8)
    changed = np.zeros(count, bool)
    for word in words:
        column = columns[word.name]
        octets = column.astype(">i8").view(np.uint8).reshape(count, 8)
        cells[:, word.first : word.first + word.width] = octets[:, 8 - word.width :]
        if word.of_key:
            changed |= column != again[word.name]
    cells[changed] = 0
    return cells
