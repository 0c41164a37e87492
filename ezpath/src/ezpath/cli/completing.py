"""What the shell offers where a name is to be given: out of the inventory that EZPATH_INVENTORY or --inventory names.

A shell that waits is worse than one that offers nothing: NATS is not asked, and whatever goes wrong offers nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import combinations
from pathlib import Path
from typing import TypedDict

import click
from click.shell_completion import CompletionItem

from ezpath.inventory import Inventory, InventoryError, load

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


class Offer(TypedDict):
    """For ``click.option(…, **TENANTS)``."""

    shell_complete: Complete


def _names(of: Callable[[Inventory], Iterable[str]]) -> Offer:
    def complete(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
        inventory = _inventory(ctx)
        if inventory is None:
            return []
        return [CompletionItem(name) for name in of(inventory) if name.startswith(incomplete)]

    return {"shell_complete": complete}


def _inventory(ctx: click.Context) -> Inventory | None:
    file = ctx.params.get("inventory_file") or os.environ.get("EZPATH_INVENTORY")
    try:
        return load(Path(str(file))) if file else None
    except (InventoryError, OSError):
        return None


def _pairs(inventory: Inventory) -> Iterable[str]:
    by_tenant: dict[str, list[str]] = {}
    for endpoint in inventory.endpoints.values():
        by_tenant.setdefault(endpoint.tenant, []).append(endpoint.name)
    for tenant, names in by_tenant.items():
        yield from (f"{tenant}.{one}.{other}" for one, other in combinations(sorted(names), 2))


TENANTS = _names(lambda inventory: inventory.tenants)
ENDPOINTS = _names(lambda inventory: inventory.endpoints)
HOSTS = _names(lambda inventory: inventory.hosts)
SWITCHES = _names(lambda inventory: inventory.switches)
RACKS = _names(lambda inventory: dict.fromkeys(s.rack for s in inventory.switches.values()))
PAIRS = _names(_pairs)
