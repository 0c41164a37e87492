"""In which order the two bridges are changed, so that no frame meets a path that is half there.

Pure. A frame that is sent passes the integration bridge first, one that is received passes it last. So a path is
built from its end to its beginning, and taken down from its beginning to its end; each stage is one atomic bundle.

    1  integration   build the end of receiving, take down the beginning of sending
    2  physical      build both, take down the beginning of receiving
    3  integration   build the beginning of sending, take down the end of receiving
    4  physical      take down the end of sending
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ezpath.ovs.flows import Change, Flow, Place, Role, difference

from ezpath_host_writer.rules import BridgeRole, Rules


@dataclass(frozen=True, slots=True)
class Stage:
    bridge: BridgeRole
    change: Change


def stages(wanted: Rules, present: Rules) -> list[Stage]:
    """What turns ``present`` into ``wanted``; empty where they mean the same."""
    integration = difference(wanted.integration, present.integration)
    physical = difference(wanted.physical, present.physical)
    begins_sending = _by(Role.SEND)
    int_first, int_last = _split(integration, late_add=begins_sending, early_delete=begins_sending)
    phy_first, phy_last = _split(physical, late_add=_never, early_delete=_by(Role.RECEIVE))
    candidates = (
        Stage("integration", int_first),
        Stage("physical", phy_first),
        Stage("integration", int_last),
        Stage("physical", phy_last),
    )
    return [stage for stage in candidates if stage.change]


Test = Callable[[Flow], bool]


def _split(change: Change, *, late_add: Test, early_delete: Test) -> tuple[Change, Change]:
    """The bridge's first and last bundle. A rule that is replaced is deleted and added in one of them."""
    replaced: dict[Place, bool] = {flow.place: late_add(flow) for flow in change.adds}

    def late_delete(flow: Flow) -> bool:
        return replaced.get(flow.place, not early_delete(flow))

    return (
        Change(_without(change.adds, late_add), _without(change.deletes, late_delete)),
        Change(_with(change.adds, late_add), _with(change.deletes, late_delete)),
    )


def _by(role: Role) -> Test:
    return lambda flow: flow.role is role


def _never(_: Flow) -> bool:
    return False


def _with(flows: Iterable[Flow], test: Test) -> tuple[Flow, ...]:
    return tuple(flow for flow in flows if test(flow))


def _without(flows: Iterable[Flow], test: Test) -> tuple[Flow, ...]:
    return tuple(flow for flow in flows if not test(flow))
