"""What unit tests share."""

from __future__ import annotations

import pytest
from ezpath.inventory import Inventory, parse
from network import NETWORK


@pytest.fixture(scope="session")
def inventory() -> Inventory:
    return parse(NETWORK, "network.yaml")
