"""Claims in Markdown, and whether what was measured bears them out. Pure.

A claim is a number in the text with a mark behind it, which says what is to be measured for it:

    at least 2 times the overlay's<!-- claim: bulk; Gbit/s; ezpath of overlay; at least 2 -->

Only ratios can be claimed: times and rates are a machine's own. A claim holds within :data:`MARGIN`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ezpath_bench.figures.results import Case, Outcome

MARGIN = 0.1
_MARK = re.compile(r"<!--\s*claim:(?P<body>.*?)-->")
_ANY_MARK = re.compile(r"<!--.*?-->")
_BODY = re.compile(
    r"^(?P<experiment>[a-z][a-z0-9-]*); (?P<metric>[^;]+); (?P<mode>[a-z-]+) of (?P<of>[a-z-]+); "
    r"at (?P<bound>least|most) (?P<number>\d+(\.\d+)?)$"
)
_NEAR = 200
"""Characters in front of a mark in which its number is to stand."""


@dataclass(frozen=True, slots=True)
class Claim:
    file: str
    line: int
    experiment: str
    metric: str
    mode: str
    of: str
    bound: Literal["least", "most"]
    number: float

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


class MalformedClaim(ValueError):
    """A mark that is none, or whose number is not in the text. The message says file, line and remedy."""


def claims_of(text: str, file: str) -> Iterator[Claim]:
    """All claims of a Markdown file. Raises :class:`MalformedClaim`."""
    for mark in _MARK.finditer(text):
        line = text.count("\n", 0, mark.start()) + 1
        said = _BODY.match(mark["body"].strip())
        if said is None:
            raise MalformedClaim(
                f"{file}:{line}: `{mark['body'].strip()}` is no claim. "
                "Write `experiment; metric; mode of mode; at least|most number`"
            )
        before = _ANY_MARK.sub("", text[: mark.start()])[-_NEAR:]
        if not re.search(rf"(?<![\d.]){re.escape(said['number'])}(?![\d]|\.\d)", before):
            raise MalformedClaim(
                f"{file}:{line}: the text does not say {said['number']}. Have text and mark say the same number"
            )
        bound: Literal["least", "most"] = "least" if said["bound"] == "least" else "most"
        yield Claim(
            file, line, said["experiment"], said["metric"], said["mode"], said["of"], bound, float(said["number"])
        )


def broken(claims: Iterable[Claim], outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    """What is claimed and was not found, a line each."""
    for claim in claims:
        what = f"{claim.where}: {claim.metric}, {claim.mode} of {claim.of}, at {claim.bound} {claim.number:g}"
        outcome = outcomes.get(claim.experiment)
        if outcome is None or outcome.failed:
            why = outcome.failed if outcome else "it did not run"
            yield f"{what}: `{claim.experiment}` has no figures ({why})"
            continue
        case = next(iter(outcome.cases()), Case())
        found = outcome.ratios(case, claim.metric, claim.mode, claim.of)
        if found is None:
            yield f"{what}: `{claim.experiment}` does not measure that"
        elif not _holds(claim, found.median):
            yield f"{what}: {found.median:.3g} was found"


def _holds(claim: Claim, found: float) -> bool:
    if claim.bound == "least":
        return found >= claim.number * (1 - MARGIN)
    return found <= claim.number * (1 + MARGIN)
