"""The sagas that other deciders keep, as their records say: for the one that decides about all flows.

Adapter. Where tenants are divided into shards and flows are shared, one decides, and has to know where all flows are.
"""

from __future__ import annotations

import structlog
from ezpath.bus import Bus
from ezpath.events import SAGA_BUCKET
from ezpath.inventory import Inventory
from ezpath.names import PairId
from ezpath.saga import Saga, saga_from_json


class OtherSagas:
    """``sagas`` follows the records. (Of those that this decider keeps itself, it knows more.)"""

    def __init__(self, bus: Bus, inventory: Inventory) -> None:
        self._bus = bus
        self._inventory = inventory
        self.sagas: dict[PairId, Saga] = {}

    async def run(self) -> None:
        """Until cancelled."""
        log = structlog.get_logger()
        async for change in self._bus.kv_watch(SAGA_BUCKET):
            pair = PairId(change.key)
            if change.value is None:
                self.sagas.pop(pair, None)
                continue
            try:
                self.sagas[pair] = saga_from_json(change.value, self._inventory)
            except ValueError as error:
                log.warning("saga record not understood, left out", key=change.key, reason=str(error))
