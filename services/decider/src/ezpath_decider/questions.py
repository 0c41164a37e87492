"""The shell around explaining: answers `ezpath.ask.why`, and keeps an account whenever a flow's answer changes.

A question waits for the end of the round that is next: then all columns are of one instant.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from ezpath.bus import Bus, BusError
from ezpath.events import encode
from ezpath.names import PairId, Tenant
from ezpath.saga import Saga

from ezpath_decider.changes import Changes
from ezpath_decider.engine import Engine, Round
from ezpath_decider.explain import Explainer
from ezpath_decider.lookup import UnknownFlow, find_flow
from ezpath_decider.paced import paced

WHY = "why"
WHY_DRY_RUN = "dryrun.why"


class Questions:
    """One for each decider. A dry run answers under a name of its own, and keeps nothing."""

    def __init__(self, bus: Bus, engine: Engine, leads: Callable[[Tenant], bool], dry_run: bool = False) -> None:
        """``leads``: whose flows are this decider's to tell of; of the others another one tells."""
        self._bus = bus
        self._engine = engine
        self._leads = leads
        self._dry_run = dry_run
        self._changes = Changes()
        self._waiting: dict[PairId, list[asyncio.Future[Mapping[str, Any]]]] = {}
        self._log = structlog.get_logger()

    async def start(self) -> None:
        await self._bus.answer(WHY_DRY_RUN if self._dry_run else WHY, self._on_why)

    @property
    def asked(self) -> list[PairId]:
        """Flows that somebody waits to hear about."""
        return list(self._waiting)

    async def after(
        self, decided: Round, strategy: str, sagas: Mapping[PairId, Saga], asked: Iterable[PairId] | None = None
    ) -> None:
        """A round is over: keep what changed, answer what was asked. ``asked``: only these questions, if given."""
        explainer = Explainer(self._engine, decided, strategy, sagas, self._dry_run)
        for pair in self.asked if asked is None else asked:
            futures = self._waiting.pop(pair, [])
            flow = self._engine.directory.pair_key(pair)
            answer = _unknown(f"{pair} has just gone from the inventory") if flow is None else _told(explainer, flow)
            for future in futures:
                if not future.done():
                    future.set_result(answer)
        changed = [] if self._dry_run else self._changes.changed(decided)
        # Samples may come in meanwhile: they move nothing that an account is made of before the next round does.
        explainer.prepare(changed)
        accounts = await paced(map(explainer.account, changed))
        try:
            for account in accounts:
                if self._leads(account.tenant):
                    await self._bus.publish(account)
        except BusError as error:
            self._log.warning("accounts not kept", reason=str(error))

    async def _on_why(self, question: Mapping[str, Any]) -> Mapping[str, Any] | None:
        try:
            flow = find_flow(str(question.get("flow", "")), self._engine.directory)
        except UnknownFlow as error:
            return _unknown(str(error), error.near)
        pair = self._engine.directory.pair_name(flow)
        if not (self._dry_run or self._leads(Tenant(pair.partition(".")[0]))):
            return None
        future: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(pair, []).append(future)
        return await future


def _told(explainer: Explainer, flow: int) -> Mapping[str, Any]:
    return {"account": json.loads(encode(explainer.account(flow)))}


def _unknown(why: str, near: Sequence[str] = ()) -> Mapping[str, Any]:
    return {"unknown": why, "near": near}
