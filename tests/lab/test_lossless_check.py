"""The lossless check itself, between two namespaces: it must notice what is missing, and what does not belong."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

import pytest
from ezpath_lab.workload import Pair, tallies

pytestmark = pytest.mark.root

NAMES = ("ezt-lab-a", "ezt-lab-b")
ADDRESSES = {"ezt-lab-a": "10.9.9.1", "ezt-lab-b": "10.9.9.2"}
PAIR = Pair("red", "a", "b")
RATE = 500


class Require(Protocol):
    def __call__(self, *tools: str, root: bool = False) -> None: ...


class End:
    """One end of a stream, in its namespace."""

    def __init__(self, namespace: str, peer: str, sender: str, expected: str) -> None:
        argv = (sys.executable, "-m", "ezpath_lab.traffic", "--seconds", "30", "stream", "--sender", sender)
        options = ("--expect", expected, "--peer", peer, "--port", "7007", "--rate", str(RATE))
        self.process = subprocess.Popen(
            ("ip", "netns", "exec", namespace, *argv, *options),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, command: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()

    def report(self) -> dict[str, Any]:
        self.tell("report")
        assert self.process.stdout is not None
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True)


@pytest.fixture
def wire(needs: Require) -> Iterator[None]:
    """Two namespaces and a veth pair between them."""
    needs("ip", root=True)
    try:
        for name in NAMES:
            _ip("netns", "add", name)
        _ip("link", "add", "e0", "netns", NAMES[0], "type", "veth", "peer", "name", "e0", "netns", NAMES[1])
        for name, address in ADDRESSES.items():
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "e0")
            _ip("-n", name, "link", "set", "e0", "up")
        yield
    finally:
        for name in NAMES:
            subprocess.run(("ip", "netns", "delete", name), check=False, capture_output=True)


@pytest.fixture
def ends(wire: None) -> Iterator[list[End]]:
    a, b = NAMES
    found = [
        End(a, ADDRESSES[b], "red.a.b>a", "red.a.b>b"),
        End(b, ADDRESSES[a], "red.a.b>b", "red.a.b>a"),
    ]
    yield found
    for end in found:
        end.process.kill()
        end.process.communicate()


def _until_met(ends: list[End]) -> None:
    deadline = time.monotonic() + 10
    while not all(end.report()["met"] for end in ends):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _finish(ends: list[End]) -> Any:
    for end in ends:
        end.tell("hush")
    time.sleep(0.5)
    return tallies(PAIR, [end.report() for end in ends])


def test_on_a_good_wire_nothing_is_missing(ends: list[End]) -> None:
    _until_met(ends)
    time.sleep(1.0)

    result = _finish(ends)

    assert result.acts[0].sent > RATE
    assert (result.acts[0].lost, result.acts[0].duplicated, result.foreign, result.gaps) == (0, 0, 0, [])


def test_a_hole_of_a_tenth_of_a_second_is_counted_in_its_act(ends: list[End]) -> None:
    # Given a stream
    _until_met(ends)
    time.sleep(0.3)

    # When in its second act a's packets go to nobody for a while
    for end in ends:
        end.tell("act 1")
    b = (ADDRESSES[NAMES[1]], "dev", "e0")
    _ip("-n", NAMES[0], "neighbour", "replace", *b, "lladdr", "02:00:00:00:00:99", "nud", "permanent")
    time.sleep(0.1)
    _ip("-n", NAMES[0], "neighbour", "delete", *b)
    time.sleep(0.3)
    for end in ends:
        end.tell("act 2")
    time.sleep(0.3)
    result = _finish(ends)

    # Then that act lost about as many packets as were sent then, the others none, and it is said when
    assert result.acts[1].lost >= 0.1 * RATE * 0.5
    assert (result.acts[0].lost, result.acts[2].lost) == (0, 0)
    assert any("red.a.b>a sent between" in gap for gap in result.gaps)


def test_a_packet_of_another_tenant_is_foreign(wire: None) -> None:
    # Given a receiver that waits for red, and somebody who sends it blue's packets
    b = End(NAMES[1], ADDRESSES[NAMES[0]], "red.a.b>b", "red.a.b>a")
    stranger = End(NAMES[0], ADDRESSES[NAMES[1]], "blue.a.b>a", "red.a.b>b")
    try:
        # When blue sends
        deadline = time.monotonic() + 10
        while not (report := b.report())["foreign"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        for end in (b, stranger):
            end.process.kill()
            end.process.communicate()

    # Then red's receiver has counted it as foreign, and as nothing else
    assert report["foreign_senders"] == ["blue.a.b>a"]
    assert report["received"] == {}
