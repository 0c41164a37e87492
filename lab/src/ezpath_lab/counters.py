"""Rates from the kernel's own interface counters: independent of everything that EZPath says."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from ezpath_lab.shell import run


def receive_rates(namespaces: Sequence[str], seconds: float) -> dict[str, float]:
    """Bits per second that ``eth0`` of each namespace receives, over ``seconds``."""
    first = {namespace: _received(namespace) for namespace in namespaces}
    time.sleep(seconds)
    rates = {}
    for namespace, (octets, when) in first.items():
        later, now = _received(namespace)
        rates[namespace] = (later - octets) * 8 / (now - when)
    return rates


def _received(namespace: str) -> tuple[int, float]:
    link = json.loads(run("ip", "-n", namespace, "-json", "-stats", "link", "show", "dev", "eth0"))[0]
    return int(link["stats64"]["rx"]["bytes"]), time.monotonic()
