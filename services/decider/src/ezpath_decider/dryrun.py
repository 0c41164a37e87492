"""`--dry-run`: decides and publishes, and nothing is written: no saga, no desired state, no command, no account.

What it decides is taken as done at once: so it goes on as a decider would, from where the flows were when it began, and
may run beside one that is in charge.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import structlog
from ezpath.bus import Bus, BusError
from ezpath.events import SAGA_BUCKET, DryRunDecision
from ezpath.inventory import Inventory
from ezpath.names import PairId
from ezpath.saga import Saga, saga_from_json

from ezpath_decider.engine import Decision, Engine
from ezpath_decider.places import ON_SWITCH, OVERLAY


class Onlooker:
    """In the leader's place: knows the sagas as they were, and moves none."""

    def __init__(self, bus: Bus, inventory: Inventory, engine: Engine) -> None:
        self._bus = bus
        self._inventory = inventory
        self._engine = engine
        self._log = structlog.get_logger()
        self.sagas: Mapping[PairId, Saga] = {}

    async def start(self) -> None:
        """Read where the flows are."""
        sagas: dict[PairId, Saga] = {}
        for key, (value, _) in (await self._bus.kv_items(SAGA_BUCKET)).items():
            try:
                saga = saga_from_json(value, self._inventory)
            except ValueError as error:
                self._log.warning("saga record not understood, left out", key=key, reason=str(error))
                continue
            sagas[saga.pair] = saga
        self.sagas = sagas
        self._log.info("dry run: nothing is written", sagas=len(sagas))

    async def decided(self, decision: Decision, now: float) -> None:
        """Say it, and take it as done."""
        event = DryRunDecision(decision.pair, decision.tenant, decision.what, decision.reason, decision.rate_bps, now)
        try:
            await self._bus.publish(event)
        except BusError as error:
            self._log.warning("decision not published", pair=decision.pair, reason=str(error))
            return
        key = self._engine.directory.pair_key(decision.pair)
        if key is not None:
            state = ON_SWITCH if decision.what == "offload" else OVERLAY
            self._engine.places.enter(np.array([key], np.uint64), state, now, self._engine.series)
        self._log.info("decision of a dry run", pair=decision.pair, what=decision.what, reason=decision.reason)
