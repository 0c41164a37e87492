"""Where in the P4 program an element of the JSON comes from.

p4c notes a line for statements, tables and conditions, and none for header types and what is in parsers. There, the
line that first uses the thing has to do, and where no line does, its place in the JSON.
"""

from __future__ import annotations

from functools import cached_property

from ezpath_tor.bmv2.document import Element
from ezpath_tor.bmv2.language import Source


class Places:
    """The P4 lines of one document."""

    def __init__(self, document: Element) -> None:
        self._document = document
        program = document.get("program")
        self.program = program.text if program is not None else ""

    def of(self, element: Element, otherwise: Source | None = None, *, uses_of: str = "", name: str = "") -> Source:
        """The element's P4 line, else ``otherwise`` where it has one, else the first line that mentions ``uses_of``,
        else the program with the element's place in the JSON, and its ``name``."""
        noted = _noted(element)
        if noted is not None:
            return noted
        if otherwise is not None and otherwise.line:
            return otherwise
        for mentioned, line in self._mentions.items():
            if uses_of and (mentioned == uses_of or mentioned.startswith((f"{uses_of}.", f"{uses_of}["))):
                return line
        return Source(f"{self.program}, {name + ', ' if name else ''}{element.path} of the JSON".removeprefix(", "))

    @cached_property
    def _mentions(self) -> dict[str, Source]:
        """The first line that has each name."""
        found: dict[str, Source] = {}
        for section in ("actions", "pipelines", "checksums", "calculations"):
            for element in self._document.each(section):
                _collect(element, None, found)
        return found


def _noted(element: Element) -> Source | None:
    info = element.get("source_info")
    if info is None:
        return None
    fragment = info.get("source_fragment")
    return Source(info["filename"].text, info["line"].number, fragment.text if fragment is not None else "")


def _collect(element: Element, enclosing: Source | None, found: dict[str, Source]) -> None:
    """Every string below ``element``, with the line of the innermost element around it that has one."""
    if element.is_object:
        here = _noted(element) or enclosing
        for name, member in element.members.items():
            if name != "source_info":
                _collect(member, here, found)
    elif element.is_array:
        for member in element:
            _collect(member, enclosing, found)
    elif element.is_text and enclosing is not None:
        found.setdefault(element.text, enclosing)
