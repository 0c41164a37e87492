"""What EZPath's alarms and its dashboard ask Prometheus for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"


def alarms() -> Iterator[tuple[str, str]]:
    """Name and expression of each."""
    for group in yaml.safe_load((DEPLOY / "prometheus/alerts.yaml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def panels() -> Iterator[tuple[str, str]]:
    """Title and expression of each query of the dashboard, in the order in which it shows them."""
    for panel in json.loads((DEPLOY / "grafana/ezpath.json").read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
