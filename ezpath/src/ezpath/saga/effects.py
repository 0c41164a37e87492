"""What comes out of a transition, in the order in which it is to be carried out.

First the records, then what targets ought to hold, then what is said. A crash at any point in between leaves records
that run ahead of what was said, never behind it: a decider that starts asks again for what the records say (I4, I5),
and a writer that starts puts back nothing that a saga no longer counts on (I1, I2).
"""

from __future__ import annotations

from dataclasses import dataclass

from ezpath.events import HostCommand, SagaOutcome, SagaStep, SwitchCommand
from ezpath.items import Item
from ezpath.saga.holds import Holds
from ezpath.saga.model import Saga
from ezpath.saga.plan import Target


@dataclass(frozen=True, slots=True)
class Keep:
    """Write the saga's record, by compare-and-set."""

    saga: Saga


@dataclass(frozen=True, slots=True)
class Want:
    """Write what ``target`` ought to hold, all of it, as of ``generation``."""

    target: Target
    generation: int
    holds: Holds
    """Of all sagas; what it says of ``target`` is worked out when the document is written, for most never are."""
    touched: frozenset[str] | None = None
    """The names of the items that came or went, and may have come back since. None: whatever it is, all of it."""

    @property
    def items(self) -> frozenset[Item]:
        return self.holds.items(self.target)

    def after(self, earlier: Want | None) -> Want:
        """The same, where ``earlier`` was not written."""
        if earlier is None or self.touched is None:
            return self
        touched = None if earlier.touched is None else self.touched | earlier.touched
        return Want(self.target, self.generation, self.holds, touched)


Command = SwitchCommand | HostCommand
Said = Command | SagaStep | SagaOutcome
Effect = Keep | Want | Said
Effects = tuple[Effect, ...]
