"""The bus on three nats-servers that are one: what it keeps is kept three times, and any one of them may go."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nats
import numpy as np
import pytest
from ezpath.bus import Access, Bus, Delivery, Unavailable
from ezpath.bus.kv import FENCE, KvChange
from ezpath.bus.topology import BUCKETS, MAX_AGE_S
from ezpath.events import SAGA_BUCKET, STREAM, WHY_STREAM, FlowSample, OffloadRequested
from ezpath.names import PairId, SwitchName, Tenant
from ezpath.samples import FLOW_BYTES
from ezpath.trust.roles import User
from ezpath.trust.store import CA, CERT, KEY, NKEY, Store
from ezpath_lab.feed import Feed
from ezpath_lab.shell import LabError
from nats.aio.client import Client as nats_client
from nats_cluster import Cluster, Node
from trust_rig import plan_of

pytestmark = pytest.mark.timeout(180)

KILLED = 1
"""Each costs the seconds that JetStream takes to find a leader. `make chaos CHAOS_OPTIONS='--bus cluster'` goes on."""
FLOWS, SAMPLES = 5000, 10
ONE_SAMPLE = FLOWS * FLOW_BYTES
STREAMS = (STREAM, WHY_STREAM, *(f"KV_{bucket}" for bucket in BUCKETS))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        yield cluster


def offload(number: int) -> OffloadRequested:
    return OffloadRequested(PairId(f"red.a{number}.b{number}"), Tenant("red"), "busy", 1e9, 100.0 + number)


class Work:
    """What services do all the time: publish, consume, keep by compare-and-set, write behind a fence, watch."""

    def __init__(self, bus: Bus, other: Bus, durable: str = "t") -> None:
        self._bus, self._other, self._durable = bus, other, durable
        self._fence: int | None = None
        self.said = 0
        self.heard: list[str] = []
        self.seen: dict[str, bytes] = {}

    async def consume(self) -> None:
        async def handle(batch: list[Delivery[OffloadRequested]]) -> None:
            self.heard += [delivery.event.pair for delivery in batch]

        await self._other.consume(self._durable, "ezpath.decision.>", OffloadRequested, handle)

    async def watch(self) -> None:
        change: KvChange
        async for change in self._other.kv_watch(SAGA_BUCKET):
            self.seen[change.key] = change.value or b""

    async def round(self) -> None:
        """Some of each; all of it has come about when this returns."""
        for _ in range(5):
            number = self.said = self.said + 1
            await self._bus.publish(offload(number))
            self._fence = await self._bus.kv_put_cas(SAGA_BUCKET, f"{FENCE}0", b"mine", self._fence)
            value = b"%d" % number
            await self._bus.kv_put_fenced(SAGA_BUCKET, {"a": value, f"n{number}": value}, f"{FENCE}0", self._fence)
            # Whoever comes after the fence was moved has to see all that was written before.
            kept = await self._other.kv_items(SAGA_BUCKET)
            assert kept["a"][0] == value and len(kept) == number + 1
        async with asyncio.timeout(30):
            while len(set(self.heard)) < self.said or self.seen.get("a") != b"%d" % self.said:  # noqa: ASYNC110
                await asyncio.sleep(0.02)


async def test_a_bucket_that_was_on_one_server_may_get_more_while_services_run(cluster: Cluster) -> None:
    # Given a cluster that was one server once, so that what it keeps is kept once, and a service at work on it
    await cluster.up()
    client = await nats.connect(cluster.urls.split(","))
    js = client.jetstream()
    await js.create_key_value(bucket=SAGA_BUCKET, replicas=1)
    async with await Bus.connect(cluster.urls, "one", wait_s=30) as bus:
        fence = await bus.kv_put_cas(SAGA_BUCKET, f"{FENCE}0", b"mine", None)
        many = {f"n{number}": b"%d" % number for number in range(50)}
        await bus.kv_put_fenced(SAGA_BUCKET, many, f"{FENCE}0", fence)
        # When its operator has it kept three times
        config = (await js.stream_info(f"KV_{SAGA_BUCKET}")).config
        await js.update_stream(config, num_replicas=3)
        # Then the service goes on, at the latest when it tries again
        async with asyncio.timeout(30):
            while True:
                try:
                    await bus.kv_put_fenced(SAGA_BUCKET, many, f"{FENCE}0", fence)
                    break
                except Unavailable:
                    await asyncio.sleep(0.1)
        assert {key: value for key, (value, _) in (await bus.kv_items(SAGA_BUCKET)).items()} == many
    await client.close()


async def leader_of(url: str, stream: str) -> str:
    client = await nats.connect(url)
    info = await client.jetstream().stream_info(stream)
    await client.close()
    assert info.cluster is not None and info.cluster.leader is not None
    return info.cluster.leader


async def test_samples_stay_in_the_leaf_node_of_their_rack_unless_somebody_listens(cluster: Cluster) -> None:
    # Given three servers, a leaf node in each of two racks, and a collector in the one
    await cluster.up(leaves=("rack1", "rack2"))
    near, far = cluster.leaves["rack1"], cluster.leaves["rack2"]
    async with await Bus.connect(near.url, "collector", wait_s=30) as collector:
        # When somebody in its rack listens
        async with await Bus.connect(near.url, "near", wait_s=30) as bus:
            heard = await listening(bus)
            # Then samples are heard, and do not leave the rack
            assert await sent(near, collector, heard) < ONE_SAMPLE
        # When somebody at the cluster listens, then they go there, and to no other rack
        async with await Bus.connect(cluster.urls, "hub", wait_s=30) as bus:
            heard = await listening(bus)
            before = taken_in(far)
            assert await sent(near, collector, heard) > SAMPLES * ONE_SAMPLE
            assert taken_in(far) - before < ONE_SAMPLE
        # When somebody in the other rack does, then they go there as well
        async with await Bus.connect(far.url, "far", wait_s=30) as bus:
            heard = await listening(bus)
            before = taken_in(far)
            assert await sent(near, collector, heard) > SAMPLES * ONE_SAMPLE
            assert taken_in(far) - before > SAMPLES * ONE_SAMPLE
        # When nobody listens any more, then they stay
        assert await sent(near, collector, None) < ONE_SAMPLE


async def test_the_same_services_work_from_leaf_to_leaf(cluster: Cluster) -> None:
    # Given services of two racks, each of which knows the leaf node of its own rack alone
    await cluster.up(leaves=("rack1", "rack2"))
    one, two = (leaf.url for leaf in cluster.leaves.values())
    async with await Bus.connect(one, "one", wait_s=30) as bus, await Bus.connect(two, "two", wait_s=30) as other:
        work = Work(bus, other)
        async with asyncio.TaskGroup() as tasks:
            going = [tasks.create_task(work.consume()), tasks.create_task(work.watch())]
            # Then all that they do works: streams, buckets, fences
            await work.round()
            for task in going:
                task.cancel()

        # And questions are answered from rack to rack
        async def answer(question: dict[str, Any]) -> dict[str, Any]:
            return {"twice": 2 * question["number"]}

        await other.answer("sum", answer)
        async with asyncio.timeout(10):
            while await bus.ask("sum", {"number": 21}, 5) != {"twice": 42}:  # noqa: ASYNC110 - word of who answers spreads
                await asyncio.sleep(0.05)


async def test_with_trust_on_who_may_what_is_the_same_at_a_leaf_node_as_at_the_cluster(tmp_path: Path) -> None:
    # Given a cluster and a leaf node with what `ezpath trust` made, and a key for the collector of one switch
    store = Store(tmp_path / "trust")
    collector, decider = User("collector", ("tor1",)), User("decider")
    store.make(plan_of(collector, decider, User("viewer")), datetime.datetime.now(datetime.UTC))
    with Cluster(tmp_path, store.directory) as cluster:
        await cluster.up(leaves=("rack1",))
        leaf = cluster.leaves["rack1"]
        refused: list[str] = []

        async def on_error(error: Exception) -> None:
            refused.append(str(error).lower())

        def shown(user: User, url: str) -> Access:
            mine = store.user(user)
            return Access(url, mine / NKEY, mine / CA, mine / CERT, mine / KEY)

        async with (
            await Bus.connect(shown(decider, cluster.urls), "decider", wait_s=60) as hub,
            await Bus.connect(shown(collector, leaf.url), "collector", wait_s=60) as rack,
            await Bus.connect(shown(decider, leaf.url), "decider", wait_s=60) as near,
        ):
            # Then samples go from the leaf node to the cluster
            heard = await listening(hub)
            await sent(leaf, rack, heard)
            # And what is stored is asked for there: a stream, a consumer of it, a bucket that is written and watched
            work = Work(hub, near, "decider-decisions")
            async with asyncio.TaskGroup() as tasks:
                going = [tasks.create_task(work.consume()), tasks.create_task(work.watch())]
                await work.round()
                for task in going:
                    task.cancel()
        # But the collector may no more than at the cluster, by whatever name it asks
        client = nats_client()
        await client.connect(leaf.url, error_cb=on_error, **shown(collector, leaf.url).options())
        forbidden = ("ezpath.samples.tor2", "ezpath.command.switch.tor1", "$KV.ezpath_desired.x")
        forbidden += ("$JS.API.CONSUMER.CREATE.EZPATH.x", "$JS.ezpath.API.STREAM.DELETE.EZPATH")
        for subject in forbidden:
            await client.publish(subject, b"")
        await client.subscribe("ezpath.command.>")
        await client.request("$JS.API.STREAM.INFO.EZPATH", b"")  # everybody may: what was said before is checked
        await client.close()
        assert len(refused) == len(forbidden) + 1, refused
        for subject in (
            "ezpath.samples.tor2",
            "ezpath.command.switch.tor1",
            "ezpath.command.>",
            "api.stream.delete.ezpath",
        ):
            assert any(f'{subject}"' in each for each in refused), (subject, refused)
        # And who takes a service's certificate for a leaf node's is not let in
        thief = tmp_path / "thief.conf"
        mine, theirs = str(store.user(collector)), str(store.directory / "leaf")
        remotes = (store.directory / "leaf/leaf.conf").read_text().replace(theirs, mine)
        thief.write_text(remotes.replace("include ./", "include ./trust/leaf/"))
        intruder = cluster.leaf("intruder", thief)
        intruder.start()
        try:
            await intruder.said("Authorization Violation")
            assert [each["name"] for node in cluster.nodes.values() for each in node.told("leafz")["leafs"]] == [
                "rack1"
            ]
        finally:
            intruder.kill()


async def test_the_lab_hears_what_is_said_on_a_cluster_and_says_what_is_wrong(cluster: Cluster) -> None:
    # Given a cluster, and the lab's listener, which knows all of its servers
    await cluster.up()
    feed = Feed(cluster.urls, lambda event: None)
    await asyncio.to_thread(feed.start)
    # When something is said at one of them, then it is heard
    async with await Bus.connect(cluster.nodes["n3"].url, "one", wait_s=90) as bus:
        await bus.publish(offload(7))
    heard = await asyncio.to_thread(feed.wait, OffloadRequested, lambda event: True, 60.0)
    assert heard is not None and heard.pair == "red.a7.b7"
    feed.close()
    # And where there can be no connection, the reason is told
    with pytest.raises(LabError, match="invalid connect url"):
        Feed("nats://127.0.0.1:four", lambda event: None).start(5.0)


async def listening(bus: Bus) -> list[FlowSample]:
    heard: list[FlowSample] = []

    async def keep(sample: FlowSample) -> None:
        heard.append(sample)

    await bus.subscribe_samples(keep)
    return heard


async def sent(leaf: Node, collector: Bus, heard: list[FlowSample] | None) -> int:
    """Bytes that went from the leaf node to the cluster while samples were published and heard."""
    column = np.arange(FLOWS, dtype=np.uint64)
    columns = (column,) * 5
    number = 0
    if heard is not None:  # how far word of who listens has come is seen by what is heard
        async with asyncio.timeout(10):
            while not heard:
                number += 1
                await collector.publish_sample(FlowSample(SwitchName("tor1"), number, 1, 2, 1.0, *columns))
                await asyncio.sleep(0.05)
            while heard[-1].sequence < number:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    else:
        await asyncio.sleep(0.5)
    before = leaf.told("leafz")["leafs"][0]["out_bytes"]
    wanted = number + SAMPLES
    for each in range(number + 1, wanted + 1):
        await collector.publish_sample(FlowSample(SwitchName("tor1"), each, 1, 2, 1.0, *columns))
    client = await collector._link.client(5)
    await client.flush()
    if heard is not None:
        async with asyncio.timeout(10):
            while heard[-1].sequence < wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    return int(leaf.told("leafz")["leafs"][0]["out_bytes"] - before)


def taken_in(leaf: Node) -> int:
    return int(leaf.told("leafz")["leafs"][0]["in_bytes"])


async def test_services_go_on_when_any_one_server_is_killed(cluster: Cluster) -> None:
    # Given three servers, and services that know all of them
    await cluster.up()
    async with (
        await Bus.connect(cluster.urls, "one", wait_s=30) as one,
        await Bus.connect(cluster.urls, "two", wait_s=30) as two,
    ):
        # Then each stream and each bucket is on all three
        client = await nats.connect(cluster.urls.split(","))
        for stream in STREAMS:
            info = await client.jetstream().stream_info(stream)
            assert (info.config.num_replicas, len(info.cluster.replicas)) == (3, 2), stream
            # And has its limits: none grows without end, and none lets old events take the room of new ones
            assert 0 < info.config.max_bytes <= 2**28, stream
            assert stream.startswith("KV_") or info.config.max_age == MAX_AGE_S, stream
        await client.close()

        work = Work(one, two)
        async with asyncio.TaskGroup() as tasks:
            going = [tasks.create_task(work.consume()), tasks.create_task(work.watch())]
            await work.round()
            # When one after the other is killed, the first being who leads the stream, and comes back
            first = await leader_of(cluster.nodes["n1"].url, STREAM)
            for name in sorted(cluster.nodes, key=lambda name: name != first)[:KILLED]:
                cluster.nodes[name].kill()
                # Then publishing, consuming, watching and compare-and-set go on meanwhile, and nothing is lost
                await work.round()
                cluster.nodes[name].start()
                await cluster.nodes[name].healthy()
                await work.round()
            for task in going:
                task.cancel()
        assert sorted(set(work.heard)) == sorted(f"red.a{n}.b{n}" for n in range(1, work.said + 1))
        assert await one.last_sequence() == work.said
