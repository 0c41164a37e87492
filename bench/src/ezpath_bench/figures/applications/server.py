"""A server on the second host, for as long as a run takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ezpath_lab.shell import LabError

from ezpath_bench.figures.guests.host import Started
from ezpath_bench.figures.guests.plan import SIDES, inside
from ezpath_bench.figures.guests.site import Site


@contextmanager
def serving(site: Site, where: str, command: str, port: int) -> Iterator[Started]:
    """``command`` listens at ``port`` while the block runs, or until it ends by itself.

    Raises LabError where it does not listen, with what it said.
    """
    guest = site.guests[SIDES[1]]
    pid = f"/tmp/{port}.pid"
    order = guest.start(f"{inside(where, command)} &\necho $! >{pid}\nwait $! || true")

    def stop() -> str:
        guest.run(f"kill $(cat {pid}) || true")
        return order.result()

    try:
        site.wait_for_listener(SIDES[1], where, port)
    except LabError:
        raise LabError(f"{command!r} does not listen at port {port}. It said: {stop()!r}") from None
    try:
        yield order
    finally:
        stop()
