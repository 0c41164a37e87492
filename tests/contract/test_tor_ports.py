"""Interfaces that go down, go away and come back under a running ``ezpath-tor``, and MTUs that are too small."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tor_process import CONFIG, DST, FRAME, Namespace, ended, load, options, wait_until

from p4rt import Client, TableEntry, Update

pytestmark = pytest.mark.root

ENTRIES = {
    TableEntry("tenant_tag", {"ingress_port": 1, "vid": 100}, "set_tenant", {"vni": 5001}),
    TableEntry("tenant_tag", {"ingress_port": 2, "vid": 100}, "set_tenant", {"vni": 5001}),
    TableEntry("endpoint", {"vni": 5001, "mac": int(DST, 16)}, "to_port", {"port": 2, "vid": 200}),
}


@pytest_asyncio.fixture
async def loaded(sock: Path, namespace: Namespace) -> AsyncIterator[Client]:
    """A switch that sends the frame that comes into port 1 out of port 2."""
    namespace.tor(*options(sock))
    client = await load(f"unix:{sock}")
    assert await client.write([Update.insert(entry) for entry in ENTRIES]) == []
    yield client
    await client.close()


def forwards(namespace: Namespace, count: int = 3) -> bool:
    """What goes into port 1 comes out of port 2."""
    before = namespace.sent("p2")
    namespace.send("q1", FRAME, count)
    return namespace.sent("p2") == before + count


def add_pair(namespace: Namespace, number: int) -> None:
    namespace.run("ip", "link", "add", f"p{number}", "type", "veth", "peer", "name", f"q{number}")
    for end in (f"p{number}", f"q{number}"):
        namespace.run("ip", "link", "set", end, "up")


def events(process: Any) -> Callable[[str], list[dict[str, Any]]]:
    """What the ended process has logged, by event."""
    lines = [json.loads(line) for line in ended(process)[1].splitlines()]
    return lambda event: [line for line in lines if line["event"] == event]


async def test_a_link_that_was_down_forwards_again_when_it_is_up(namespace: Namespace, loaded: Client) -> None:
    assert forwards(namespace)
    for end in ("p2", "q2", "p1"):
        # Given a link that goes down at either end
        namespace.run("ip", "link", "set", end, "down")
        namespace.run("ip", "link", "set", end, "up")
        # When it is up again, then packets go as before, and nobody wrote anything
        wait_until(lambda: forwards(namespace))
    assert set(await loaded.read_table()) == ENTRIES
    # And the log has told of it
    assert namespace.switch is not None
    namespace.switch.send_signal(signal.SIGTERM)
    said = events(namespace.switch)
    assert {line["interface"] for line in said("link is down")} == {"p1", "p2"}


async def test_a_port_that_is_gone_is_named_its_frames_counted_and_the_others_go_on(
    namespace: Namespace, sock: Path, loaded: Client
) -> None:
    # Given a third port, and an endpoint behind it
    namespace.end(signal.SIGTERM)
    add_pair(namespace, 3)
    namespace.tor(*options(sock), "--port", "3=p3")
    async with Client(f"unix:{sock}", 1) as client:
        await client.become_primary(1)
        behind = TableEntry("endpoint", {"vni": 5001, "mac": 5}, "to_port", {"port": 3, "vid": 300})
        assert await client.write([Update.insert(behind)]) == []
        to_third = FRAME.replace(DST, f"{5:012x}")
        namespace.send("q1", to_third, 2)
        assert namespace.sent("p3") == 2
        # When its interface is deleted, then frames between the others go on
        namespace.run("ip", "link", "del", "p3")
        assert forwards(namespace)
        # And entries of all ports are kept, and taken
        assert behind in await client.read_table()
        assert await client.write([Update.modify(behind)]) == []
        wait_until(lambda: namespace.filters("p1") != "")
        namespace.send("q1", to_third, 4)
        # When an interface of that name comes back, then it is a port again, and nobody wrote anything
        add_pair(namespace, 3)
        wait_until(lambda: sends(namespace, to_third, "p3"))
        namespace.send("q3", FRAME, 1)  # from there nothing is allowed: but it is the program that says so
        assert (await client.read_counter("drops"))[:, 0].sum() > 0
        assert forwards(namespace)
    # And the log has named the port, and counted
    assert namespace.switch is not None
    namespace.switch.send_signal(signal.SIGTERM)
    said = events(namespace.switch)
    assert [(line["port"], line["interface"]) for line in said("port is gone")] == [(3, "p3")]
    assert [(line["port"], line["interface"]) for line in said("port is there")] == [(3, "p3")]
    (lost,) = said("frames lost in the switch")
    assert lost["reason"] == "out of a port that the switch does not have"
    assert lost["frames"] >= 4


def sends(namespace: Namespace, frame: str, out_of: str) -> bool:
    before = namespace.sent(out_of)
    namespace.send("q1", frame, 1)
    return namespace.sent(out_of) > before


async def test_a_port_that_changes_places_while_nobody_runs_is_found_again(
    namespace: Namespace, sock: Path, loaded: Client
) -> None:
    # Given a switch whose process was killed, and a port that was replaced meanwhile
    namespace.end(signal.SIGKILL)
    namespace.run("ip", "link", "del", "p2")
    namespace.run("ip", "link", "add", "p2", "type", "veth", "peer", "name", "q2")
    # When the next process starts before the new interface is there, and after
    namespace.run("ip", "link", "set", "p2", "name", "later")
    namespace.tor(*options(sock))
    namespace.run("ip", "link", "set", "later", "name", "p2")
    for end in ("p2", "q2"):
        namespace.run("ip", "link", "set", end, "up")
    # Then it forwards, with the entries of before
    wait_until(lambda: forwards(namespace))
    async with Client(f"unix:{sock}", 1) as client:
        assert set(await client.read_table()) == ENTRIES


async def test_a_new_program_is_loaded_while_a_port_is_gone(namespace: Namespace, loaded: Client) -> None:
    namespace.run("ip", "link", "del", "p1")
    pipeline = await loaded.get_pipeline()
    assert pipeline is not None
    await loaded.set_pipeline(pipeline.p4info, CONFIG, cookie=2)
    assert await loaded.write([Update.insert(entry) for entry in ENTRIES]) == []
    add_pair(namespace, 1)
    wait_until(lambda: forwards(namespace))


@pytest.mark.parametrize(
    ("mtus", "rules", "said"),
    [
        ({"p2": 1549}, ["2=1550"], "port 2 (p2) has an MTU of 1549; it has to be at least 1550"),
        ({"p1": 1500, "p2": 1500}, ["2=+50"], "has an MTU of 1500; port 1 (p1) has 1500, and 50 bytes more"),
        ({"p1": 9000, "p2": 1600}, ["2=+50"], "at least 9050: ip link set p2 mtu 9050"),
    ],
)
def test_an_mtu_that_is_too_small_is_refused_at_start_with_the_numbers(
    namespace: Namespace, sock: Path, mtus: dict[str, int], rules: list[str], said: str
) -> None:
    for name, mtu in mtus.items():
        namespace.run("ip", "link", "set", name, "mtu", str(mtu))
    arguments = [word for rule in rules for word in ("--min-mtu", rule)]
    status, errors = ended(namespace.start(*options(sock), *arguments))
    assert (status, said in " ".join(errors.split())) == (1, True), errors
    assert not sock.exists()


def test_an_mtu_that_becomes_too_small_is_said_while_it_runs(namespace: Namespace, sock: Path) -> None:
    # Given a switch that started with MTUs that were large enough
    namespace.run("ip", "link", "set", "p2", "mtu", "1550")
    process = namespace.tor(*options(sock), "--min-mtu", "2=+50")
    assert process.stderr is not None
    # When the other port's grows, then the log says what is too small now, by name and with the numbers
    namespace.run("ip", "link", "set", "p1", "mtu", "1501")
    problem = next(line for line in process.stderr if "MTU too small" in line)
    assert "port 2 (p2) has an MTU of 1550; port 1 (p1) has 1501" in problem
    namespace.run("ip", "link", "set", "p1", "mtu", "1500")
    assert next(line for line in process.stderr if "MTUs are large enough again" in line)
