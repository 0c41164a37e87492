"""Why flows are where they are: one round's answer about a flow, with all that it was worked out from.

Pure. ``reasons.py`` has the strategy's own words; here they are put beside what outdoes a strategy (lists, pauses,
rest, silence) and beside the numbers an operator wants to see next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
from ezpath.accounts import Account, Course, Fill, Need, Standing, Traffic, Verdict, WhereName
from ezpath.names import PairId, Tenant
from ezpath.saga import Saga

from ezpath_decider.book import NONE, TABLES
from ezpath_decider.budgets import I64, UNLIMITED
from ezpath_decider.candidates import BITS
from ezpath_decider.columns import Indices
from ezpath_decider.engine import Engine, Round
from ezpath_decider.places import ARRIVING, LEAVING, ON_SWITCH, OVERLAY
from ezpath_decider.reasons import words
from ezpath_decider.series import HISTORY

WHERE: Mapping[int, WhereName] = {OVERLAY: "overlay", ARRIVING: "arriving", ON_SWITCH: "switch", LEAVING: "leaving"}
NEVER_SEEN = "no traffic of it was ever seen"
_DIGITS = 6


@dataclass(eq=False)
class Explainer:
    """Of one round, asked before the next one moves the engine. What several accounts need is worked out once."""

    engine: Engine
    decided: Round
    strategy: str
    """Its name."""
    sagas: Mapping[PairId, Saga]
    dry_run: bool = False
    _rows: dict[int, int] = field(default_factory=dict)
    _entries: dict[int, list[int]] = field(default_factory=dict)
    """Of flows that were prepared for."""

    def prepare(self, flows: Sequence[int] = ()) -> None:
        """Work out now what belongs to all flows: a sample that comes before the last account may add some.

        What the accounts of ``flows`` look up is looked up for all of them at once, which costs as much as for one.
        """
        asked = np.array(flows, np.uint64)
        self._rows |= zip(flows, self.engine.series.find(asked).tolist(), strict=True)
        self._entries |= zip(flows, self.engine.book.entries(asked).tolist(), strict=True)
        _ = self._scores, self._chosen_scores, self._held_by_tenant, self._held, self._moved_ones, self._moves

    def account(self, flow: int) -> Account:
        """Of the flow with this key."""
        if flow not in self._rows:
            self.prepare([flow])
        row = self._rows[flow]
        if not 0 <= row < len(self.decided.selection.chosen):
            return self._of_a_stranger(flow)
        return self._of_row(row)

    def _of_a_stranger(self, flow: int) -> Account:
        pair = self.engine.directory.pair_name(flow)
        needs = tuple(self._needs(flow))
        return Account(
            pair, _tenant(pair), self._now, "overlay", "stays", NEVER_SEEN, needs=needs, fills=tuple(self._fills(flow))
        )

    def _of_row(self, row: int) -> Account:
        candidates = self._candidates
        flow = int(candidates.flow[row])
        pair = candidates.directory.pair_name(flow)
        here_s = float(candidates.since_s[row])
        moved = self.engine.places.record(flow) if isfinite(here_s) else None
        return Account(
            pair=pair,
            tenant=_tenant(pair),
            at=self._now,
            where=WHERE[int(candidates.state[row])],
            verdict=self._verdict(row),
            reason=self._obstacle(row) or words(self.decided.selection, candidates, row),
            traffic=self._traffic(row),
            standing=self._standing(row),
            here_s=None if moved is None else round(here_s, 3),
            here_rounds=None if moved is None else max(0, int(self.engine.series.rows.rounds[row]) - moved.rounds),
            needs=tuple(self._needs(flow)),
            fills=tuple(self._fills(flow)),
            listed=tuple(
                name
                for name, listed in (("always", candidates.always), ("barred", candidates.rules.barred))
                if listed[row]
            ),
            paused=self.engine.pins.pauses_of(flow),
            failures=0 if moved is None else moved.failures,
            rests_s=round(float(candidates.rests_s[row]), 3),
            course=_course(self.sagas.get(pair)),
            dry_run=self.dry_run,
        )

    # ---- the parts --------------------------------------------------------

    @property
    def _candidates(self) -> Any:
        return self.decided.candidates

    @property
    def _now(self) -> float:
        return self.decided.candidates.now

    def _verdict(self, row: int) -> Verdict:
        if row in self._moves:
            return self._moves[row]
        return "waits" if self.decided.moves.waiting[row] else "stays"

    @cached_property
    def _moves(self) -> dict[int, Verdict]:
        moves = self.decided.moves
        offload: dict[int, Verdict] = dict.fromkeys(moves.offload.tolist(), "offload")
        return offload | dict.fromkeys(moves.revert.tolist(), "revert")

    def _obstacle(self, row: int) -> str:
        """What outdoes the strategy; empty where the strategy's word stands."""
        candidates, directory = self._candidates, self.engine.directory
        one, other = (int(end[row]) for end in candidates.ends)
        state = candidates.state[row]
        if self.decided.fault:
            return f"the strategy failed, everything stays where it is: {self.decided.fault}"
        if state in (ARRIVING, LEAVING):
            return "it is on its way, and that is carried through first"
        if pauses := self.engine.pins.pauses_of(int(candidates.flow[row])):
            return f"paused: {', '.join(pauses)}"
        if state == OVERLAY and directory.host[one] == directory.host[other]:
            return f"both endpoints are on host {directory.hosts[directory.host[one]]}: no tunnel, nothing to offload"
        if candidates.rules.barred[row]:
            return "the operator's lists keep it off the switches"
        if not self.engine.series.fresh[row]:
            if self.engine.series.gathered is not None:
                return "no fresh word of it, or whoever counts it has only just begun to: it stays where it is"
            switches = sorted({directory.switches[directory.switch[end]] for end in (one, other)})
            return f"no fresh word from {' and '.join(switches)}: it stays where it is"
        if candidates.rests_s[row] > 0:
            return f"rolled back lately: left alone for {candidates.rests_s[row]:.0f} s yet"
        return ""

    def _traffic(self, row: int) -> Traffic:
        candidates, rows = self._candidates, self.engine.series.rows
        known = min(int(rows.rounds[row]), HISTORY)
        history = self.engine.series.history(np.array([row]))[0, :known] * BITS
        return Traffic(
            bits_s=_digits(candidates.bits_s[row]),
            packets_s=_digits(candidates.packets_s[row]),
            bits_mean=_digits(candidates.bits_mean[row]),
            packets_mean=_digits(candidates.packets_mean[row]),
            burstiness=_digits(candidates.burstiness[row]),
            age_s=round(float(candidates.age_s[row]), 3),
            rounds=int(rows.rounds[row]),
            history=tuple(_digits(rate) for rate in history),
            fresh=bool(self.engine.series.fresh[row]),
        )

    def _standing(self, row: int) -> Standing:
        selection, candidates = self.decided.selection, self._candidates
        ranked = self._scores
        above = len(ranked) - int(np.searchsorted(ranked, selection.score[row], side="right"))
        return Standing(
            strategy=self.strategy,
            settings=settings_of(self.engine.strategy),
            score=_digits(selection.score[row]),
            rank=above + 1 if candidates.may[row] else None,
            candidates=len(ranked),
            chosen=len(self._chosen_scores),
            last_in=_digits(self._chosen_scores[0]) if len(self._chosen_scores) else None,
            importance=_digits(candidates.importance[row]),
        )

    @cached_property
    def _scores(self) -> Any:
        """Of all that may be on the switches, ascending."""
        return np.sort(self.decided.selection.score[self._candidates.may])

    @cached_property
    def _chosen_scores(self) -> Any:
        return np.sort(self.decided.selection.score[self.decided.selection.chosen])

    def _needs(self, flow: int) -> Iterator[Need]:
        directory, book = self.engine.directory, self.engine.book
        one, other = flow >> 32, flow & 0xFFFFFFFF
        entries = self._entries[flow]
        tags = (
            f"{directory.tenants[directory.tenant[end]]} on {directory.hosts[directory.host[end]]}"
            for end in (one, other)
        )
        labels = (directory.names[one], directory.names[other], *tags, directory.names[other], directory.names[one])
        users = self._users
        mine = int(flow in self._moved_ones)
        named = dict(zip(entries, labels, strict=True))
        named.pop(NONE, None)
        for entry, what in sorted(named.items(), key=lambda each: (book.switch[each[0]], book.table[each[0]], each[1])):
            sharers = int(users[entry]) - mine if entry < len(users) else 0
            yield Need(directory.switches[int(book.switch[entry])], TABLES[int(book.table[entry])], what, sharers)

    def _fills(self, flow: int) -> Iterator[Fill]:
        directory, budgets = self.engine.directory, self.decided.budgets
        tenant = int(directory.tenant[flow >> 32])
        for switch in sorted({int(directory.switch[end]) for end in (flow >> 32, flow & 0xFFFFFFFF)}):
            name = directory.switches[switch]
            for table, held in enumerate(self._held[switch]):
                yield Fill(name, TABLES[table], int(held), _limit(budgets.tables[switch, table]))
            yield Fill(name, "all tables", int(self._held[switch].sum()), _limit(budgets.switches[switch]))
            if (quota := _limit(budgets.tenants[tenant])) is not None:
                yield Fill(
                    name, f"tenant {directory.tenants[tenant]}", int(self._held_by_tenant[switch, tenant]), quota
                )

    @cached_property
    def _moved(self) -> Any:
        return self.engine.places.moved()

    @cached_property
    def _moved_ones(self) -> frozenset[int]:
        return frozenset(self._moved.tolist())

    @cached_property
    def _users(self) -> Indices:
        """How many flows that are not in the overlay need each entry."""
        book = self.engine.book
        entries = book.entries(self._moved)
        users = np.bincount(entries[entries != NONE], minlength=len(book))
        users[NONE] = 0
        return users

    @cached_property
    def _held_by_tenant(self) -> I64:
        """By switch and tenant."""
        book, held, tenants = self.engine.book, np.flatnonzero(self._users), len(self.engine.directory.tenants)
        shape = (len(self.engine.directory.switches), tenants)
        return np.bincount(book.switch[held] * tenants + book.tenant[held], minlength=shape[0] * shape[1]).reshape(
            shape
        )

    @cached_property
    def _held(self) -> I64:
        return self.engine.entries_held()


def _tenant(pair: PairId) -> Tenant:
    return Tenant(pair.partition(".")[0])


def _course(saga: Saga | None) -> Course | None:
    if saga is None:
        return None
    waiting = tuple(sorted(saga.waiting))
    return Course(saga.phase.value, saga.entered_at, saga.generation, waiting, saga.reason)


def settings_of(strategy: Any) -> dict[str, float | bool | str]:
    """What a strategy goes by: its defaults, and over them what the policy set."""
    function = getattr(strategy, "func", strategy)
    defaults = getattr(function, "__kwdefaults__", None) or {}
    return {**defaults, **getattr(strategy, "keywords", {})}


def _limit(entries: int) -> int | None:
    return None if entries >= UNLIMITED >> 1 else int(entries)


def _digits(number: Any) -> float:
    """As many digits as mean something; JSON knows no infinity."""
    return float(f"{number:.{_DIGITS}g}") if isfinite(number) else 0.0
