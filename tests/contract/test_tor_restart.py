"""``ezpath-tor`` ends and starts again: the packets do not notice, and the new process knows what the old one did."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from ezpath_collector.cells import decode
from ezpath_collector.source import STAGES
from p4rt.arbitration import uint128
from p4rt.entries import to_proto
from tor_process import CONFIG, DST, FRAME, INFO, Namespace, ended, load, options

from p4rt import Client, NotPrimary, P4RuntimeError, TableEntry, Update, messages

pytestmark = pytest.mark.root

STREAM = """
import signal, socket, sys, time
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((sys.argv[1], 0))
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
print("begun", flush=True)
sent = 0
while not stop and sent < 200_000:
    raw.send(bytes.fromhex(sys.argv[2]))
    sent += 1
    time.sleep(0.0003)
print(sent, flush=True)
"""
TAG = TableEntry("tenant_tag", {"ingress_port": 1, "vid": 100}, "set_tenant", {"vni": 5001})
ENDPOINT = TableEntry("endpoint", {"vni": 5001, "mac": int(DST, 16)}, "to_port", {"port": 2, "vid": 200})
ROUTES = [
    TableEntry("route", {"prefix": (0x0A000000, 8)}, "next_hop", {"port": 1, "src": 1, "dst": 2}),
    TableEntry("route", {}, "next_hop", {"port": 2, "src": 3, "dst": 4}),
]
ENTRIES = {TAG, ENDPOINT, *ROUTES}
DEFAULT = TableEntry("local_vtep", action="is_local_vtep", default=True)
ANOTHER = TableEntry("endpoint", {"vni": 5001, "mac": 7}, "to_tunnel", {"local_ip": 1, "vtep": 2**32 - 1})


class Stream:
    """Frames into q1 without a pause."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._process = namespace.start_command(sys.executable, "-c", STREAM, "q1", FRAME)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "begun\n"

    def stop(self) -> int:
        """How many there were."""
        self._process.send_signal(signal.SIGTERM)
        return int(self._process.communicate(timeout=20)[0])


async def connected(sock: Path, election_id: int | None = None) -> Client:
    client = Client(f"unix:{sock}", 1)
    await client.connect()
    if election_id is not None:
        await client.become_primary(election_id)
    return client


@pytest_asyncio.fixture
async def loaded(sock: Path, namespace: Namespace) -> AsyncIterator[Client]:
    """A switch with entries of every kind, whose primary had election id 7."""
    namespace.tor(*options(sock))
    client = await load(f"unix:{sock}", election_id=7)
    assert await client.write([Update.insert(entry) for entry in ENTRIES] + [Update.modify(DEFAULT)]) == []
    yield client
    await client.close()


async def flow(client: Client) -> int:
    """Packets of the stream's flow in the monitor."""
    flows = decode([await client.read_register(name) for name in STAGES])
    return int(flows.packets[flows.dst == int(DST, 16)].sum())


async def read_raw(client: Client, wanted: messages.TableEntry) -> list[messages.TableEntry]:
    request = messages.ReadRequest(device_id=1, entities=[messages.Entity(table_entry=wanted)])
    found: list[messages.TableEntry] = []
    async for data in client._rpc().read(request):
        found += [entity.table_entry for entity in messages.ReadResponse.FromString(data).entities]
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_stream_goes_on_through_a_restart_and_the_new_process_knows_everything(
    namespace: Namespace, sock: Path, loaded: Client, number: signal.Signals
) -> None:
    # Given a stream through the switch
    stream = Stream(namespace)
    await asyncio.sleep(0.3)
    # When the process ends, and a while later another one starts
    namespace.end(number)
    await asyncio.sleep(0.3)
    between = namespace.sent("p2")
    namespace.tor(*options(sock))
    again = await connected(sock, election_id=7)
    await asyncio.sleep(0.3)
    # Then it has the program, its cookie, the entries and the default
    pipeline = await again.get_pipeline()
    assert pipeline is not None
    assert (pipeline.cookie, pipeline.p4info.proto) == (1, INFO.proto)
    assert set(await again.read_table()) == ENTRIES
    default = messages.TableEntry(table_id=INFO.tables["local_vtep"].id, is_default_action=True)
    assert [found.action for found in await read_raw(again, default)] == [to_proto(DEFAULT, INFO).action]
    # And writes: what is inserted twice is there already, what is modified changes where packets go
    failures = await again.write([Update.insert(ENDPOINT), Update.insert(ANOTHER), Update.delete(ROUTES[0])])
    assert [(failure.index, failure.code.name) for failure in failures] == [(0, "ALREADY_EXISTS")]
    assert set(await again.read_table()) == ENTRIES - {ROUTES[0]} | {ANOTHER}
    # And no frame was lost, none is missing in the counters, and some came while there was no process
    sent = stream.stop()
    assert between > 0
    assert namespace.sent("p2") == sent
    assert await flow(again) == sent
    assert await again.write([Update.delete(ENDPOINT)]) == []
    drops = (await again.read_counter("drops"))[:, 0].sum()
    namespace.send("q1", FRAME, 5)
    assert namespace.sent("p2") == sent
    assert (await again.read_counter("drops"))[:, 0].sum() == drops + 5
    await again.close()


