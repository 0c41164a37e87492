"""`make model`: the model check at its larger bounds, one line for each world it explored."""

from __future__ import annotations

import resource
import sys

import click
from model.bounds import AT_LENGTH, IN_A_TEST_RUN
from model.broken import Broken
from model.explorer import Explorer


@click.command(epilog="Example: PYTHONPATH=tests python -m model --only 'one pair'")
@click.option("--quick", is_flag=True, help="Only what a test run explores.")
@click.option("--only", default="", metavar="TEXT", help="Only worlds with TEXT in their name.")
@click.option("--faults", type=click.IntRange(min=0), help="At most so many in a run, instead of what is set.")
def main(quick: bool, only: str, faults: int | None) -> None:
    """Explore every interleaving, and check I1 to I6 in every state. Exit status 1 when one falls, and how it came."""
    for bound in IN_A_TEST_RUN if quick else AT_LENGTH:
        if only not in str(bound):
            continue
        allowed = bound.faults if faults is None else faults
        try:
            click.echo(Explorer(bound.scenario(), allowed, bound.switch, bound.host).run())
        except Broken as broken:
            click.echo(broken, err=True)
            sys.exit(1)
    click.echo(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB at most")


if __name__ == "__main__":
    main()
