"""What a run shows: colour and tables on a terminal, plain lines with times elsewhere. Thread safe."""

from __future__ import annotations

import time

from ezpath.events import DeadLetter, FlowsSnapshot, JsonEvent, OffloadRequested, RevertRequested, SagaOutcome, SagaStep
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ezpath_lab.results import Check, Results

_PLAIN_WIDTH = 150
"""Of tables in logs, where nobody says how wide the paper is."""


class Screen:
    """Writes to standard output."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        if not self._console.is_terminal:
            self._console.width = _PLAIN_WIDTH
        self._began = time.monotonic()

    def _line(self, text: str, style: str = "") -> None:
        stamp = f"[dim]{time.monotonic() - self._began:6.1f}s[/dim]"
        self._console.print(f"{stamp}  {f'[{style}]{text}[/{style}]' if style else text}")

    def act(self, title: str) -> None:
        """A new act begins."""
        self._console.print()
        self._line(escape(title), "bold")

    def say(self, text: str) -> None:
        self._line("  " + escape(text))

    def warn(self, text: str) -> None:
        self._line("  " + escape(text), "yellow")

    def check(self, check: Check) -> None:
        mark = "[green]PASS[/green]" if check.ok else "[bold red]FAIL[/bold red]"
        detail = f" [dim]({escape(check.detail)})[/dim]" if check.detail else ""
        self._line(f"  {mark}  {escape(check.name)}{detail}")

    def event(self, event: JsonEvent) -> None:
        """One event of EZPath, if it is one that a reader follows the story by."""
        match event:
            case OffloadRequested() | RevertRequested():
                what = "offload" if isinstance(event, OffloadRequested) else "revert"
                self._line(f"  [cyan]decision[/cyan]  {what} {event.pair}: {escape(event.reason)}")
            case SagaStep():
                told = f"{event.previous} → {event.phase}, {event.previous} took {event.took_ms:.0f} ms"
                if event.phase == event.previous:
                    told = event.phase
                reason = f" [dim]{escape(event.reason)}[/dim]" if event.reason else ""
                self._line(f"  [blue]saga[/blue]      {event.pair}: {told}{reason}")
            case SagaOutcome():
                colour = {"active": "green", "reverted": "green", "rolled-back": "yellow"}[event.outcome]
                text = f"{event.pair} {event.outcome} after {event.took_ms:.0f} ms: {escape(event.reason)}"
                self._line(f"  [{colour}]outcome[/{colour}]   {text}")
            case DeadLetter():
                self._line(f"  [red]dead letter[/red] {event.subject}: {escape(event.reason)}")

    def flows(self, snapshot: FlowsSnapshot) -> None:
        """Flows as EZPath sees them."""
        for flow in snapshot.flows:
            rate = f"{flow.rate_bps / 1e6:7.2f} Mbit/s {flow.packets_s:7.0f} packets/s"
            self._line(f"  [magenta]flow[/magenta]      {flow.pair:<26} {rate}  {flow.where}")

    def summary(self, results: Results) -> None:
        """All checks, packets by act, and the figures."""
        self._console.print()
        checks = Table(title="Checks", title_justify="left", show_header=False)
        for check in results.checks:
            # Details were told when the check was made; those of a failed one are worth repeating.
            mark = "[green]PASS[/green]" if check.ok else "[bold red]FAIL[/bold red]"
            checks.add_row(mark, escape(check.name if check.ok else f"{check.name}: {check.detail}"))
        self._console.print(checks)
        self._packets(results)
        summary = results.summary()
        times = summary["decision_to_active_ms"]
        self._console.print(
            f"Decision to active: p50 {times['p50']} ms, p99 {times['p99']} ms, of {times['count']} offloads. "
            f"Set-up: {results.setup_s:.1f} s. Whole run: {results.total_s:.1f} s."
        )
        if results.rollback_reason:
            self._console.print(f"Rolled back because: {escape(results.rollback_reason)}")

    def _packets(self, results: Results) -> None:
        columns = ("act", "sent", "lost", "duplicated", "reordered", "delay p50 µs", "p99 µs")
        table = Table(title="Lossless check: numbered packets of all streams", title_justify="left")
        for column in columns:
            table.add_column(column, justify="left" if column == "act" else "right")
        for act, name in results.acts.items():
            tally = results.tally(act)
            if not tally.sent and not tally.received:
                continue
            lost = f"[bold red]{tally.lost}[/bold red]" if tally.lost else "0"
            numbers = (tally.duplicated, tally.reordered, tally.delay_us_p50, tally.delay_us_p99)
            table.add_row(name, str(tally.sent), lost, *map(str, numbers))
        self._console.print(table)
        foreign = sum(stream.foreign for stream in results.streams)
        self._console.print(f"Packets of another tenant or pair received: {foreign}.")
