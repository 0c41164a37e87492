"""What `ezpath top` shows: everything heard so far, and its pictures. Pure, but for rich's values."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from rich.console import Group
from rich.layout import Layout
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ezpath.catalogue import Event
from ezpath.cli.flows import LISTING, ORDERS, Row
from ezpath.cli.health import Health
from ezpath.cli.lines import bit_rate, line
from ezpath.cli.output import Column
from ezpath.cli.seen import Seen
from ezpath.events import FlowsSnapshot, SwitchTables, TargetState

KEPT_EVENTS = 200
HISTORY = 16
_SPARKS = "▁▂▃▄▅▆▇█"
_BAR = 16
_STATE_STYLES = {"in-sync": "green", "unreachable": "red"}


@dataclass(slots=True)
class Board:
    """Changes with each event."""

    sort: str = "rate"
    frozen: bool = False
    flows: FlowsSnapshot | None = None
    history: dict[str, deque[float]] = field(default_factory=dict)
    """Rates of each pair, the newest last."""
    tables: dict[str, SwitchTables] = field(default_factory=dict)
    states: dict[str, TargetState] = field(default_factory=dict)
    events: deque[Seen] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))
    health: Health | None = None

    def hear(self, seen: Seen) -> None:
        event: Event = seen.event
        match event:
            case FlowsSnapshot():
                self.flows = event
                known = {flow.pair for flow in event.flows}
                self.history = {pair: rates for pair, rates in self.history.items() if pair in known}
                for flow in event.flows:
                    self.history.setdefault(flow.pair, deque(maxlen=HISTORY)).append(flow.rate_bps)
            case SwitchTables():
                self.tables[event.switch] = event
            case TargetState():
                self.states[event.target] = event
            case _:
                self.events.append(seen)

    def judged(self, health: Health) -> None:
        """What the services say when they are asked."""
        self.health = health
        self.tables |= {tables.switch: tables for tables in health.tables}
        self.states |= {state.target: state for state in health.targets}

    def press(self, key: str) -> None:
        """``s`` sorts by what comes next, space stops the picture and lets it go on."""
        if key == "s":
            orders = list(ORDERS)
            self.sort = orders[(orders.index(self.sort) + 1) % len(orders)]
        elif key == " ":
            self.frozen = not self.frozen


def picture(board: Board, height: int, width: int) -> Layout:
    """The whole screen."""
    events = max(5, height // 4)
    layout = Layout()
    layout.split_column(
        Layout(_head(board), name="head", size=1),
        Layout(name="middle"),
        Layout(Panel(_events(board.events, events - 2), title="events", title_align="left"), size=events),
        Layout(_foot(board), size=1),
    )
    room = max(0, height - events - 5)
    layout["middle"].split_row(
        Layout(
            Panel(_flows(board, room, width * 3 // 5 - 4), title=f"flows by {board.sort}", title_align="left"), ratio=3
        ),
        Layout(Panel(_side(board), title="switches and hosts", title_align="left"), ratio=2),
    )
    return layout


def _head(board: Board) -> Text:
    flows = board.flows.flows if board.flows else ()
    where = Counter(flow.where for flow in flows)
    total = sum(flow.rate_bps for flow in flows)
    offloaded = sum(flow.rate_bps for flow in flows if flow.where == "switch")
    share = f" ({offloaded / total:.0%})" if total else ""
    text = Text("EZPath  ", style="bold")
    text.append(
        f"{len(flows)} flows, {bit_rate(total)}; on the switches {where['switch']}, {bit_rate(offloaded)}{share}"
    )
    text.append(f"; moving {where['moving']}", style="yellow" if where["moving"] else "")
    return text


def _foot(board: Board) -> Text:
    alarms = board.health.alarms if board.health else ()
    keys = "q quit  s sort  space " + ("go on" if board.frozen else "freeze")
    text = Text(f"{keys}  ", style="dim")
    if board.health is None:
        return text.append("asking services …", style="dim")
    if not alarms:
        return text.append("all is well", style="green")
    return text.append(f"{len(alarms)} ALARMS  {alarms[0]}", style="bold red")


def _flows(board: Board, room: int, width: int) -> Table:
    flows = sorted(board.flows.flows if board.flows else (), key=ORDERS[board.sort])
    way: Column[Row] = Column("", lambda row: Text(spark(board.history.get(row.flow.pair, ())), style="cyan"), spare=5)
    listing = replace(LISTING, columns=(*LISTING.columns, way))
    return listing.table([Row(flow, 0.0) for flow in flows[:room]], width=width)


def _side(board: Board) -> Group:
    targets = Table(box=None, pad_edge=False, show_header=False)
    for name in sorted(board.states, key=lambda name: (name.startswith("host:"), name)):
        state = board.states[name]
        style = _STATE_STYLES.get(state.state, "yellow")
        targets.add_row(name, Text(state.state, style=style), f"{state.items} items", Text(state.reason, style=style))
    phases = Counter(flow.phase for flow in (board.flows.flows if board.flows else ()) if flow.phase)
    sagas = Text(", ".join(f"{phase} {count}" for phase, count in sorted(phases.items())) or "no pair is offloaded")
    return Group(targets, Text(""), _fills(board.tables.values()), Text(""), Text("offloads: ", style="bold") + sagas)


def _fills(switches: Iterable[SwitchTables]) -> Table:
    shown = Table(box=None, pad_edge=False, show_header=False)
    for switch in sorted(switches, key=lambda each: each.switch):
        for use in switch.tables:
            share = use.used / use.size if use.size else 0.0
            style = "red" if share >= 0.95 else "yellow" if share >= 0.8 else "green"
            filled = min(_BAR, int(share * _BAR) or bool(use.used))
            bar = Text("█" * filled, style=style) + Text("░" * (_BAR - filled), style="dim")
            shown.add_row(switch.switch, use.table, bar, f"{use.used}/{use.size}")
    return shown


def _events(events: Sequence[Seen], room: int) -> Group:
    newest = list(events)[-max(1, room) :]
    return Group(*(_cut(line(seen.event, seen.at)) for seen in newest))


def _cut(text: Text) -> Text:
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def spark(rates: Iterable[float]) -> str:
    """A rate's way, the newest at the right; its highest is full height."""
    values = list(rates)
    most = max(values, default=0.0)
    if most <= 0:
        return ""
    return "".join(_SPARKS[min(len(_SPARKS) - 1, int(value / most * (len(_SPARKS) - 1) + 0.5))] for value in values)
