"""A pseudo terminal for programs that draw on the whole screen, and what stands on it as an emulator shows it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyte

LINES, COLUMNS = 40, 180


class Terminal:
    """Where a program runs that draws on the whole screen."""

    def __init__(self, process: asyncio.subprocess.Process, ours: int) -> None:
        self.process = process
        self._ours = ours
        self._screen = pyte.Screen(COLUMNS, LINES)
        self._stream = pyte.ByteStream(self._screen)
        asyncio.get_running_loop().add_reader(ours, self._read)

    def _read(self) -> None:
        try:
            self._stream.feed(os.read(self._ours, 65536))
        except OSError:  # the program has ended
            asyncio.get_running_loop().remove_reader(self._ours)

    @property
    def text(self) -> str:
        return "\n".join(self._screen.display)

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    async def until(self, true: Callable[[str], object], what: str) -> None:
        deadline = time.monotonic() + 90  # not a matter of time: a machine may have much else to do
        while not true(self.text):
            assert time.monotonic() < deadline, f"never: {what}; the screen:\n{self.text}"
            await asyncio.sleep(0.05)


@contextmanager
def pseudo_terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    try:
        yield ours, theirs
    finally:
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        os.close(theirs)
