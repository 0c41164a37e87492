"""The saga's table as people look at it: a Mermaid diagram and Markdown tables, made from ``phases.py`` alone.

Pure: text in, text out. ``make saga-doc`` writes docs/SAGA.md with it, and a test holds that page against it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from ezpath.saga.phases import ENDED, HOLDS, INSTALLS, TABLE, TAKES_OFF, Do, Move, On, Phase

_MARKED = re.compile(r"(?P<begin><!-- (?P<what>[a-z]+), generated -->\n).*?(?P<end><!-- end of [a-z]+ -->)", re.DOTALL)


def diagram() -> str:
    """All moves from one phase to another, and (thin, on themselves) those that stay."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {_id(Phase.REQUESTED)}: offload"]
    lines += [f'    state "{phase}" as {_id(phase)}' for phase in Phase]
    moves: dict[tuple[Phase, Phase], list[On]] = {}
    for (phase, on), move in TABLE.items():
        moves.setdefault((phase, move.then), []).append(on)
    lines += [f"    {_id(phase)} --> {_id(then)}: {' / '.join(events)}" for (phase, then), events in moves.items()]
    lines += [f"    {_id(phase)} --> [*]" for phase in Phase if phase in ENDED]
    return "\n".join([*lines, "```"])


def table() -> str:
    """Every row, those that differ in the phase alone together."""
    rows: dict[tuple[On, Move, bool], list[Phase]] = {}
    for (phase, on), move in TABLE.items():
        stays = move.then is phase
        rows.setdefault((on, Move(move.do, Phase.REQUESTED) if stays else move, stays), []).append(phase)
    lines = ["| in | on | does | and is then in |", "|---|---|---|---|"]
    for (on, move, stays), phases in rows.items():
        does = ", ".join(_name(do) for do in move.do)
        lines.append(f"| {_list(phases)} | {on} | {does} | {'the same' if stays else f'`{move.then}`'} |")
    return "\n".join(lines)


def words() -> str:
    """What is done, in words."""
    return "\n".join(f"- **{_name(do)}**: {do.value}." for do in Do)


def holds() -> str:
    """What is held and taken off, phase by phase."""
    lines = ["| in | holds what these installed | takes off what these installed |", "|---|---|---|"]
    for phase in Phase:
        if phase not in ENDED and phase is not Phase.REQUESTED:
            all_of_it = "all" if HOLDS[phase] == INSTALLS else _list(HOLDS[phase]) or "nothing"
            lines.append(f"| `{phase}` | {all_of_it} | {_list(TAKES_OFF.get(phase, ()))} |")
    return "\n".join(lines)


PARTS: dict[str, Callable[[], str]] = {"diagram": diagram, "table": table, "words": words, "holds": holds}


def in_step(page: str) -> str:
    """``page`` with each of its generated parts as it is now."""
    return _MARKED.sub(lambda found: f"{found['begin']}{PARTS[found['what']]()}\n{found['end']}", page)


def _id(phase: Phase) -> str:
    return phase.value.replace("-", "_")


def _name(do: Do) -> str:
    return do.name.lower().replace("_", " ")


def _list(phases: Iterable[Phase]) -> str:
    return ", ".join(f"`{phase}`" for phase in phases)
