"""Indented C text with the P4 line beside each statement."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ezpath_tor.bmv2.language import Source


class Writer:
    """Collects lines of C."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._depth = 0

    def line(self, text: str = "", source: Source | None = None) -> None:
        """One line; ``source`` goes behind it as a comment."""
        comment = f"  // {_one_line(str(source))}" if source and source.line else ""
        self.lines.append(f"{chr(9) * self._depth}{text}{comment}" if text else "")

    def comment(self, text: str, source: Source | None = None) -> None:
        """A comment of its own, the P4 text of ``source`` in it."""
        where = f"{source}: " if source and source.line else ""
        self.line(f"// {_one_line(where + text)}")

    def label(self, name: str) -> None:
        self.lines.append(f"{name}: ;")

    @contextmanager
    def block(self, head: str, source: Source | None = None, tail: str = "}") -> Iterator[None]:
        """``head {`` … ``}`` with what is written inside indented."""
        self.line(f"{head} {{".lstrip(), source)
        self._depth += 1
        yield
        self._depth -= 1
        self.line(tail)

    def open(self, text: str, source: Source | None = None, comment: str = "") -> None:
        """A line that starts a block, for blocks that no ``with`` can hold."""
        where = f"{source}: {comment}".rstrip(": ") if source and source.line else comment
        self.lines.append(f"{chr(9) * self._depth}{text}" + (f"  // {_one_line(where)}" if where else ""))
        self._depth += 1

    def close(self, text: str = "") -> None:
        """The end of what :meth:`open` started; without ``text``, the next line says so."""
        self._depth -= 1
        if text:
            self.line(text)

    def text(self) -> str:
        return "\n".join(self.lines) + "\n"


def quote(source: Source) -> str:
    """The P4 text at ``source``, on one line, safe inside a C comment."""
    return _one_line(source.fragment)


def _one_line(text: str) -> str:
    # A backslash at the end would pull the next line of C into the comment.
    return " ".join(text.split()).rstrip("\\").replace("*/", "* /")
