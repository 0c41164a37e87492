"""However a command of the lab ends, it says so and cleans up behind itself."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from ezpath_lab import lab
from ezpath_lab.lab import Lab
from ezpath_lab.screen import Screen
from ezpath_lab.shell import LabError
from ezpath_lab.topology import Topology, two_racks
from ezpath_lab.tors import Kind

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """SIGINT or SIGTERM came. Not an Exception: nobody but :func:`stoppable` is to catch it."""

    def __init__(self, number: int) -> None:
        self.number = number


@contextmanager
def stage(
    directory: Path, screen: Screen, kind: Kind, topology: Topology | None = None, trust: Path | None = None
) -> Iterator[Lab]:
    """A fresh lab, not up yet, and nobody else's hands on it meanwhile. It is taken down if what is within fails."""
    topology = topology or two_racks()
    with complaining(), lab.alone(topology.prefix):
        stand = lab.create(directory, topology, screen.say, kind, trust)
        try:
            yield stand
        except BaseException:
            take_down(stand, screen)
            raise


def take_down(stand: Lab, screen: Screen) -> None:
    """Remove the lab, even where nobody is left to be told of it."""
    try:
        screen.act("Taking everything down")
    finally:
        killed = stand.down()
    screen.say("Nothing is left running." + (f" Had to be killed: {', '.join(killed)}." if killed else ""))


@contextmanager
def complaining() -> Iterator[None]:
    """A :class:`LabError` becomes one line and exit status 1."""
    try:
        yield
    except LabError as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP end what is within by :class:`Stopped`, and the process with the usual status."""
    numbers = SIGNALS

    def stop(number: int, _: FrameType | None) -> None:
        # Only once: an impatient second Ctrl-C must not interrupt the cleaning up.
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    except Stopped as stopped:
        click.echo(f"Stopped by {signal.Signals(stopped.number).name}.", err=True)
        sys.exit(128 + stopped.number)
