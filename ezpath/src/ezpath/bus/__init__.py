"""The one way to NATS: publish and consume the events of :mod:`ezpath.events`, and keep state by compare-and-set.

    async with await Bus.connect("nats://127.0.0.1:4222", "decider") as bus:
        await bus.publish(event)
        await bus.publish_all(Saying(event) for event in events)   # share messages, wait for no answer in between
        revision = await bus.kv_put_cas(SAGA_BUCKET, key, value, revision)
        await bus.consume("decider-reports", "ezpath.report.>", StepReport, handle)   # runs until cancelled

It waits for NATS, goes on when NATS comes back, and puts what cannot be parsed on the dead-letter subject.
Adapter: everything that knows nats-py is in this package.
"""

from ezpath.bus import websocket as _before_nats  # noqa: F401

# isort: split
from ezpath.bus.access import Access
from ezpath.bus.batch import Saying
from ezpath.bus.bus import Bus
from ezpath.bus.consumer import Delivery
from ezpath.bus.errors import BusError, Conflict, Refused, Unavailable
from ezpath.bus.kv import FENCE, KvChange, KvWrite

__all__ = [
    "FENCE",
    "Access",
    "Bus",
    "BusError",
    "Conflict",
    "Delivery",
    "KvChange",
    "KvWrite",
    "Refused",
    "Saying",
    "Unavailable",
]
