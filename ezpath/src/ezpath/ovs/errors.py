"""What Open vSwitch, or the lack of it, can do to us. Messages say what was asked, what came back, what to do."""

from __future__ import annotations


class OvsError(Exception):
    """Open vSwitch was asked for something and it did not come about."""


class OvsUnreachable(OvsError):
    """Nobody answers on a socket of Open vSwitch, or no longer. Worth trying again later."""


class OvsUntrusted(OvsUnreachable):
    """One of the two sides does not take the other's certificate. The message says what to do about it."""


class OvsRefused(OvsError):
    """Open vSwitch answered no; the message has its own words."""


class OvsFenced(Exception):
    """The bridge refused a change: a writer of a later ``term`` has it. Nothing to try again, so not an OvsError."""

    def __init__(self, message: str, term: int) -> None:
        self.term = term
        super().__init__(message)


class OvsMisfit(OvsError):
    """What the inventory says of a host and what its Open vSwitch has do not fit together."""
