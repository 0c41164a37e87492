"""Traces: the real services send what an offload was to a real OTLP receiver, and it is one whole tree.

NATS, all four services, the ToR's P4Runtime server and two Open vSwitches are real, and so is the wire to the receiver.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from contract.ovs_machine import OvsMachine
from contract.services_rig import ENDS, OPTIONS, End, running
from ezpath.names import Mac
from ezpath.tracing.spans import FORWARD
from otlp_receiver import Received, Receiver, receiving

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

PAIR, OTHER = "red.red-a.red-b", "red.red-c.red-d"
FOUR: tuple[End, ...] = (
    *ENDS,
    ("red-c", Mac("02:00:00:00:00:03"), "h1"),
    ("red-d", Mac("02:00:00:00:00:04"), "h2"),
)
BACK = ("host-send-off", "drain", "host-receive-off", "switch-off")
WRITERS = {"ezpath-switch-writer", "ezpath-host-writer"}


def tree(receiver: Receiver, saga: str) -> dict[str, list[Received]]:
    """The children of each span by its id, the root below the empty one. All of it is one trace, and hangs together."""
    spans = receiver.of(saga)
    assert len({span.trace_id for span in spans}) == 1
    known = {span.span_id for span in spans}
    below: dict[str, list[Received]] = {}
    for span in spans:
        below.setdefault(span.parent_id, []).append(span)
        assert span.parent_id in known or not span.parent_id, f"{span.name} hangs on a span that nobody sent"
        assert span.began_at <= span.ended_at
    assert len(below[""]) == 1, "one root"
    return below


def whole(receiver: Receiver, saga: str) -> bool:
    """Whether all services have sent theirs: each does at its own pace, so the root's end says nothing of the rest."""
    spans = [span for span in receiver.of(saga) if not span.name.endswith("asked again")]
    parents = {span.parent_id for span in spans if span.parent_id}
    phases = {span.span_id for span in spans if span.name.startswith(("switch-", "host-"))}
    writers = {span.span_id for span in spans if span.parent_id in phases}
    return parents <= {span.span_id for span in spans} and phases | writers <= parents


def failures(receiver: Receiver, saga: str) -> dict[str, str]:
    return {span.name: span.error for span in receiver.of(saga) if span.error is not None}


def outcomes(receiver: Receiver, saga: str) -> list[str]:
    return [span.name for span in receiver.of(saga) if span.name.startswith("outcome")]


async def test_an_offload_is_one_whole_trace_across_all_services_and_deciders(
    tmp_path: Path, nats_server, make_machine: Callable[[], OvsMachine]
) -> None:
    with receiving() as receiver:
        options = {name: (*given, "--traces", receiver.url) for name, given in OPTIONS.items()}
        room = {"endpoint": 2}
        async with running(tmp_path, nats_server.url, make_machine, FOUR, room, **options) as services:
            # given an offload that waits for the hosts, whose decider is killed
            services.end("host-writer")
            saga = f"{PAIR}.1"
            assert (await services.ezpath("offload", PAIR, "--no-wait"))[0] == 0
            await services.until(lambda: receiver.named("switch-send", saga), "the switches have it", 30)
            services.end("decider", number=signal.SIGKILL)
            await services.start("decider", "host-writer")
            # when another decider brings it to its end, and back
            await services.until(lambda: outcomes(receiver, saga) == ["outcome: active"], "it is active", 60)
            assert (await services.ezpath("revert", PAIR))[0] == 0
            await services.until(lambda: len(outcomes(receiver, saga)) == 2, "it is back", 30)
            await services.until(lambda: whole(receiver, saga), "all services have sent their spans", 30)

            # then all of it is one trace, below one root: each phase, in it each writer, in that what it wrote to
            below = tree(receiver, saga)
            [root] = below[""]
            assert (root.name, root.service, root.error) == (f"offload {PAIR}", "ezpath-decider", None)
            children = [span.name for span in below[root.span_id]]
            assert [name for name in children if name in (*FORWARD, *BACK)] == [*FORWARD, *BACK]
            [asked] = [span for span in below[root.span_id] if span.name == "decision"]
            assert asked.attributes["ezpath.reason"]
            for phase in below[root.span_id]:
                writers = below.get(phase.span_id, [])
                again = [span for span in writers if span.name.endswith("asked again")]
                writers = [span for span in writers if span not in again]
                if phase.name.startswith("switch-"):
                    assert {span.name for span in writers} == {"switch:tor1"}
                elif phase.name.startswith("host-"):
                    assert {span.name for span in writers} == {"host:h1", "host:h2"}
                else:
                    assert not writers
                for writer in writers:
                    assert writer.service in WRITERS and writer.error is None
                    [target] = below[writer.span_id]
                    assert target.attributes["ezpath.answer"] == "confirmed"
                    assert writer.began_at <= target.began_at <= target.ended_at <= writer.ended_at
            assert [span for span in receiver.of(saga) if span.name == "host-receive, asked again"]

            # and of one that the switch refuses, what failed is marked, with the switch's words
            assert (await services.ezpath("offload", PAIR))[0] == 0
            code, _, _ = await services.ezpath("offload", OTHER)
            refused = f"{OTHER}.1"
            assert code == 1
            await services.until(lambda: outcomes(receiver, refused), "it is rolled back", 30)
            marked = {"switch-receive", "switch:tor1", "P4Runtime tor1", "outcome: rolled-back"}
            await services.until(lambda: marked <= set(failures(receiver, refused)), "all services sent theirs", 30)
            tree(receiver, refused)
            failed = failures(receiver, refused)
            assert set(failed) == marked
            assert all("RESOURCE_EXHAUSTED" in error for error in failed.values())

            # as in the log of each service that had to do with it
            for service in ("decider", "switch-writer"):
                lines = services.log(service).splitlines()
                assert any(refused in line and "RESOURCE_EXHAUSTED" in line for line in lines), service
