"""The network as the operator describes it: tenants, switches, hosts, endpoints, and whether it makes sense.

One YAML file. :func:`load` refuses it as a whole with every mistake it finds, each with file, line, field and remedy.

    document.py   what may stand in the file, field by field
    checks.py     what each part allows and the whole does not
    lines.py      which line a field is on
    problems.py   a mistake, as people are told of it
    model.py      the checked result, with the look-ups services need
    loading.py    from file to model
    changes.py    what is different between two
    merging.py    the file's endpoints and those that sources tell of, as one
    sources/      who tells of endpoints while services run: Docker, Kubernetes, yours
"""

from ezpath.inventory.changes import Changes, difference
from ezpath.inventory.document import NAME, HostConfig, PortConfig, RouteConfig, SwitchConfig, VlanRange
from ezpath.inventory.loading import load, parse
from ezpath.inventory.model import Endpoint, Host, Inventory, Pair, Switch
from ezpath.inventory.problems import InventoryError, Problem

__all__ = [
    "NAME",
    "Changes",
    "Endpoint",
    "Host",
    "HostConfig",
    "Inventory",
    "InventoryError",
    "Pair",
    "PortConfig",
    "Problem",
    "RouteConfig",
    "Switch",
    "SwitchConfig",
    "VlanRange",
    "difference",
    "load",
    "parse",
]
