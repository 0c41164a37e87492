"""Claims in Markdown: found with their places, held against figures, refused where text and mark differ."""

from __future__ import annotations

import pytest
from ezpath_bench.figures.claims import MalformedClaim, broken, claims_of
from ezpath_bench.figures.results import Case, Outcome, Sample

MARK = "<!-- claim: bulk; Gbit/s; ezpath of overlay; at least 2.5 -->"


def measured(ratio: float) -> dict[str, Outcome]:
    values = (("overlay", 1.0), ("ezpath", ratio))
    return {"bulk": Outcome("bulk", [Sample(Case(), mode, 0, {"Gbit/s": value}) for mode, value in values])}


def test_a_claim_is_found_with_its_place() -> None:
    [claim] = claims_of(f"# Head\n\nIt makes 2.5 times{MARK} as much.\n", "README.md")

    assert claim.where == "README.md:3"
    assert (claim.experiment, claim.metric, claim.mode, claim.of) == ("bulk", "Gbit/s", "ezpath", "overlay")


@pytest.mark.parametrize(("found", "holds"), [(4.0, True), (2.5, True), (2.3, True), (2.2, False), (1.0, False)])
def test_a_claim_holds_within_its_margin(found: float, holds: bool) -> None:
    claims = list(claims_of(f"It makes 2.5 times{MARK} as much.", "README.md"))

    said = list(broken(claims, measured(found)))

    assert (not said) is holds
    assert holds or said == [f"README.md:1: Gbit/s, ezpath of overlay, at least 2.5: {found:.3g} was found"]


def test_a_claim_that_nothing_measures_any_more_is_broken() -> None:
    claims = list(claims_of(f"It makes 2.5 times{MARK} as much.", "README.md"))

    assert list(broken(claims, {})) == [
        "README.md:1: Gbit/s, ezpath of overlay, at least 2.5: `bulk` has no figures (it did not run)"
    ]
    [said] = broken(claims, {"bulk": Outcome("bulk", [Sample(Case(), "ezpath", 0, {"p50": 1.0})])})
    assert said.endswith("`bulk` does not measure that")


@pytest.mark.parametrize("text", ["It makes 3 times", "It makes 12.5 times", "It makes 2.51 times", "Much more"])
def test_text_and_mark_are_to_say_the_same_number(text: str) -> None:
    with pytest.raises(MalformedClaim, match=r"README.md:1: the text does not say 2.5"):
        list(claims_of(text + MARK, "README.md"))


def test_a_mark_that_is_no_claim_is_refused() -> None:
    with pytest.raises(MalformedClaim, match=r"README.md:2: `twice as fast` is no claim"):
        list(claims_of("\n2 <!-- claim: twice as fast -->", "README.md"))
