"""The saga's table as a picture, for places that draw no Mermaid: the way there above, the way back below it. Pure.

``make saga-doc`` writes docs/img/saga.svg, and a test holds that file against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from ezpath.saga.phases import TABLE, On, Phase

BOX = (132, 34)
_COLUMN, _ROW, _MARGIN = 178, 104, 20
PLACES: dict[Phase, tuple[int, int]] = {
    Phase.REQUESTED: (0, 0),
    Phase.SWITCH_RECEIVE: (1, 0),
    Phase.SWITCH_SEND: (2, 0),
    Phase.HOST_RECEIVE: (3, 0),
    Phase.HOST_SEND: (4, 0),
    Phase.ACTIVE: (5, 0),
    Phase.HOST_SEND_OFF: (4, 1),
    Phase.DRAIN: (3, 1),
    Phase.HOST_RECEIVE_OFF: (2, 1),
    Phase.SWITCH_OFF: (1, 1),
    Phase.REVERTED: (0, 1),
    Phase.ROLLED_BACK: (0, 2),
}
"""Column and row of each phase."""
_STYLE = """\
  :root { color-scheme: light dark; }
  text { font: 13px system-ui, sans-serif; fill: #1d2733; text-anchor: middle; }
  .legend { font-size: 12px; fill: #52606d; text-anchor: start; }
  rect { fill: #e8eef5; stroke: #5a7fa8; rx: 6px; }
  rect.rest { fill: #d9f0e1; stroke: #3d8b5c; }
  polygon { fill: #8a97a5; }
  path { fill: none; stroke: #52606d; stroke-width: 1.4; marker-end: url(#tip); }
  path.back { stroke: #b3541e; stroke-dasharray: 5 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e3e8ee; } .legend { fill: #a9b4c0; }
    rect { fill: #22303f; stroke: #7fa6d0; } rect.rest { fill: #1f3d2c; stroke: #66bb8a; }
    path { stroke: #a9b4c0; } path.back { stroke: #e08a55; }
  }
"""
_FAILURES = {On.FAILED, On.DEADLINE, On.REFUSED, On.UNDONE}


def picture() -> str:
    """All moves from one phase to another."""
    width = 2 * _MARGIN + 5 * _COLUMN + BOX[0]
    height = 2 * _MARGIN + 2 * _ROW + BOX[1]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="title">'
    return "\n".join([head, *_parts(), "</svg>"]) + "\n"


def _parts() -> Iterator[str]:
    yield '<title id="title">The phases of a saga: the way there above, the way back below</title>'
    yield f"<style>\n{_STYLE}</style>"
    yield (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<polygon points="0,0 8,4 0,8"/></marker></defs>'
    )
    moves: dict[tuple[Phase, Phase], list[On]] = {}
    for (phase, on), move in TABLE.items():
        if move.then is not phase:
            moves.setdefault((phase, move.then), []).append(on)
    for (phase, then), events in moves.items():
        yield _move(phase, then, events)
    for phase in Phase:
        x, y = _corner(phase)
        rest = ' class="rest"' if phase in (Phase.ACTIVE, Phase.REVERTED, Phase.ROLLED_BACK) else ""
        yield f'<rect{rest} x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}"/>'
        yield f'<text x="{x + BOX[0] // 2}" y="{y + 22}">{phase}</text>'
    x, y = _corner(Phase.HOST_RECEIVE)[0], _corner(Phase.ROLLED_BACK)[1]
    yield f'<text class="legend" x="{x}" y="{y + 8}">solid: confirmed by all who were asked, or wanted back</text>'
    yield f'<text class="legend" x="{x}" y="{y + 28}">dashed: one failed, was silent too long, or could not be</text>'


def _move(phase: Phase, then: Phase, events: list[On]) -> str:
    (x, y), (to_x, to_y) = _corner(phase), _corner(then)
    half_w, half_h = BOX[0] // 2, BOX[1] // 2
    if y == to_y:  # along a row: from side to side
        ahead = to_x > x
        x, to_x = (x + BOX[0], to_x) if ahead else (x, to_x + BOX[0])
        y = to_y = y + half_h
        line = f"M{x},{y} L{to_x},{to_y}"
    elif abs(PLACES[phase][1] - PLACES[then][1]) > 1:  # past the box between: round its left
        y, to_y = y + half_h, to_y + half_h
        line = f"M{x},{y} C{x - 26},{y} {x - 26},{to_y} {to_x},{to_y}"
    else:
        x, to_x, y = x + half_w, to_x + half_w, y + BOX[1]
        line = f"M{x},{y} L{to_x},{to_y}"
    # A drain's time is always over: nothing failed.
    back = ' class="back"' if _FAILURES & set(events) and phase is not Phase.DRAIN else ""
    return f'<path{back} d="{line}"><title>{escape(" / ".join(events))}</title></path>'


def _corner(phase: Phase) -> tuple[int, int]:
    column, row = PLACES[phase]
    return _MARGIN + 8 + column * _COLUMN, _MARGIN + row * _ROW
