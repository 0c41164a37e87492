"""Each role tries every subject that there is, on a real nats-server: what is not its own is refused.

What each may is worked out by ``ezpath.trust.roles``; who may *what* is said here anew, by words of the catalogue, so
that a mistake there is noticed. The subjects are those of the catalogue, of the buckets and of JetStream's own, so that
a new one is tried as soon as there is one.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from ezpath.bus import Bus, Delivery
from ezpath.bus.topology import BUCKETS
from ezpath.catalogue import CHANNELS
from ezpath.events import STREAM, WHY_STREAM, SwitchCommand, encode
from ezpath.names import PairId, SwitchName
from ezpath.trust.roles import BUCKETS as NAMED
from ezpath.trust.roles import ROLES, User
from nats.aio.client import Client
from trust_rig import Guarded, guarded, plan_of

TOR, HOST = "tor1", "h1"
"""Whose the scoped users are; there are tor2 and h2 as well."""
USERS = {
    "collector": User("collector", (TOR,)),
    "decider": User("decider"),
    "switch-writer": User("switch-writer", (TOR,)),
    "host-writer": User("host-writer", (HOST,)),
    "operator": User("operator"),
    "viewer": User("viewer"),
}
NAMES = {"switch": ("tor1", "tor2"), "host": ("h1", "h2"), "tenant": ("red",), "a": ("x",), "b": ("y",)}
NAMES["service"] = ("collector", "decider", "switch-writer", "host-writer")
STREAMS = (STREAM, WHY_STREAM, *(f"KV_{bucket}" for bucket in BUCKETS))
DURABLES = ("decider-decisions", "decider-reports", "switch-writer-tor1", "switch-writer-tor2")
DURABLES += ("host-writer-h1", "host-writer-h2")
LEASES = {"collector": "poll.tor", "switch-writer": "switch.tor", "host-writer": "host.h", "decider": "shard."}
WATCHES = {"collector": ("leases",), "switch-writer": ("leases", "desired")}
WATCHES["host-writer"] = ("leases", "desired", "inventory")
KEPT_BY = {"decider": ("sagas", "desired", "inventory"), "operator": ("control",)}


def addresses(address: str) -> Iterator[str]:
    words = re.findall(r"\{(\w+)\}", address)
    for names in itertools.product(*(NAMES[word] for word in words)):
        yield address.format(**dict(zip(words, names, strict=True)))


@dataclass
class Tried:
    """What there is to try, and who may."""

    publish: dict[str, set[str]] = field(default_factory=dict)
    subscribe: dict[str, set[str]] = field(default_factory=dict)


def everything() -> Tried:
    tried = Tried()
    people = {"operator", "viewer"}
    mine = {"tor1": {"collector", "switch-writer"}, "h1": {"host-writer"}}
    others = {"tor2", "h2"}
    for channel in CHANNELS:
        senders = {"operator" if who == "cli" else who for who in channel.sent_by}
        for subject in addresses(channel.address):
            tokens = set(subject.split("."))
            may = set(senders)
            if channel.address == "ezpath.deadletter.{service}":
                may = {subject.rsplit(".", 1)[1]}
            elif tokens & others:
                may -= {"collector", "switch-writer", "host-writer"}
            tried.publish[subject] = may
            heard = people | ({who for who in channel.read_by if channel.kept == "nothing"})
            tried.subscribe[subject] = heard
    for bucket in BUCKETS:
        for key in ("any", "a.b.c", "_fence.0", *(f"{lease}{n}" for lease in LEASES.values() for n in (1, 2))):
            subject = f"$KV.{bucket}.{key}"
            tried.publish[subject] = {who for who, kept in KEPT_BY.items() if bucket.removeprefix("ezpath_") in kept}
            if bucket == "ezpath_leases" and key != "any":
                tried.publish[subject] = {
                    who
                    for who, lease in LEASES.items()
                    if key.startswith(lease) and (key.endswith("1") or who == "decider")
                }
            tried.subscribe[subject] = set()
    tried.publish |= dict(jetstream())
    for what in ("status", "why", "dryrun.why", "pause", "policy", "installed.switch.tor1", "installed.host.h1"):
        tried.publish[f"ezpath.ask.{what}"] = people
    answered = {"status": set(ROLES) - people, "why": {"decider"}, "dryrun.why": {"decider"}, "pause": {"decider"}}
    answered |= {"policy": {"decider"}, "installed.switch.tor1": {"switch-writer"}, "installed.switch.tor2": set()}
    answered |= {"installed.host.h1": {"host-writer"}, "installed.host.h2": set()}
    tried.subscribe |= {f"ezpath.ask.{what}": who for what, who in answered.items()}
    tried.publish["ezpath.share.order"] = tried.subscribe["ezpath.share.order"] = {"decider"}
    for wide in (">", "*", "ezpath.>", "ezpath.ask.>", "$KV.>", "$JS.>", "$SYS.>", "_INBOX.>", "_INBOX.other.>"):
        tried.subscribe[wide] = set()
    assert mine
    return tried


def jetstream() -> Iterator[tuple[str, set[str]]]:
    """What JetStream is asked on, about each stream and each consumer."""
    api, everybody, people = "$JS.API", set(ROLES), {"operator", "viewer"}
    readers = {f"KV_{bucket}": people | {"decider"} for bucket in BUCKETS}
    for who, buckets in WATCHES.items():
        for bucket in buckets:
            readers[f"KV_ezpath_{bucket}"].add(who)
    readers |= {STREAM: people, WHY_STREAM: people}
    yield f"{api}.STREAM.LIST", set()
    yield f"{api}.STREAM.NAMES", set()
    yield f"{api}.SERVER.REMOVE", set()
    for stream in STREAMS:
        yield f"{api}.STREAM.INFO.{stream}", everybody
        for verb in ("CREATE", "UPDATE"):
            yield f"{api}.STREAM.{verb}.{stream}", {"decider"}
        for verb in ("DELETE", "PURGE", "MSG.DELETE", "SNAPSHOT", "RESTORE", "LEADER.STEPDOWN"):
            yield f"{api}.STREAM.{verb}.{stream}", set()
        yield f"{api}.STREAM.MSG.GET.{stream}", readers[stream] if stream.startswith("KV_") else set()
        yield f"{api}.DIRECT.GET.{stream}.x", readers[stream] if stream.startswith("KV_") else set()
        by_name = stream in (STREAM, WHY_STREAM)
        yield f"{api}.CONSUMER.CREATE.{stream}", set() if by_name else readers[stream]
        yield f"{api}.CONSUMER.CREATE.{stream}.mine", readers[stream]
        yield f"{api}.CONSUMER.CREATE.{stream}.mine.ezpath.>", set()
        yield f"{api}.CONSUMER.DURABLE.CREATE.{stream}.someone", set()
        yield f"{api}.CONSUMER.LIST.{stream}", people if stream == STREAM else set()
    for durable in DURABLES:
        owner = {who for who, user in USERS.items() if durable in (f"{user.name}", f"decider-{durable[8:]}")}
        owner = {"decider"} if durable.startswith("decider") else owner
        for verb in ("INFO", "DELETE", "MSG.NEXT"):
            yield f"{api}.CONSUMER.{verb}.{STREAM}.{durable}", owner
        yield f"{api}.CONSUMER.CREATE.{STREAM}.{durable}", set()
        yield f"$JS.ACK.{STREAM}.{durable}.1.1.1.1.1", owner
        kind, name = ("switch", durable[14:]) if durable.startswith("switch") else ("host", durable[12:])
        if not durable.startswith("decider"):
            filter_ = f"ezpath.command.{kind}.{name}"
            yield f"{api}.CONSUMER.CREATE.{STREAM}.{durable}.{filter_}", owner
            yield f"{api}.CONSUMER.CREATE.{STREAM}.{durable}.ezpath.>", set()


class Visitor:
    """A client that hears what it may not do: nats-py says it in small letters."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.refused: set[tuple[str, str]] = set()

    async def on_error(self, error: Exception) -> None:
        found = re.search(r'permissions violation for (publish|subscription) to "([^"]+)"', str(error))
        if found is not None:
            self.refused.add((found[1], found[2]))

    async def until_heard(self) -> None:
        """All that was said is checked: the answer to what everybody may ask comes behind the refusals."""
        await self.client.request(f"$JS.API.STREAM.INFO.{STREAM}", b"")


