"""One offload as it is told on the bus, from the request to its end: for tests of what is made of it."""

from __future__ import annotations

import time

import numpy as np
from ezpath.bus import Bus
from ezpath.events import (
    FlowSample,
    HostCommand,
    OffloadRequested,
    RevertRequested,
    SagaOutcome,
    SagaStep,
    StepReport,
    SwitchCommand,
)
from ezpath.items import TenantTag
from ezpath.names import HostName, PairId, Port, SwitchName, Tenant, VlanId, Vni

PAIR = PairId("red.red-1.red-3")
SAGA = f"{PAIR}.1"
TENANT = Tenant("red")
TOR1 = SwitchName("tor1")
H11 = HostName("h11")


def sample(switch: str = "tor1") -> FlowSample:
    columns = [np.array([value], np.uint64) for value in (5001, 0x020000000001, 0x020000000003, 10, 15000)]
    return FlowSample(SwitchName(switch), 7, 1, time.time_ns(), 1.0, *columns, collector="c", drops={"3": 2})


def events(began: float) -> list[object]:
    """There in 60 ms, of which the switch took 40; a second at rest; and back, where the host is asked twice."""

    def step(phase, previous, after_ms, generation, *targets, reason=""):  # type: ignore[no-untyped-def]
        return SagaStep(SAGA, PAIR, TENANT, generation, phase, previous, began + after_ms / 1e3, 0.0, targets, reason)

    tag = TenantTag(Port(1), VlanId(7), Vni(5001))
    return [
        OffloadRequested(PAIR, TENANT, "busy", 2e8, began - 0.001),
        step("requested", "requested", 0, 1, reason="busy"),
        step("switch-receive", "requested", 5, 2, "switch:tor1"),
        SwitchCommand(SAGA, PAIR, 2, "switch-receive", TOR1, (tag,)),
        StepReport(SAGA, PAIR, 2, "switch-receive", "switch:tor1", True, took_ms=38.0),
        step("host-send", "switch-receive", 45, 3, "host:h11"),
        HostCommand(SAGA, PAIR, 3, "host-send", H11),
        StepReport(SAGA, PAIR, 3, "host-send", "host:h11", True, took_ms=12.0),
        step("active", "host-send", 60, 3),
        SagaOutcome(SAGA, PAIR, TENANT, "active", began + 0.06, 60.0, "busy"),
        RevertRequested(PAIR, TENANT, "idle", began + 1.059),
        step("host-send-off", "active", 1060, 4, "host:h11", reason="idle"),
        step("host-send-off", "host-send-off", 2060, 5, "host:h11", reason="waiting: no answer from host:h11"),
        HostCommand(SAGA, PAIR, 5, "host-send-off", H11),
        StepReport(SAGA, PAIR, 5, "host-send-off", "host:h11", True, took_ms=9.0),
        step("reverted", "host-send-off", 2080, 5, reason="idle"),
        SagaOutcome(SAGA, PAIR, TENANT, "reverted", began + 2.08, 1021.0, "idle"),
    ]


async def tell(bus: Bus, began: float) -> None:
    for event in events(began):
        await bus.publish(event)  # type: ignore[arg-type]
