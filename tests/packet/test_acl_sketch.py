"""``tor/examples/acl_sketch.p4``: who may pass, by priority; the policer's rate; the sketch against exact counts."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Callable, Iterator

import grpc
import grpc.aio
import numpy as np
import pytest
from p4rt.arbitration import uint128
from p4rt.entries import to_proto
from packet.example import SWITCHES, Example, running
from packet.frames import ARP, IPV4, TCP, UDP, arp, ethernet, ip, ipv4, tcp, udp
from packet.hashes import crc32

from p4rt import Client, HitCount, P4RuntimeError, TableEntry, Update, messages, service

pytestmark = pytest.mark.root

INSIDE, OUTSIDE = 1, 2
HOST, PEER = "02:00:00:00:00:01", "02:00:00:00:00:02"
COLUMNS = 2048
M16, M32 = (1 << 16) - 1, (1 << 32) - 1

WIRE = [
    TableEntry("wire", {"std.ingress_port": INSIDE}, "to_port", {"port": OUTSIDE}),
    TableEntry("wire", {"std.ingress_port": OUTSIDE}, "to_port", {"port": INSIDE}),
]


@pytest.fixture(scope="module", params=SWITCHES)
def firewall(
    needs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Example]:
    needs("ip", "clang", "sysctl", root=True)
    with running("acl_sketch", tmp_path_factory.mktemp("acl"), request.param) as example:
        yield example


def net(text: str) -> tuple[int, int]:
    """10.0.0.0/8 as value and mask."""
    address, length = text.split("/")
    return ip(address), M32 & ~(M32 >> int(length))


def rule(
    priority: int, action: str, params: dict[str, int] | None = None, **match: int | tuple[int, int]
) -> TableEntry:
    return TableEntry("acl", match, action, params or {}, priority)


def packet(
    src: str = "10.0.0.1", dst: str = "10.0.0.2", protocol: int = UDP, sport: int = 1000, dport: int = 80, size: int = 0
) -> bytes:
    make = tcp if protocol == TCP else udp
    return ethernet(PEER, HOST, IPV4, ipv4(src, dst, make(sport, dport, bytes(size)), protocol))


def passes(firewall: Example, frame: bytes, port: int = INSIDE) -> bool:
    """It comes out of the other port as it is, or not at all."""
    out = firewall.sends(port, frame)
    assert out in ({}, {OUTSIDE if port == INSIDE else INSIDE: [frame]})
    return bool(out)


# ---- the access list


async def test_the_matching_rule_with_the_highest_priority_decides(firewall: Example) -> None:
    rules = [
        rule(10, "permit", src=net("10.0.0.0/8")),
        rule(20, "deny", dst=net("10.0.0.128/25")),
        rule(30, "permit", dst=net("10.0.0.200/32"), protocol=(TCP, 0xFF)),
        rule(40, "deny", dport=(8000, 8999)),
        rule(50, "permit", port=OUTSIDE, sport=(53, 53), protocol=(UDP, 0xFF)),
        rule(15, "permit", src=(0x00000001, 0x00000001), dst=net("192.0.2.0/24")),
    ]
    cases = [
        (packet(), INSIDE, True),
        (packet(src="172.16.0.1"), INSIDE, False),
        (packet(dst="10.0.0.129"), INSIDE, False),
        (packet(dst="10.0.0.200"), INSIDE, False),
        (packet(dst="10.0.0.200", protocol=TCP), INSIDE, True),
        (packet(dst="10.0.0.200", protocol=TCP, dport=8000), INSIDE, False),
        (packet(dport=7999), INSIDE, True),
        (packet(dport=8999), INSIDE, False),
        (packet(dport=9000), INSIDE, True),
        (packet(src="172.16.0.1", sport=53, dport=8500), OUTSIDE, True),
        (packet(src="172.16.0.1", sport=53, dport=8500), INSIDE, False),
        (packet(src="172.16.0.1", dst="192.0.2.7"), INSIDE, True),
        (packet(src="172.16.0.2", dst="192.0.2.7"), INSIDE, False),
    ]
    for order in (rules, rules[::-1]):
        async with firewall.loaded(*WIRE, *order):
            assert [passes(firewall, frame, port) for frame, port, _ in cases] == [wanted for _, _, wanted in cases]


async def test_what_is_not_ipv4_passes_and_what_has_no_other_end_does_not(firewall: Example) -> None:
    async with firewall.loaded(*WIRE[:1]):
        request = ethernet("ff:ff:ff:ff:ff:ff", HOST, ARP, arp(1, HOST, "10.0.0.1", "00:00:00:00:00:00", "10.0.0.2"))
        assert passes(firewall, request)
        assert firewall.sends(OUTSIDE, request) == {}


async def test_rules_come_change_and_go_while_it_runs(firewall: Example) -> None:
    allow, refuse = rule(1, "permit"), rule(9, "deny", dport=(80, 80))
    async with firewall.loaded(*WIRE, allow) as client:
        assert passes(firewall, packet())
        assert await client.write([Update.insert(refuse)]) == []
        assert not passes(firewall, packet())
        assert await client.write([Update.modify(rule(9, "permit", dport=(80, 80)))]) == []
        assert passes(firewall, packet())
        assert await client.write([Update.delete(refuse), Update.delete(allow)]) == []
        assert not passes(firewall, packet())


async def test_what_was_written_is_read_back_and_one_match_may_have_several_priorities(firewall: Example) -> None:
    rules = {
        rule(5, "permit", src=net("10.0.0.0/8"), dport=(1, 1000), port=1),
        rule(6, "deny", src=net("10.0.0.0/8"), dport=(1, 1000), port=1),
        rule(5, "watch", {"packets": 7}),
        rule(7, "police", {"policer": 3}, protocol=(TCP, 0xFF)),
    }
    async with firewall.loaded(*WIRE, *rules) as client:
        assert set(await client.read_table("acl")) == rules


@pytest.mark.parametrize(
    ("wrong", "code", "reason"),
    [
        (rule(0, "permit"), "INVALID_ARGUMENT", "an entry of table acl needs a priority above 0"),
        (rule(-1, "permit"), "INVALID_ARGUMENT", "needs a priority above 0"),
        (rule(1, "permit", src=(0x0A000001, 0xFF000000)), "INVALID_ARGUMENT", "has bits outside its mask"),
        (rule(1, "permit", dport=(9, 8)), "INVALID_ARGUMENT", "the range 0x9..0x8 is empty"),
        (rule(1, "permit", dport=(0, 1 << 16)), "OUT_OF_RANGE", "does not fit in 16 bits"),
        (rule(1, "permit", src=5), "INVALID_ARGUMENT", "takes a pair of numbers"),
        (
            TableEntry("wire", {"std.ingress_port": 9}, "to_port", {"port": 1}, priority=1),
            *("INVALID_ARGUMENT", "table wire takes no priority"),
        ),
    ],
)
async def test_a_rule_that_p4runtime_does_not_allow_is_refused(
    firewall: Example, wrong: TableEntry, code: str, reason: str
) -> None:
    async with Client(firewall.tor.address, 1) as client:
        client.p4info = firewall.info
        [failure] = await client.write([Update.insert(wrong)])
    assert (failure.code.name, reason in failure.message) == (code, True), failure.message


async def test_twice_the_same_rule_is_refused_and_one_that_is_not_there_is_not_found(firewall: Example) -> None:
    async with firewall.loaded(*WIRE, rule(5, "permit")) as client:
        failures = await client.write(
            [
                Update.insert(rule(5, "deny", dport=(0, M16), src=(0, 0))),  # the same: these fields do not care
                Update.modify(rule(6, "permit")),
                Update.delete(rule(5, "permit", dport=(1, 1))),
            ]
        )
    assert [failure.code.name for failure in failures] == ["ALREADY_EXISTS", "NOT_FOUND", "NOT_FOUND"]


async def test_a_full_table_names_its_bound(firewall: Example) -> None:
    firewall.is_the_software_tor()
    rules = [rule(1, "permit", src=(number, M32)) for number in range(1025)]
    async with firewall.loaded(*WIRE) as client:
        [failure] = await client.write([Update.insert(entry) for entry in rules])
        assert (failure.index, failure.code.name) == (1024, "RESOURCE_EXHAUSTED")
        assert "1024 entries" in failure.message
        assert len(await client.read_table("acl")) == 1024


async def test_ranges_that_need_too_many_prefixes_are_refused_with_the_bound(firewall: Example) -> None:
    """The worst range of ports is 30 prefixes, two of them are 900."""
    firewall.is_the_software_tor()
    rules = [rule(1, "permit", src=(number, M32), sport=(1, M16 - 1), dport=(1, M16 - 1)) for number in range(75)]
    async with firewall.loaded(*WIRE) as client:
        failures = await client.write([Update.insert(entry) for entry in rules])
        assert [failure.index for failure in failures] == [73, 74]  # 73 * 900 prefixes fit 1024 + 65,536
        assert failures[0].code.name == "RESOURCE_EXHAUSTED"
        assert "cut into prefixes, the entry's into 900, and there is room for 66560" in failures[0].message
        assert passes(firewall, packet(src="0.0.0.72"))
        assert not passes(firewall, packet(src="0.0.0.73"))


ALLOW, REFUSE = rule(1, "permit"), rule(9, "deny", dport=(81, 81))
SIZE = 62


async def hit_twice_and_thrice(firewall: Example) -> None:
    for dport in (80, 81, 80, 82, 81):
        firewall.sends(INSIDE, packet(dport=dport, size=SIZE - 42))


async def test_each_rule_says_how_often_it_was_hit(firewall: Example) -> None:
    async with firewall.loaded(*WIRE, ALLOW, REFUSE) as client:
        await hit_twice_and_thrice(firewall)
        assert set(await client.read_hits("acl")) == {
            HitCount(rule(1, ""), 3, 3 * SIZE),
            HitCount(rule(9, "", dport=(81, 81)), 2, 2 * SIZE),
        }
        with pytest.raises(P4RuntimeError, match=r"INVALID_ARGUMENT: (t|T)able .*has no direct counter"):
            await client.read_hits("wire")


async def test_a_direct_counter_is_set_and_starts_again_with_its_entry(firewall: Example) -> None:
    async with firewall.loaded(*WIRE, ALLOW, REFUSE) as client:
        await hit_twice_and_thrice(firewall)
        # given another value: alone, with the entry, and the entry changed without one
        await entities(client, direct(firewall, ALLOW, packet_count=100, byte_count=1000))
        with_counts = table_entry(firewall, REFUSE)
        with_counts.table_entry.counter_data.packet_count = 7
        await entities(client, with_counts)
        assert await client.write([Update.modify(rule(1, "deny"))]) == []
        await hit_twice_and_thrice(firewall)
        found = {hit.entry.priority: (hit.packets, hit.octets) for hit in await client.read_hits("acl")}
        assert found == {1: (103, 1000 + 3 * SIZE), 9: (9, 2 * SIZE)}
        # and a new entry has counted nothing, in the place of the old one too
        assert await client.write([Update.delete(REFUSE), Update.insert(REFUSE)]) == []
        found = {hit.entry.priority: hit.packets for hit in await client.read_hits("acl")}
        assert found == {1: 103, 9: 0}


async def test_a_reader_of_entries_gets_their_counts_where_it_asks_for_them(firewall: Example) -> None:
    async with firewall.loaded(*WIRE, ALLOW, REFUSE) as client:
        await hit_twice_and_thrice(firewall)
        wanted = messages.TableEntry(table_id=firewall.info.tables["acl"].id)
        assert [entry.HasField("counter_data") for entry in await read_entries(client, wanted)] == [False, False]
        wanted.counter_data.SetInParent()
        found = {entry.priority: entry.counter_data.packet_count for entry in await read_entries(client, wanted)}
        assert found == {1: 3, 9: 2}


@pytest.mark.parametrize(
    ("change", "code", "reason"),
    [
        ("inserted", "INVALID_ARGUMENT", "is modified, not inserted or deleted"),
        ("not there", "NOT_FOUND", "table acl has no such entry"),
        ("negative", "INVALID_ARGUMENT", "a count is not negative"),
        ("default", "UNIMPLEMENTED", "a direct counter of a default entry is not supported"),
        ("other table", "INVALID_ARGUMENT", "table wire has no direct counter"),
        ("no table", "NOT_FOUND", "the program has no table with id 0"),
        ("no priority", "INVALID_ARGUMENT", "needs a priority above 0"),
    ],
)
async def test_a_wrong_write_of_a_direct_counter_is_refused(
    firewall: Example, change: str, code: str, reason: str
) -> None:
    firewall.is_the_software_tor()
    entity = direct(firewall, ALLOW if change != "not there" else REFUSE, packet_count=1)
    entry = entity.direct_counter_entry.table_entry
    kind = messages.Update.INSERT if change == "inserted" else messages.Update.MODIFY
    if change == "negative":
        entity.direct_counter_entry.data.packet_count = -1
    elif change == "default":
        entry.is_default_action = True
    elif change == "other table":
        entry.CopyFrom(table_entry(firewall, WIRE[0]).table_entry)
    elif change == "no table":
        entry.table_id = 0
    elif change == "no priority":
        entry.priority = 0
    async with firewall.loaded(*WIRE, ALLOW) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await entities(client, entity, kind=kind)
        [detail] = messages.Status.FromString(dict(caught.value.trailing_metadata())["grpc-status-details-bin"]).details
        error = messages.Error()
        assert detail.Unpack(error)
        assert (error.canonical_code, reason in error.message) == (grpc.StatusCode[code].value[0], True), error


def table_entry(firewall: Example, entry: TableEntry) -> messages.Entity:
    return messages.Entity(table_entry=to_proto(entry, firewall.info))


def direct(firewall: Example, entry: TableEntry, **counts: int) -> messages.Entity:
    """The direct counter of an entry."""
    counter = messages.DirectCounterEntry(table_entry=to_proto(entry, firewall.info))
    counter.data.CopyFrom(messages.CounterData(**counts))
    return messages.Entity(direct_counter_entry=counter)


async def entities(client: Client, *changed: messages.Entity, kind: int = messages.Update.MODIFY) -> None:
    """A Write of what the client has no method for."""
    updates = [messages.Update(type=messages.Update.Type.ValueType(kind), entity=entity) for entity in changed]
    request = messages.WriteRequest(device_id=1, election_id=uint128(1), updates=updates)
    async with grpc.aio.insecure_channel(client.address, options=_AUTHORITY) as channel:
        await service.Stub(channel).write(request.SerializeToString())


async def read_entries(client: Client, wanted: messages.TableEntry) -> list[messages.TableEntry]:
    request = messages.ReadRequest(device_id=1, entities=[messages.Entity(table_entry=wanted)])
    async with grpc.aio.insecure_channel(client.address, options=_AUTHORITY) as channel:
        answers = [answer async for answer in service.Stub(channel).read(request)]
    return [entity.table_entry for answer in answers for entity in messages.ReadResponse.FromString(answer).entities]


_AUTHORITY = [("grpc.default_authority", "localhost")]


# ---- the policer


def limit(policer: int, bytes_per_microsecond: float, burst: int) -> TableEntry:
    params = {"rate_of_policer": int(bytes_per_microsecond * 65536), "burst_of_policer": burst << 16}
    return TableEntry("policer", {"policer": policer}, "limit", params)


async def test_a_bucket_that_does_not_fill_lets_its_burst_pass_and_no_more(firewall: Example) -> None:
    police = rule(1, "police", {"policer": 7})
    frame = packet(size=58)  # 100 bytes
    async with firewall.loaded(*WIRE, police, limit(7, 0, 350)) as client:
        assert [passes(firewall, frame) for _ in range(6)] == [True, True, True, False, False, False]
        # what is left is enough for a smaller one
        assert passes(firewall, packet(size=8))
        assert not passes(firewall, packet(size=8))
        excess = await client.read_counter("excess")
        assert excess[7].tolist() == [4, 3 * 100 + 50]
        assert excess.sum() == excess[7].sum(), "of no other policer"


async def test_policers_do_not_share_a_bucket_and_one_without_a_rate_lets_nothing_pass(firewall: Example) -> None:
    rules = [rule(1, "police", {"policer": policer}, dport=(policer, policer)) for policer in (1, 2, 3)]
    async with firewall.loaded(*WIRE, *rules, limit(1, 0, 100), limit(2, 0, 200)):
        passed = {
            policer: [passes(firewall, packet(dport=policer, size=58)) for _ in range(3)] for policer in (1, 2, 3)
        }
        assert passed == {1: [True, False, False], 2: [True, True, False], 3: [False, False, False]}


async def test_the_rate_is_kept(firewall: Example) -> None:
    """As many bytes as the rate allows in the time that the packets took, measured from outside."""
    size, bytes_per_microsecond = 1000, 1.0
    frame = packet(size=size - 42)
    sender, receiver = firewall.wires.far[INSIDE], firewall.wires.far[OUTSIDE]
    # A burst of a second: however long this test is kept from sending, nothing runs over.
    burst = limit(1, bytes_per_microsecond, 1_000_000)
    async with firewall.loaded(*WIRE, rule(1, "police", {"policer": 1}), burst):
        for _ in range(100_000):
            before = time.monotonic()
            sender.send(frame)
            if receiver.receive(0.02) is None:
                break
        else:
            pytest.fail("the bucket never ran dry")
        # What passes from here on was filled in after `before`, and what is filled in after `dry` is all asked for.
        dry = time.monotonic()
        sent = passed = 0
        while (before_last := time.monotonic()) < dry + 0.5:
            sender.send(frame)
            sent += 1
            while receiver.receive(0) is not None:
                passed += 1
        after = time.monotonic()
        while receiver.receive(0.05) is not None:
            passed += 1
    at_least, at_most = (
        bytes_per_microsecond * 1e6 * seconds / size for seconds in (before_last - dry, after - before)
    )
    assert sent > 1.5 * at_most, "more has to be offered than may pass"
    assert at_least - 2 <= passed <= at_most + 2


# ---- the sketch


class CountMin:
    """The same sketch in Python."""

    def __init__(self) -> None:
        self.rows = np.zeros((3, COLUMNS), np.int64)

    def add(self, flow: bytes) -> int:
        """One packet more; the estimate for its flow."""
        columns = [crc32(bytes([row]) + flow) % COLUMNS for row in (1, 2, 3)]
        for row, column in enumerate(columns):
            self.rows[row, column] += 1
        return min(int(self.rows[row, column]) for row, column in enumerate(columns))


async def test_flows_are_cut_off_where_the_sketch_says_they_sent_enough(firewall: Example) -> None:
    source = random.Random(4)
    flows = [(f"10.0.{index // 200}.{index % 200}", 1000 + index) for index in range(400)]
    allowed = 5
    sketch, exact = CountMin(), dict.fromkeys(flows, 0)
    async with firewall.loaded(
        *WIRE, rule(1, "watch", {"packets": allowed}), rule(2, "permit", dport=(443, 443))
    ) as tor:
        for _ in range(1500):
            src, sport = source.choice(flows[:40]) if source.random() < 0.4 else source.choice(flows)
            exact[src, sport] += 1
            key = struct.pack("!IIBHH", ip(src), ip("10.9.9.9"), UDP, sport, 80)
            estimate = sketch.add(key)
            assert estimate >= exact[src, sport]
            frame = packet(src=src, dst="10.9.9.9", sport=sport)
            firewall.wires.far[INSIDE].send(frame)
            if estimate <= allowed:
                received = firewall.wires.far[OUTSIDE].receive(5)
                assert received is not None and received.data == frame
        assert max(exact.values()) > 2 * allowed
        assert firewall.wires.far[OUTSIDE].receive(0.05) is None, "what is above the limit does not pass"
        # flows that nobody watches are not counted
        assert passes(firewall, packet(dport=443))
        firewall.is_the_software_tor()
        for row in (1, 2, 3):
            cells = await tor.read_register(f"row{row}")
            counts = cells.astype(np.int64) @ (256 ** np.arange(3, -1, -1))
            assert np.array_equal(counts, sketch.rows[row - 1])
