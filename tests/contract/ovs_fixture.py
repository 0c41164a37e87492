"""Fixtures for tests that need a real Open vSwitch: ``pytest_plugins = ["contract.ovs_fixture"]``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from contract.ovs_machine import OvsMachine


@pytest.fixture
def make_machine(tmp_path: Path, needs: Callable[..., None]) -> Iterator[Callable[[], OvsMachine]]:
    """A function that starts a host; all of them are stopped at the end."""
    needs("ovs-vswitchd", "ovsdb-server", "ovs-ofctl", "ip", root=True)
    machines: list[OvsMachine] = []

    def make() -> OvsMachine:
        machines.append(OvsMachine(tmp_path / f"ovs{len(machines) + 1}"))
        machines[-1].start()
        return machines[-1]

    try:
        yield make
    finally:
        for machine in machines:
            machine.stop()


@pytest.fixture
def machine(make_machine: Callable[[], OvsMachine]) -> OvsMachine:
    """One host, running."""
    return make_machine()
