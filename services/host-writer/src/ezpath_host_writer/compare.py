"""What a host's bridges hold against what they ought to hold, in words. Pure.

Ours is what carries our cookie: on the two bridges where it belongs, in any table, and on any other bridge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from ezpath.answers import Changed, Gap
from ezpath.items import HostItem, words
from ezpath.ovs.flows import Flow, Place, difference

from ezpath_host_writer.rules import BridgeRole, NoPort, Ports, Rules, compile_items, items_of, rules_of

Key = tuple[BridgeRole, Place]


@dataclass(frozen=True, slots=True)
class Found:
    """Everything under our cookie on one host."""

    rules: Rules
    strays: Mapping[str, tuple[Flow, ...]] = field(default_factory=dict)
    """By bridge: rules on bridges where none of ours belongs."""


def compare(items: Iterable[HostItem], ports: Ports, found: Found) -> Gap:
    """The difference between ``items``, with the guards, and what is there."""
    items = tuple(items)
    owners = _owners(items, ports)
    compiled = compile_items(items, ports)
    wanted, present = dict(_by_place(compiled.rules)), dict(_by_place(found.rules))
    missing = [f"{words(item)}: {problem}" for item, problem in compiled.problems.items()]
    missing += [_say(key, flow, owners) for key, flow in wanted.items() if key not in present]
    changed = [
        Changed(_say(key, flow, owners), str(present[key]))
        for key, flow in wanted.items()
        if key in present and not present[key].same(flow)
    ]
    surplus = [_say(key, flow, {}) for key, flow in present.items() if key not in wanted]
    surplus += [f"bridge {bridge}: {flow}" for bridge, flows in found.strays.items() for flow in flows]
    return Gap(tuple(sorted(missing)), tuple(sorted(surplus)), tuple(changed))


def agrees(before: Iterable[HostItem], after: Iterable[HostItem], ports: Ports, found: Found) -> bool:
    """Whether what was found is what ought to be there, where commands were carried out while it was looked for.

    ``before`` and ``after``: the items wanted when that began and when it had ended. What came or went meanwhile may
    be there or not. That something is there that came and went, or is not that went and came, is no agreement either:
    who finds none looks again, with nobody else at work.
    """
    before, after = frozenset(before), frozenset(after)
    must, may = compile_items(before & after, ports), compile_items(before | after, ports)
    if must.problems or found.strays:
        return False
    return all(
        not difference(wanted, there).adds and not difference(allowed, there).deletes
        for wanted, allowed, there in (
            (must.rules.integration, may.rules.integration, found.rules.integration),
            (must.rules.physical, may.rules.physical, found.rules.physical),
        )
    )


def _by_place(rules: Rules) -> Iterator[tuple[Key, Flow]]:
    for flow in rules.integration:
        yield ("integration", flow.place), flow
    for flow in rules.physical:
        yield ("physical", flow.place), flow


def _owners(items: Iterable[HostItem], ports: Ports) -> dict[Key, HostItem]:
    """Of a rule that several items share, the first."""
    owners: dict[Key, HostItem] = {}
    for item in items:
        try:
            rules = rules_of(item, ports)
        except NoPort:
            continue
        for key, _ in _by_place(rules):
            owners.setdefault(key, item)
    return owners


def _say(key: Key, flow: Flow, owners: Mapping[Key, HostItem]) -> str:
    bridge = f"{key[0]} bridge: {flow}"
    owner = owners.get(key) or next(iter(items_of([flow])), None)
    return f"{words(owner)}, {bridge}" if owner is not None else bridge
