"""Messages larger than NATS takes: cut by the sender, put together by the receiver. Core NATS; nothing is kept. Pure.

What loses a piece is lost whole, when the sender's next one begins.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator

from ezpath.malformed import MalformedEvent

_HEAD = struct.Struct("<16sIII")
"""The sender's mark, the message's number, the piece's, and how many there are."""
MOST_PIECES = 4096
MOST_SENDERS = 256


class Cutter:
    """One sender's."""

    def __init__(self) -> None:
        self._mark = uuid.uuid4().bytes
        self._number = 0

    def cut(self, data: bytes, most: int) -> Iterator[bytes]:
        """Pieces of at most ``most`` bytes."""
        size = most - _HEAD.size
        pieces = max(1, -(-len(data) // size))
        if pieces > MOST_PIECES:
            raise ValueError(f"{len(data)} bytes are more than {MOST_PIECES} messages. Raise max_payload in NATS")
        self._number = (self._number + 1) & 0xFFFFFFFF
        for piece in range(pieces):
            yield _HEAD.pack(self._mark, self._number, piece, pieces) + data[piece * size : (piece + 1) * size]


class Joiner:
    """One receiver's, of any number of senders."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, tuple[int, dict[int, bytes]]] = {}

    def add(self, message: bytes) -> bytes | None:
        """What this piece completes, or None. Raises :class:`MalformedEvent`."""
        if len(message) < _HEAD.size:
            raise MalformedEvent(f"{len(message)} bytes are no piece of a message")
        mark, number, piece, pieces = _HEAD.unpack_from(message)
        if not 0 <= piece < pieces <= MOST_PIECES:
            raise MalformedEvent(f"piece {piece} of {pieces} is none")
        if pieces == 1:
            return message[_HEAD.size :]
        known = self._waiting.pop(mark, None)
        held = known[1] if known is not None and known[0] == number else {}
        held[piece] = message[_HEAD.size :]
        if len(held) < pieces:
            if len(self._waiting) >= MOST_SENDERS:
                self._waiting.pop(next(iter(self._waiting)))
            self._waiting[mark] = number, held
            return None
        return b"".join(held[each] for each in range(pieces))
