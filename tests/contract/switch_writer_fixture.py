"""Fixtures for tests of the switch-writer: ``pytest_plugins = ["contract.switch_writer_fixture"]``.

Each test that asks for a switch runs three times: against the software ToR's server alone, as root against the whole
ToR with its eBPF, and against BMv2 where that is installed.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from bmv2 import Bmv2, need_bmv2
from contract.switch_writer_rig import Reports
from ezpath.bus import Bus
from tor_server import ServerOnly, Tor, WholeTor


@pytest.fixture(params=["server", "tor", "bmv2"])
def kind(request: pytest.FixtureRequest, needs: Callable[..., None]) -> str:
    if request.param == "tor":
        needs("clang", "ip", root=True)
    if request.param == "bmv2":
        need_bmv2()
    return str(request.param)


@pytest_asyncio.fixture
async def make_tor(kind: str, tmp_path: Path) -> AsyncIterator[Callable[..., Tor]]:
    made: list[Tor] = []

    def make(**limits: int) -> Tor:
        device = len(made) + 1
        if kind == "server":
            made.append(ServerOnly(tmp_path, device, limits))
        elif kind == "bmv2":
            made.append(Bmv2(tmp_path, device_id=device, limits=limits))
        else:
            made.append(WholeTor(tmp_path, f"ezt-sw-{os.getpid()}-{device}", device, limits))
        return made[-1]

    yield make
    for tor in made:
        await tor.stop()
        if isinstance(tor, WholeTor):
            tor.remove()


@pytest_asyncio.fixture
async def tor(make_tor: Callable[..., Tor]) -> Tor:
    tor = make_tor()
    await tor.start()
    return tor


@pytest_asyncio.fixture
async def reports(bus: Bus) -> AsyncIterator[Reports]:
    reports = Reports(bus)
    yield reports
    reports.close()