async def test_metadata_and_the_cookie_of_the_config_are_remembered(
    namespace: Namespace, sock: Path, loaded: Client
) -> None:
    # Given an entry with metadata, one whose metadata was taken away, and a config that got another cookie
    marked, plain = (to_proto(entry, INFO) for entry in (ENDPOINT, TAG))
    request = messages.WriteRequest(device_id=1, election_id=uint128(7))
    for entry, metadata in ((marked, b"mine"), (plain, b"x"), (plain, b"")):
        entry.metadata, entry.controller_metadata = metadata, 3 if metadata else 0
        request.updates.add(type=messages.Update.MODIFY).entity.table_entry.CopyFrom(entry)
    await loaded._rpc().write(request)
    keep = messages.SetForwardingPipelineConfigRequest.RECONCILE_AND_COMMIT
    config = messages.ForwardingPipelineConfig(p4info=INFO.proto, p4_device_config=CONFIG)
    config.cookie.cookie = 99
    await loaded._rpc().set_pipeline(
        messages.SetForwardingPipelineConfigRequest(device_id=1, election_id=uint128(7), action=keep, config=config)
    )
    # When the process is killed and another one starts
    namespace.end(signal.SIGKILL)
    namespace.tor(*options(sock))
    # Then all of that is as it was
    async with await connected(sock) as again:
        assert (await again.get_pipeline()).cookie == 99  # type: ignore[union-attr]
        (found,) = await read_raw(again, messages.TableEntry(metadata=b"mine"))
        assert found == marked
        others = [entry for entry in await read_raw(again, messages.TableEntry()) if entry != marked]
        assert {(entry.metadata, entry.controller_metadata) for entry in others} == {(b"", 0)}


async def test_the_highest_election_id_is_remembered_as_the_specification_asks(
    namespace: Namespace, sock: Path, loaded: Client
) -> None:
    # Given that a controller with election id 9 stood, and never wrote
    async with await connected(sock, election_id=9):
        pass
    namespace.end(signal.SIGKILL)
    namespace.tor(*options(sock))
    # When one with a lower id stands first, then it does not become primary
    with pytest.raises(NotPrimary) as caught:
        await connected(sock, election_id=8)
    assert (caught.value.code, caught.value.primary_election_id) == (grpc.StatusCode.NOT_FOUND, 9)
    async with await connected(sock, election_id=9) as primary:
        assert await primary.write([Update.insert(ANOTHER)]) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_with_empty_it_is_a_switch_that_was_switched_off(
    namespace: Namespace, sock: Path, loaded: Client, number: signal.Signals
) -> None:
    # Given a switch whose process has ended
    namespace.end(number)
    assert namespace.is_promiscuous("p1")
    # When another one starts with --empty
    namespace.tor(*options(sock), "--empty")
    # Then there is no pipeline, nothing runs on the ports, and no election is remembered
    async with await connected(sock, election_id=1) as client:
        assert await client.get_pipeline() is None
        assert namespace.filters("p1") == ""
        assert not namespace.is_promiscuous("p1")
        await client.set_pipeline(INFO, CONFIG, cookie=5)
        assert await client.read_table() == []
        assert not (await client.read_register("stage1")).any()
        assert not (await client.read_counter("drops")).any()
    # And when it ends, nothing is left
    namespace.end(signal.SIGTERM)
    assert namespace.filters("p1") == namespace.filters("p2") == ""
    assert "clsact" not in namespace.run("tc", "qdisc", "show")
    assert not namespace.is_promiscuous("p1")


async def test_clean_takes_off_what_a_killed_one_left(namespace: Namespace, sock: Path, loaded: Client) -> None:
    namespace.end(signal.SIGKILL)
    assert "bpf" in namespace.filters("p1")
    status, log = ended(namespace.start(*options(sock), "--clean"))
    assert status == 0, log
    assert "clsact" not in namespace.run("tc", "qdisc", "show")
    assert not namespace.is_promiscuous("p2")


