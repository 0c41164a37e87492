"""How full the stream is, and how far its readers are behind, as values. Pure; :mod:`ezpath.bus` fills them in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far a durable consumer is behind."""

    consumer: str
    waiting: int
    """Messages that nobody was given yet …"""
    unacknowledged: int
    """… and those that somebody was given and has not dealt with."""
    again: int
    """Of these, given more than once."""
    hungry: bool
    """Somebody asks for more."""


@dataclass(frozen=True, slots=True)
class StreamUse:
    """What the stream holds, and who is how far behind."""

    messages: int
    bytes: int
    max_bytes: int
    backlogs: tuple[Backlog, ...] = ()
