"""docs/TRUST.md says what roles may do, as ``ezpath.trust.roles`` has it."""

from __future__ import annotations

from pathlib import Path

from ezpath.trust.page import in_step

PAGE = Path(__file__).parents[2] / "docs" / "TRUST.md"


def test_the_page_is_in_step() -> None:
    page = PAGE.read_text()
    assert page == in_step(page), "run `make trust-doc` and commit docs/TRUST.md"