@asynccontextmanager
async def visiting(nats: Guarded, user: User) -> AsyncIterator[Visitor]:
    client = Client()
    visitor = Visitor(client)
    await client.connect(nats.url, error_cb=visitor.on_error, **nats.access(user).options())
    try:
        yield visitor
    finally:
        await client.close()


@pytest.fixture(scope="module")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded(tmp_path_factory.mktemp("trust"), plan_of(*USERS.values())) as server:
        yield server


def test_every_bucket_has_its_readers() -> None:
    assert set(NAMED) == set(BUCKETS)


@pytest.mark.parametrize("role", ROLES)
async def test_publishing(nats: Guarded, role: str) -> None:
    tried = everything().publish
    async with visiting(nats, USERS[role]) as visitor:
        for subject in tried:
            await visitor.client.publish(subject, b"")
        await visitor.until_heard()
        refused = {subject for kind, subject in visitor.refused if kind == "publish"}
    may = {subject for subject, who in tried.items() if role in who}
    assert {subject for subject in tried if subject.lower() not in refused} == may


@pytest.mark.parametrize("role", ROLES)
async def test_subscribing(nats: Guarded, role: str) -> None:
    tried = everything().subscribe
    async with visiting(nats, USERS[role]) as visitor:
        for subject in tried:
            await visitor.client.subscribe(subject)
        await visitor.until_heard()
        refused = {subject for kind, subject in visitor.refused if kind == "subscription"}
    may = {subject for subject, who in tried.items() if role in who}
    assert {subject for subject in tried if subject.lower() not in refused} == may


