"""The shell around an operator's word: watches pauses, pins and the policy in KV; answers what is asked about them.

What is there outlives the decider, and needs no restart of it. The rounds take it over between two of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import structlog
import yaml
from ezpath.bus import Bus, Unavailable
from ezpath.controls import (
    PAUSE_KEYS,
    PIN_KEYS,
    POLICY_KEY,
    Pause,
    Pin,
    PolicySet,
    pause_from_json,
    pin_from_json,
    policy_from_json,
)
from ezpath.events import CONTROL_BUCKET
from ezpath.inventory import Inventory, InventoryError

from ezpath_decider.engine import Engine
from ezpath_decider.lookup import near
from ezpath_decider.pins import Paused
from ezpath_decider.policy import ListsConfig, Policy
from ezpath_decider.policyfile import PolicyFile


class Controls:
    """``paused`` and ``policy`` are as the operator wants them now."""

    def __init__(
        self, bus: Bus, engine: Engine, file: PolicyFile, inventory: Inventory, leads: Callable[[], bool]
    ) -> None:
        """``leads``: whether it is for this decider to answer."""
        self._leads = leads
        self._bus = bus
        self._engine = engine
        self._file = file
        self.inventory = inventory
        """With which a policy is tried."""
        self._pauses: dict[str, Pause] = {}
        self._pins: dict[str, Pin] = {}
        self.policy: PolicySet | None = None
        self._log = structlog.get_logger()

    async def start(self) -> None:
        """Know what was said before the first round."""
        while True:
            try:
                items = await self._bus.kv_items(CONTROL_BUCKET)
                break
            except Unavailable as error:
                self._log.warning("waiting for NATS", reason=str(error))
                await asyncio.sleep(0.5)
        for key, (value, _) in items.items():
            self._learn(key, value)
        await self._bus.answer("pause", self._on_pause)
        await self._bus.answer("policy", self._on_policy)

    async def run(self) -> None:
        """Until cancelled."""
        async for change in self._bus.kv_watch(CONTROL_BUCKET):
            self._learn(change.key, change.value)

    @property
    def paused(self) -> Paused:
        pauses = self._pauses.values()
        return Paused(
            any(pause.scope == "everywhere" for pause in pauses),
            frozenset(pause.name for pause in pauses if pause.scope == "rack"),
            frozenset(pause.name for pause in pauses if pause.scope == "tenant"),
        )

    def with_pins(self, policy: Policy) -> Policy:
        """``policy``, its lists naming the pinned pairs as well. What its list ``deny`` names stays denied."""
        if not self._pins:
            return policy
        pins = sorted(self._pins.values(), key=lambda pin: pin.pair)
        sides = {side: tuple(pin.pair for pin in pins if pin.to == side) for side in ("switches", "hosts")}
        lists = policy.flows
        always, deny = (*lists.always, *sides["switches"]), (*lists.deny, *sides["hosts"])
        allow = (*lists.allow, *sides["switches"]) if lists.allow else ()
        return policy.model_copy(update={"flows": ListsConfig(always=always, allow=allow, deny=deny)})

    def _learn(self, key: str, value: bytes | None) -> None:
        try:
            if key == POLICY_KEY:
                self.policy = None if value is None else policy_from_json(value)
            elif key.startswith(PAUSE_KEYS) and value is None:
                if pause := self._pauses.pop(key, None):
                    self._log.info("resumed", where=str(pause))
            elif key.startswith(PAUSE_KEYS) and value is not None:
                pause = pause_from_json(value)
                if self._pauses.get(key) != pause:
                    self._pauses[key] = pause
                    self._log.info("paused", where=str(pause), reason=pause.reason)
            elif key.startswith(PIN_KEYS) and value is None:
                if self._pins.pop(key, None):
                    self._log.info("unpinned", pair=key.removeprefix(PIN_KEYS))
            elif key.startswith(PIN_KEYS) and value is not None:
                pin = pin_from_json(value)
                if self._pins.get(key) != pin:
                    self._pins[key] = pin
                    self._log.info("pinned", pair=pin.pair, to=pin.to, reason=pin.reason)
        except ValueError as error:
            self._log.error("operator's word not understood, the one before holds on", key=key, reason=str(error))

    async def _on_pause(self, question: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Whether there are such racks and tenants, and how many flows are meant."""
        if not self._leads():
            return None
        directory = self._engine.directory
        racks, tenants = _names(question.get("racks")), _names(question.get("tenants"))
        unknown = [
            {"kind": kind, "name": name, "near": near(name, known)}
            for kind, given, known in (("rack", racks, directory.racks), ("tenant", tenants, directory.tenants))
            for name in given
            if name not in known
        ]
        held, moved = self._engine.under(Paused(not (racks or tenants), frozenset(racks), frozenset(tenants)))
        return {"unknown": unknown, "flows": held, "moved": moved}

    async def _on_policy(self, question: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """What is in force; with ``text``: what is wrong with that one."""
        if not self._leads():
            return None
        if (text := question.get("text")) is None:
            policy = self._file.policy.model_dump(mode="json")
            return {
                "source": self._file.source,
                "since": self._file.since,
                "policy": yaml.safe_dump(policy, sort_keys=False),
            }
        try:
            self._file.trial(str(text), str(question.get("file", "policy")), self.inventory)
        except InventoryError as error:
            return {"problems": [str(problem) for problem in error.problems]}
        return {"problems": []}


def _names(given: object) -> list[str]:
    return [str(name) for name in given] if isinstance(given, list) else []
