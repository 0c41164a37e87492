"""Accounts as lines that people read. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator

from ezpath.accounts import Account, Fill, Standing, Traffic
from ezpath.cli.lines import bit_rate, duration

_WHERE = {
    "overlay": "in the overlay",
    "arriving": "on its way to the switches",
    "switch": "on the switches",
    "leaving": "on its way back to the hosts",
}
_VERDICT = {
    "offload": "it is to go to the switches",
    "revert": "it is to come back to the hosts",
    "waits": "it is to go to the switches when there is room",
    "stays": "it stays",
}
_WIDTH = 9


def headline(account: Account) -> str:
    """One line of it: when, where, what was decided and why."""
    return f"{_clock(account.at)}  {_WHERE[account.where]}; {_VERDICT[account.verdict]}: {account.reason}"


def lines(account: Account) -> Iterator[str]:
    """All of it: the answer first, then what it was worked out from."""
    since = f" for {_seconds(account.here_s)}" if account.here_s is not None else ""
    rounds = f", {account.here_rounds} rounds" if account.here_rounds is not None else ""
    yield f"{account.pair} is {_WHERE[account.where]}{since}{rounds}; {_VERDICT[account.verdict]}"
    for name, text in _rows(account):
        yield f"  {name:{_WIDTH}}  {text}"


def _rows(account: Account) -> Iterator[tuple[str, str]]:
    yield "because", account.reason
    yield "at", _clock(account.at) + (" (dry run)" if account.dry_run else "")
    if account.paused:
        yield "paused", ", ".join(account.paused)
    if account.listed:
        yield "listed", ", ".join(account.listed)
    if account.failures:
        rest = f", left alone for {_seconds(account.rests_s)} yet" if account.rests_s else ""
        yield "failed", f"rolled back {account.failures} times in a row{rest}"
    if account.course:
        course = account.course
        waits = f", waits for {' '.join(course.waiting)}" if course.waiting else ""
        reason = f": {course.reason}" if course.reason else ""
        yield "saga", f"{course.phase} since {_clock(course.since)}{waits}{reason}"
    if account.traffic:
        yield from _traffic(account.traffic)
    if account.standing:
        yield from _standing(account.standing)
    for switch in dict.fromkeys(need.switch for need in account.needs):
        needs = [need for need in account.needs if need.switch == switch]
        own = sum(not need.sharers for need in needs)
        named = ", ".join(
            f"{need.table} {need.what}" + (f" (with {need.sharers} more)" if need.sharers else "") for need in needs
        )
        yield "needs", f"{switch}: {own} of its own, {len(needs) - own} shared: {named}"
    for switch in dict.fromkeys(fill.switch for fill in account.fills):
        yield "room", f"{switch}: " + ", ".join(_fill(fill) for fill in account.fills if fill.switch == switch)


def _traffic(traffic: Traffic) -> Iterator[tuple[str, str]]:
    yield (
        "rate",
        f"{bit_rate(traffic.bits_s)}, {traffic.packets_s:.0f} packets/s"
        + ("" if traffic.fresh else " (no fresh word)"),
    )
    rates = f"{bit_rate(traffic.bits_mean)}, {traffic.packets_mean:.0f} packets/s, burstiness {traffic.burstiness:.2f}"
    yield "mean", f"{rates}; seen for {_seconds(traffic.age_s)}, {traffic.rounds} rounds"
    if traffic.history:
        yield "history", " ".join(f"{rate / 1e6:.2f}" for rate in traffic.history) + " Mbit/s, the newest first"


def _standing(standing: Standing) -> Iterator[tuple[str, str]]:
    settings = ", ".join(f"{name} {_number(value)}" for name, value in standing.settings.items())
    yield "strategy", standing.strategy + (f" ({settings})" if settings else "")
    last = f"; the last one that is in has {standing.last_in:.4g}" if standing.last_in is not None else ""
    place = f"{standing.rank} of {standing.candidates}" if standing.rank is not None else "none: it may not move there"
    yield "rank", f"{place}, {standing.chosen} are in; score {standing.score:.4g}{last}"
    if standing.importance != 1:
        yield "weight", f"{standing.importance:g}, by the inventory and the policy"


def _number(value: float | bool | str) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _fill(fill: Fill) -> str:
    return f"{fill.of} {fill.held}" + (f" of {fill.allowed}" if fill.allowed is not None else "")


def _seconds(seconds: float) -> str:
    return duration(seconds * 1000)


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