async def test_nobody_changes_the_consumer_of_a_service_by_another_name(nats: Guarded) -> None:
    """The name that the subject says is the one that counts, whatever the request has in it."""
    async with (
        await Bus.connect(nats.access(USERS["decider"]), "decider", wait_s=10),
        visiting(nats, USERS["viewer"]) as viewer,
    ):
        for name in ({"durable_name": "host-writer-h1"}, {"name": "host-writer-h1"}):
            request = {"stream_name": STREAM, "config": {**name, "ack_policy": "explicit"}}
            subject = f"$JS.API.CONSUMER.CREATE.{STREAM}.mine"
            answer = await viewer.client.request(subject, json.dumps(request).encode())
            found = json.loads(answer.data)
            assert "error" in found or found["name"] == "mine", found


async def test_what_a_collector_keeps_is_never_taken_for_a_command(nats: Guarded) -> None:
    """A consumer may be told to send what it finds anywhere, and does where somebody listens on that very subject.

    Neither the stream nor the writer of the switch takes it for a command.
    """
    forged = SwitchCommand("s", PairId("red.a.b"), 1, "switch-send", SwitchName(TOR))
    async with (
        await Bus.connect(nats.access(USERS["decider"]), "decider", wait_s=10) as decider,
        await Bus.connect(nats.access(USERS["switch-writer"]), "switch-writer", wait_s=10) as writer,
        await Bus.connect(nats.access(USERS["operator"]), "cli", wait_s=10) as operator,
        visiting(nats, USERS["operator"]) as listener,
        visiting(nats, USERS["collector"]) as collector,
    ):
        # Given a writer that takes its commands, and a person who listens to them on the subject itself
        taken: list[SwitchCommand] = []

        async def take(deliveries: list[Delivery[SwitchCommand]]) -> None:
            taken.extend(delivery.event for delivery in deliveries)

        subject = f"ezpath.command.switch.{TOR}"
        taking = asyncio.create_task(writer.consume(f"switch-writer-{TOR}", subject, SwitchCommand, take))
        heard = await listener.client.subscribe(subject)
        await listener.until_heard()
        # When a collector has its lease, made to look like a command, delivered there
        await collector.client.publish(f"$KV.ezpath_leases.poll.{TOR}", encode(forged))
        config = {"deliver_subject": subject, "ack_policy": "none", "filter_subject": f"$KV.ezpath_leases.poll.{TOR}"}
        request = json.dumps({"stream_name": "KV_ezpath_leases", "config": config}).encode()
        answer = await collector.client.request("$JS.API.CONSUMER.CREATE.KV_ezpath_leases", request)
        assert "error" not in json.loads(answer.data)
        # Then it does come to who listens: so far it gets
        message = await heard.next_msg(timeout=10)
        assert message.data == encode(forged)
        # But when the decider says something after it, the writer has that, and nothing before
        real = replace(forged, generation=2)
        await decider.publish(real)
        async with asyncio.timeout(20):
            while not taken:  # noqa: ASYNC110 - it tells nobody else
                await asyncio.sleep(0.02)
        taking.cancel()
        assert taken == [real]
        # And that alone is in the stream
        found = [delivery.event async for delivery in operator.history(["ezpath.command.>"])]
        assert found == [real]
