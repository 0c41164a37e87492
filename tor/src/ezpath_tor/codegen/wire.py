"""Header fields to and from bytes: which loads, stores and shifts move a field of any width at any bit offset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ezpath_tor.bmv2.language import Field, FieldRef, Header
from ezpath_tor.codegen.names import field_path


def load_bits(base: str, offset: int, width: int) -> str:
    """C that reads ``width`` (at most 64) bits, ``offset`` bits behind ``base``."""
    first, last = offset // 8, (offset + width - 1) // 8
    octets = last - first + 1
    if octets > 8:
        high = 64 - offset % 8
        low = width - high
        return f"({load_bits(base, offset, high)}) << {low} | {load_bits(base, offset + high, low)}"
    whole = f"{base}[{first}]" if octets == 1 else f"be{8 * octets}({base} + {first})"
    shift = 8 * (last + 1) - offset - width
    text = f"{whole} >> {shift}" if shift else whole
    if offset % 8 == 0:
        return text
    mask = f"{(1 << width) - 1:#x}" + ("ull" if width > 32 else "")
    return f"({text}) & {mask}" if shift else f"{text} & {mask}"


def load_field(base: str, offset: int, ref: FieldRef) -> Iterator[str]:
    """Statements that read one field, ``offset`` bits behind ``base``."""
    if ref.width <= 64:
        yield f"{field_path(ref)} = {load_bits(base, offset, ref.width)};"
        return
    for limb, lo in enumerate(range(0, ref.width, 64)):
        width = min(64, ref.width - lo)
        position = offset + ref.width - lo - width
        yield f"{field_path(ref)}[{limb}] = {load_bits(base, position, width)};"


@dataclass(frozen=True, slots=True)
class Piece:
    """Bits of a value that stay together: ``text`` has ``width`` bits and nothing above them."""

    text: str
    width: int


def pieces_of(field: Field, path: str) -> list[Piece]:
    """A field as pieces of at most 64 bits, the most significant first."""
    if field.width <= 64:
        return [Piece(path, field.width)]
    limbs = range((field.width + 63) // 64)
    return [Piece(f"{path}[{limb}]", min(64, field.width - 64 * limb)) for limb in reversed(limbs)]


def whole_octets(pieces: Sequence[Piece]) -> Iterator[tuple[int, int, str]]:
    """Neighbours joined until they fill whole bytes: (byte offset, bytes, C expression) each.

    The end is padded with zero bits.
    """
    offset = 0
    group: list[Piece] = []
    for piece in _cut([*pieces, Piece("0", -sum(piece.width for piece in pieces) % 8)]):
        group.append(piece)
        bits = sum(member.width for member in group)
        if bits % 8 == 0:
            yield offset // 8, bits // 8, joined(group)
            offset += bits
            group = []


def words(pieces: Sequence[Piece]) -> Iterator[str]:
    """Eight bytes each, as numbers; the last one has what is left over, in its low bits.

    The end is padded with zero bits to a whole byte.
    """
    group: list[Piece] = []
    for piece in [*pieces, Piece("0", -sum(piece.width for piece in pieces) % 8)]:
        room = 64 - sum(member.width for member in group)
        if piece.width < room:
            group.append(piece)
            continue
        rest = piece.width - room
        yield joined([*group, Piece(f"({piece.text} >> {rest})", room) if rest else piece])
        group = [Piece(f"({piece.text} & {(1 << rest) - 1:#x}ull)", rest)] if rest else []
    if any(piece.width for piece in group):
        yield joined(group)


def _cut(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The same bits, with a cut at a byte's end wherever more than 64 would come together."""
    pending = 0
    for piece in pieces:
        rest = piece
        if pending + rest.width > 64:
            head = 64 - pending
            rest = Piece(f"({piece.text} & {(1 << piece.width - head) - 1:#x}ull)", piece.width - head)
            yield Piece(f"({piece.text} >> {rest.width})", head)
            pending = 0
        if rest.width:
            yield rest
        pending = (pending + rest.width) if (pending + rest.width) % 8 else 0


def joined(group: Sequence[Piece]) -> str:
    """C for the pieces side by side, the most significant first."""
    below = sum(piece.width for piece in group)
    cast = "(u64)" if below > 31 and len(group) > 1 else ""
    parts = []
    for piece in group:
        below -= piece.width
        if piece.text != "0":
            parts.append(f"{cast}{piece.text} << {below}" if below else piece.text)
    return " | ".join(parts) or "0"


def store_octets(base: str, offset: int, octets: int, value: str) -> str:
    """A statement that writes ``octets`` bytes, the most significant first."""
    if octets == 1:
        return f"{base}[{offset}] = {value};"
    return f"put_be{8 * octets}({base} + {offset}, {value});"


def store_header(base: str, header: Header) -> Iterator[str]:
    """Statements that write a whole header at ``base``."""
    pieces = [
        piece
        for field in header.fields
        for piece in pieces_of(field, field_path(FieldRef(header.name, field.name, field.width)))
    ]
    for offset, octets, value in whole_octets(pieces):
        yield store_octets(base, offset, octets, value)
