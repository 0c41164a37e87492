"""Events as lines that people read. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rich.text import Text

from ezpath.catalogue import Event
from ezpath.events import (
    Account,
    DeadLetter,
    DryRunDecision,
    FlowSample,
    FlowsSnapshot,
    HostCommand,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
    SwitchTables,
    TargetState,
)

_HEADINGS = ("TIME", "PAIR", "WHAT", "TOOK", "WHO AND WHY")
_WIDTHS = (12, 26, 26, 9)
_OUTCOME_STYLE = {"active": "bold green", "reverted": "bold", "rolled-back": "bold red"}


@dataclass(frozen=True, slots=True)
class Line:
    """One event in columns."""

    pair: str
    what: str
    took_ms: float | None = None
    why: str = ""
    style: str = ""


def heading(wide: bool = False) -> Text:
    """The names of the columns."""
    return Text(_row(*_HEADINGS, *(("SUBJECT",) if wide else ())), style="bold")


def line(event: Event, at: float, subject: str | None = None) -> Text:
    """``event`` as one line; ``at`` is Unix time, seconds, shown as local time. ``subject`` comes last, where given."""
    columns = columns_of(event)
    took = "" if columns.took_ms is None else duration(columns.took_ms)
    last = () if subject is None else (f"[{subject}]",)
    return Text(_row(clock(at), columns.pair, columns.what, took, columns.why, *last), style=columns.style)


def clock(at: float) -> str:
    """Local time, to the millisecond."""
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at * 1000) % 1000:03d}"


def _row(*cells: str) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=False)]
    return "  ".join([*padded, *cells[len(_WIDTHS) :]]).rstrip()


def columns_of(event: Event) -> Line:
    """What is said about ``event``."""
    match event:
        case OffloadRequested():
            rate = f"{bit_rate(event.rate_bps)}; " if event.rate_bps else ""
            return Line(event.pair, "decision: offload", why=f"{rate}{event.reason}", style="cyan")
        case DryRunDecision():
            rate = f"{bit_rate(event.rate_bps)}; " if event.rate_bps else ""
            return Line(event.pair, f"dry run: {event.what}", why=f"{rate}{event.reason}", style="blue")
        case Account():
            return Line(event.pair, f"{event.where}: {event.verdict}", why=event.reason)
        case RevertRequested():
            return Line(event.pair, "decision: revert", why=event.reason, style="cyan")
        case SagaStep():
            why = "; ".join(filter(None, (" ".join(event.targets), event.reason)))
            return Line(event.pair, f"  {event.phase}", event.took_ms, why)
        case SagaOutcome():
            what = event.outcome.upper().replace("-", " ")
            return Line(event.pair, what, event.took_ms, event.reason, _OUTCOME_STYLE[event.outcome])
        case SwitchCommand():
            return Line(
                event.pair, f"    command {event.phase}", why=_asked(f"switch:{event.switch}", event), style="dim"
            )
        case HostCommand():
            return Line(event.pair, f"    command {event.phase}", why=_asked(f"host:{event.host}", event), style="dim")
        case StepReport():
            said = "done" if event.ok else f"FAILED: {event.reason}"
            style = "dim" if event.ok else "red"
            return Line(event.pair, f"    report {event.phase}", event.took_ms, f"{event.target} {said}", style)
        case DeadLetter():
            return Line("-", "dead letter", why=f"{event.subject}: {event.reason}", style="magenta")
        case FlowsSnapshot():
            return Line("-", "flows", why=f"{len(event.flows)} pairs")
        case SwitchTables():
            return Line(
                "-", "tables", why=f"{event.switch}: " + ", ".join(f"{t.table} {t.used}/{t.size}" for t in event.tables)
            )
        case FlowSample():
            octets = int(event.bytes.sum())
            lost = sum(event.drops.values())
            dropped = f", {lost} frames dropped" if lost else ""
            before = f"the poll before was {event.interval_s:.1f} s ago"
            why = f"{len(event.vni)} flows, {octets} bytes so far{dropped}; {before}"
            return Line("-", f"sample {event.switch}", why=why, style="dim")
        case TargetState():
            return Line("-", f"{event.target} {event.state}", why=event.reason)


def _asked(target: str, event: SwitchCommand | HostCommand) -> str:
    asked = [f"{verb} {len(items)}" for verb, items in (("put", event.put), ("remove", event.remove)) if items]
    return f"{target} {', '.join(asked) or 'nothing'} (generation {event.generation})"


def duration(milliseconds: float) -> str:
    """``213 ms``, ``4.1 s``, ``12 min``."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def bit_rate(bits_s: float) -> str:
    """``1.20 Gbit/s``."""
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bits_s >= size:
            return f"{bits_s / size:.2f} {unit}"
    return f"{bits_s:.0f} bit/s"
