"""What could not be understood, made into an event of its own. Pure."""

from __future__ import annotations

from ezpath.events import DeadLetter
from ezpath.malformed import brief

KEPT_BYTES = 4096


def dead_letter(service: str, subject: str, reason: str, payload: bytes, at: float) -> DeadLetter:
    """``at`` is Unix time, seconds. Of a long payload the first :data:`KEPT_BYTES` are kept."""
    kept = payload[:KEPT_BYTES]
    try:
        text = kept.decode()
    except UnicodeDecodeError:
        text = "hex:" + kept.hex()
    return DeadLetter(service, subject, brief(reason), text, len(payload), at)
