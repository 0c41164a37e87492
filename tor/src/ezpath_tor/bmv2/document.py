"""The BMv2 JSON, with every access checked: what is missing or of the wrong kind is named by its place.

``pipelines[0].tables[3].key[0]: 'target' is missing`` says where a person has to look.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from ezpath_tor.plane import Malformed

MAX_NUMBER = (1 << 32) - 1
"""No size, id, width or index of a program is larger."""

MAX_DIGITS = 2048
"""Of a hexadecimal number: longer ones do not come out of a P4 program."""


class Element:
    """One value of the document, and the way to it."""

    __slots__ = ("_parent", "_step", "_value")

    def __init__(self, value: object, parent: Element | None = None, step: str | int = "") -> None:
        self._value = value
        self._parent = parent
        self._step = step

    @property
    def path(self) -> str:
        """Where it stands, as in ``pipelines[0].tables[3]``."""
        if self._parent is None:
            return ""
        above = self._parent.path
        if isinstance(self._step, int):
            return f"{above}[{self._step}]"
        return f"{above}.{self._step}" if above else self._step

    def malformed(self, problem: str) -> Malformed:
        """The error to raise where this element is not what it has to be."""
        return Malformed(f"{self.path or 'the document'}: {problem}")

    # ---- objects

    def __getitem__(self, name: str) -> Element:
        """A member that has to be there."""
        members = self._object()
        if name not in members:
            raise self.malformed(f"'{name}' is missing")
        return Element(members[name], self, name)

    def get(self, name: str) -> Element | None:
        """A member that may be missing, or null."""
        value = self._object().get(name)
        return None if value is None else Element(value, self, name)

    def each(self, name: str) -> list[Element]:
        """The elements of a member that may be missing."""
        member = self.get(name)
        return [] if member is None else member.elements

    @property
    def members(self) -> dict[str, Element]:
        return {name: Element(value, self, name) for name, value in self._object().items()}

    def _object(self) -> dict[str, object]:
        if not isinstance(self._value, dict):
            raise self._wrong("an object")
        return self._value

    # ---- arrays

    @property
    def elements(self) -> list[Element]:
        if not isinstance(self._value, list):
            raise self._wrong("an array")
        return [Element(value, self, index) for index, value in enumerate(self._value)]

    def __iter__(self) -> Iterator[Element]:
        return iter(self.elements)

    def exactly(self, count: int) -> list[Element]:
        """The elements of an array that has to have so many."""
        elements = self.elements
        if len(elements) != count:
            raise self.malformed(f"has {len(elements)} elements and not {count}")
        return elements

    # ---- plain values

    @property
    def is_null(self) -> bool:
        return self._value is None

    @property
    def is_object(self) -> bool:
        return isinstance(self._value, dict)

    @property
    def is_array(self) -> bool:
        return isinstance(self._value, list)

    @property
    def is_text(self) -> bool:
        return isinstance(self._value, str)

    @property
    def text(self) -> str:
        if not isinstance(self._value, str):
            raise self._wrong("a string")
        return self._value

    @property
    def words(self) -> set[str]:
        """All strings in it."""
        if self.is_object:
            return {word for member in self.members.values() for word in member.words}
        if self.is_array:
            return {word for member in self for word in member.words}
        return {self._value} if isinstance(self._value, str) else set()

    @property
    def flag(self) -> bool:
        """True or false; older compilers write 1 and 0."""
        if self._value not in (True, False):
            raise self._wrong("true or false")
        return bool(self._value)

    @property
    def number(self) -> int:
        """A size, id, width or index: a whole number, not negative."""
        if not isinstance(self._value, int) or isinstance(self._value, bool):
            raise self._wrong("a number")
        if not 0 <= self._value <= MAX_NUMBER:
            raise self.malformed(f"{self._value} is not in 0..{MAX_NUMBER}")
        return self._value

    @property
    def hexadecimal(self) -> int:
        """A number of any size, written as a string."""
        text = self.text
        try:
            if len(text) > MAX_DIGITS:
                raise ValueError
            return int(text, 16)
        except ValueError:
            raise self.malformed(f"{_short(text)} is no hexadecimal number") from None

    def one_of(self, known: Callable[[str], bool], kind: str) -> str:
        """A name that has to be one of the program's."""
        if not known(self.text):
            raise self.malformed(f"the program has no {kind} {_short(self.text)}")
        return self.text

    def _wrong(self, wanted: str) -> Malformed:
        return self.malformed(f"{_short(self._value)} is not {wanted}")


def parse(config: bytes) -> Element:
    """The document. Raises :class:`Malformed` where it is no JSON object."""
    try:
        value = json.loads(config)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"it is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Malformed("it is JSON, but no object")
    return Element(value)


def unique(elements: list[Element], member: str) -> list[Element]:
    """The same elements, none with the name or id of another."""
    seen: set[object] = set()
    for element in elements:
        value = element[member]
        key = value.text if value.is_text else value.number
        if key in seen:
            raise value.malformed(f"{_short(key)} is there twice")
        seen.add(key)
    return elements


def _short(value: object) -> str:
    try:
        text = json.dumps(value)
    except RecursionError:
        return "this"
    return text if len(text) <= 60 else f"{text[:57]}..."