async def test_what_was_there_before_the_switch_stays_when_another_process_cleans_up(
    namespace: Namespace, sock: Path
) -> None:
    # Given an interface with a qdisc and the promiscuous flag of somebody else's
    namespace.run("tc", "qdisc", "add", "dev", "p1", "clsact")
    namespace.run("ip", "link", "set", "p1", "promisc", "on")
    namespace.tor(*options(sock))
    await (await load(f"unix:{sock}")).close()
    # When the switch is killed, and another process takes it off
    namespace.end(signal.SIGKILL)
    assert ended(namespace.start(*options(sock), "--clean"))[0] == 0
    # Then these are still there, and what was the switch's is not
    assert namespace.run("tc", "qdisc", "show", "dev", "p1").count("clsact") == 1
    assert namespace.is_promiscuous("p1")
    assert namespace.filters("p1") == ""
    assert "clsact" not in namespace.run("tc", "qdisc", "show", "dev", "p2")
    assert not namespace.is_promiscuous("p2")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--device-id", "2"], "device 1 runs on these ports, and not device 2: start the switch as it was started"),
        (["--limit", "endpiont=5"], "a limit for table endpiont: the program has no table 'endpiont'"),
        (["--min-mtu", "2=9000"], "port 2 (p2) has an MTU of 1500; it has to be at least 9000"),
    ],
)
async def test_started_in_another_way_it_refuses_and_the_traffic_goes_on(
    namespace: Namespace, sock: Path, loaded: Client, changed: list[str], said: str
) -> None:
    namespace.end(signal.SIGKILL)
    before = namespace.filters("p1"), namespace.filters("p2")
    status, log = ended(namespace.start(*options(sock), *changed))
    assert (status, said in " ".join(log.split())) == (1, True), log
    assert (namespace.filters("p1"), namespace.filters("p2")) == before
    sent = namespace.sent("p2")
    namespace.send("q1", FRAME, 3)
    assert namespace.sent("p2") == sent + 3
    namespace.tor(*options(sock))
    async with await connected(sock) as client:
        assert set(await client.read_table()) == ENTRIES


async def test_a_port_that_is_no_longer_one_is_left_as_it_was(namespace: Namespace, sock: Path, loaded: Client) -> None:
    namespace.end(signal.SIGKILL)
    namespace.tor("--listen", f"unix:{sock}", "--port", "1=p1")
    assert "bpf" in namespace.filters("p1")
    assert namespace.filters("p2") == ""
    assert not namespace.is_promiscuous("p2")
    async with await connected(sock) as client:
        assert set(await client.read_table()) == ENTRIES


class Writer:
    """Inserts and deletes entries without a pause. ``held``: those that were confirmed."""

    def __init__(self) -> None:
        self.held: set[TableEntry] = set()
        self.under_way: list[Update] = []
        self._random = random.Random(4)
        self._number = 0

    async def write(self, client: Client) -> None:
        """Until the switch is gone."""
        while True:
            victims = self._random.sample(sorted(self.held, key=str), min(len(self.held), 20))
            fresh = [_endpoint(self._number + offset) for offset in range(60)]
            self._number += 60
            self.under_way = [*map(Update.insert, fresh), *map(Update.delete, victims)]
            assert await client.write(self.under_way) == []
            self.held = self.held.union(fresh).difference(victims)
            self.under_way = []


async def test_whatever_was_confirmed_before_a_kill_is_there_after_it(namespace: Namespace, sock: Path) -> None:
    # Given a controller that writes without a pause
    writer = Writer()
    namespace.tor(*options(sock))
    client = await load(f"unix:{sock}")
    for seconds in (0.1, 0.17, 0.23, 0.31):
        writing = asyncio.create_task(writer.write(client))
        await asyncio.sleep(seconds)
        # When the switch is killed in the middle of it
        namespace.end(signal.SIGKILL)
        (error,) = await asyncio.gather(writing, return_exceptions=True)
        assert isinstance(error, P4RuntimeError)
        await client.close()
        namespace.tor(*options(sock))
        client = await connected(sock, election_id=1)
        # Then all that was confirmed is there, and of the rest only what was being written
        found = set(await client.read_table())
        doubtful = {update.entry for update in writer.under_way}
        assert found - doubtful == writer.held - doubtful
        writer.held = found
    assert len(writer.held) > 100
    assert await client.write([Update.delete(entry) for entry in writer.held]) == []
    await client.close()


def _endpoint(number: int) -> TableEntry:
    return TableEntry("endpoint", {"vni": number % 7, "mac": number}, "to_port", {"port": 1, "vid": number % 4096})


async def test_a_server_without_a_program_has_nothing_to_hand_over(namespace: Namespace, sock: Path) -> None:
    namespace.tor(*options(sock))
    namespace.end(signal.SIGTERM)
    namespace.tor(*options(sock))
    async with await connected(sock) as client:
        assert await client.get_pipeline() is None
