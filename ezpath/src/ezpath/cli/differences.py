"""What `ezpath diff` makes of writers' answers: the same, different or unknown, line by line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ezpath.answers import Installed

Verdict = Literal["same", "differs", "unknown"]


@dataclass(frozen=True, slots=True)
class Line:
    """One difference, or the word that there is none."""

    target: str
    kind: Literal["same", "missing", "surplus", "changed", "unknown"]
    what: str


def verdict(answer: Installed | None) -> Verdict:
    """None is a writer that did not answer."""
    if answer is None or answer.problem:
        return "unknown"
    return "same" if answer.same else "differs"


def lines(answers: Mapping[str, Installed | None], silent: str) -> Iterator[Line]:
    """All targets in the order of their names; ``silent`` is said of those whose writer did not answer."""
    for target in sorted(answers, key=_order):
        answer = answers[target]
        if answer is None:
            yield Line(target, "unknown", silent)
        elif answer.problem:
            yield Line(target, "unknown", answer.problem)
        else:
            yield from _compared(answer)


def _compared(answer: Installed) -> Iterator[Line]:
    if answer.same:
        yield Line(answer.target, "same", _what_is_wanted(answer))
        return
    yield from (Line(answer.target, "missing", what) for what in answer.missing)
    yield from (Line(answer.target, "surplus", what) for what in answer.surplus)
    for changed in answer.changed:
        yield Line(answer.target, "changed", f"{changed.wanted}; found: {changed.found}")
    if answer.left_out:
        yield Line(answer.target, "missing", f"… and {answer.left_out} more differences of all kinds")


def _what_is_wanted(answer: Installed) -> str:
    if answer.generation is None:
        return "nothing is known about what ought to be there, and nothing of EZPath's is"
    return f"{answer.items} items, generation {answer.generation}"


def as_json(answers: Mapping[str, Installed | None], silent: str) -> Iterator[dict[str, Any]]:
    """One object a target."""
    for target in sorted(answers, key=_order):
        answer = answers[target] or Installed(target, 0.0, problem=silent)
        yield {"verdict": verdict(answers[target]), **asdict(answer)}


def status(answers: Iterable[Installed | None]) -> int:
    """The exit status: 0 where all are known and the same. Where there is nobody, nothing was compared."""
    verdicts = [verdict(answer) for answer in answers]
    return int(set(verdicts) != {"same"})


def _order(target: str) -> tuple[bool, str]:
    """Switches first."""
    return (target.startswith("host:"), target)
