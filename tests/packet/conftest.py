"""One switch for all packet tests that do not change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from packet.rack import PORTS, Rack
from packet.wire import Wires


@pytest.fixture(scope="session")
def wires(needs: Callable[..., None]) -> Iterator[Wires]:
    needs("ip", "clang", "sysctl", root=True)
    with Wires(PORTS) as up:
        yield up


@pytest.fixture(scope="session")
def running_rack(wires: Wires) -> Iterator[Rack]:
    rack = Rack(wires)
    try:
        rack.start()
        yield rack
    finally:
        rack.stop()


@pytest.fixture
def rack(running_rack: Rack) -> Iterator[Rack]:
    """The switch with all drop counters at zero and nothing left on the wires; no frame may be lost silently."""
    for reason in running_rack.drops():
        running_rack.plane.write_counter("EzIngress.drops", reason, 0, 0)
    running_rack.wires.drain()
    yield running_rack
    assert running_rack.plane.losses == {}, "frames were lost without the program's doing"
