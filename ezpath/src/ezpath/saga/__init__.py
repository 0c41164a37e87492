"""The saga: how one pair of endpoints moves from the hosts to the switches and back, losing nothing.

Pure. ``step`` is the whole of it: ``(world, input, now) -> (world, effects)``, by the one table in ``phases.py``. No
sockets, no clock, no randomness, so that every interleaving can be tried (``tests/model``). The decider service carries
out the effects, in their order.
"""

from ezpath.saga.effects import Effect, Effects, Keep, Want
from ezpath.saga.machine import Admit, InventoryChanged, SagaInput, Tick, desired, resume, step
from ezpath.saga.model import Saga, Settings, World, rested_anew, world_of
from ezpath.saga.phases import Phase
from ezpath.saga.records import saga_from_json, saga_to_json

__all__ = [
    "Admit",
    "Effect",
    "Effects",
    "InventoryChanged",
    "Keep",
    "Phase",
    "Saga",
    "SagaInput",
    "Settings",
    "Tick",
    "Want",
    "World",
    "desired",
    "rested_anew",
    "resume",
    "saga_from_json",
    "saga_to_json",
    "step",
    "world_of",
]
