"""The saga: how one pair of endpoints moves from the hosts to the switches and back, losing nothing.

Pure. ``machine.step`` is the whole of it: ``(world, input, now) -> (world, events to publish)``. No sockets, no
clock, no randomness, so that it can be run a million times in a test. The decider service keeps the world in KV and
carries the events.
"""

from ezpath.saga.machine import Tick, resume, step
from ezpath.saga.model import Saga, Settings, World
from ezpath.saga.phases import Phase
from ezpath.saga.plan import desired

__all__ = ["Phase", "Saga", "Settings", "Tick", "World", "desired", "resume", "step"]
