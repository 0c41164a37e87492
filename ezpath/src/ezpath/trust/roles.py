"""What each role may say to NATS, and hear: worked out from the catalogue of events and the buckets. Pure.

What NATS checks are subjects, and JetStream's own questions are subjects as well: who may ask for a consumer, with
which filter, is said there. So one table of buckets and one of questions, beside :data:`ezpath.catalogue.CHANNELS`,
are all that there is to keep; a test tries every subject as every role.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from ezpath.answers import ASK_STATUS
from ezpath.answers import ASK_SUBJECT as ASK
from ezpath.catalogue import CHANNELS, Channel
from ezpath.events import (
    CONTROL_BUCKET,
    DESIRED_BUCKET,
    INVENTORY_BUCKET,
    LEASE_BUCKET,
    SAGA_BUCKET,
    STREAM,
    WHY_STREAM,
)
from ezpath.leases.leases import COLLECTORS, DECIDERS, HOST_WRITERS, SWITCH_WRITERS, Space

RoleName = Literal["collector", "decider", "switch-writer", "host-writer", "operator", "viewer"]
ROLES: tuple[RoleName, ...] = get_args(RoleName)
DOES: Mapping[RoleName, str] = {
    "collector": "polls its switches and says what they counted",
    "decider": "decides, moves sagas, commands; makes the streams and buckets",
    "switch-writer": "takes the commands of its switches and reports on them",
    "host-writer": "takes the commands of its hosts and reports on them",
    "operator": "looks on, and may offload, revert, pause, pin and set the policy",
    "viewer": "looks on",
}
SCOPED: Mapping[RoleName, str] = {"collector": "switch", "switch-writer": "switch", "host-writer": "host"}
"""Roles whose user is for certain switches or hosts, and the word for one in a subject."""

BUCKETS = (SAGA_BUCKET, DESIRED_BUCKET, LEASE_BUCKET, CONTROL_BUCKET, INVENTORY_BUCKET)
_LEASES: Mapping[RoleName, Space] = {
    "collector": COLLECTORS,
    "decider": DECIDERS,
    "switch-writer": SWITCH_WRITERS,
    "host-writer": HOST_WRITERS,
}
_READS: Mapping[RoleName, tuple[str, ...]] = {
    "collector": (LEASE_BUCKET,),
    "decider": BUCKETS,
    "switch-writer": (LEASE_BUCKET, DESIRED_BUCKET),
    "host-writer": (LEASE_BUCKET, DESIRED_BUCKET, INVENTORY_BUCKET),
    "operator": BUCKETS,
    "viewer": BUCKETS,
}
_WRITES: Mapping[RoleName, tuple[str, ...]] = {
    "decider": (SAGA_BUCKET, DESIRED_BUCKET, INVENTORY_BUCKET),
    "operator": (CONTROL_BUCKET,),
}
"""Whole buckets; leases are each role's own, by key."""
_ANSWERS: Mapping[RoleName, tuple[str, ...]] = {
    "decider": ("why", "dryrun.why", "pause", "policy"),
    "switch-writer": ("installed.switch.{switch}",),
    "host-writer": ("installed.host.{host}",),
}
"""Beside ``status``, which every service answers."""
SHARE_SUBJECT = "ezpath.share"
"""What deciders that count together say to each other."""
INBOX = "_INBOX"
API = "$JS.API"


@dataclass(frozen=True, slots=True)
class User:
    """Who a key is for. ``names``: the switches or hosts of a scoped role; none: all."""

    role: RoleName
    names: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """As its files are called."""
        return "-".join((self.role, *self.names))


@dataclass(frozen=True, slots=True)
class Durables:
    """The consumers that services keep in the stream: nobody else may take messages there, or make an end of one."""

    switches: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    shards: int = 1

    def of(self, role: RoleName) -> Iterator[str]:
        match role:
            case "switch-writer":
                yield from (f"switch-writer-{name}" for name in self.switches)
            case "host-writer":
                yield from (f"host-writer-{name}" for name in self.hosts)
            case "decider":
                numbers = [f"-{n}-of-{self.shards}" for n in range(self.shards)] if self.shards > 1 else [""]
                yield from (f"decider-{what}{number}" for number in numbers for what in ("decisions", "reports"))

    def all(self) -> Iterator[str]:
        for role in ROLES:
            yield from self.of(role)


@dataclass(frozen=True, slots=True)
class Permissions:
    """As NATS takes them. ``answers``: it may answer, once, whoever asks it."""

    publish: tuple[str, ...]
    publish_never: tuple[str, ...]
    subscribe: tuple[str, ...]
    answers: bool


def permissions(user: User, inbox: str, durables: Durables) -> Permissions:
    """All that ``user`` may; its answers come to ``inbox``."""
    role = user.role
    sent = (each for channel in CHANNELS if _sends(role, channel) for each in _addresses(user, channel.address))
    heard = (_family(channel) for channel in CHANNELS if _hears(role, channel))
    publish = [*sent, *_stream(user, durables), *_buckets(user), *_leases(user), *_asks(role)]
    answered = [f"{ASK}.{what}" for what in _answered(user)]
    subscribe = [f"{inbox}.>", *heard, *answered]
    if role == "decider":
        publish.append(f"{SHARE_SUBJECT}.>")
        subscribe.append(f"{SHARE_SUBJECT}.>")
    never = list(_others(durables)) if role in ("operator", "viewer") else []
    return Permissions(_sorted(publish), _sorted(never), _sorted(subscribe), bool(answered))


def heard(role: RoleName) -> list[str]:
    """Subjects of the catalogue that it hears on core NATS; each event once, though some are of two families."""
    families = sorted({_family(channel) for channel in CHANNELS if _hears(role, channel)})
    wide = [each.removesuffix(">") for each in families if each.endswith(".>")]
    return [each for each in families if not any(each != f"{one}>" and each.startswith(one) for one in wide)]


def _sends(role: RoleName, channel: Channel) -> bool:
    return ("cli" if role == "operator" else role) in channel.sent_by


def _hears(role: RoleName, channel: Channel) -> bool:
    """On core NATS: what the stream keeps services take from there, and a person sees it either way."""
    return role in ("operator", "viewer") or (role in channel.read_by and channel.kept == "nothing")


def _addresses(user: User, address: str) -> Iterator[str]:
    """With the names that are the user's in place of what the address leaves open."""
    word = SCOPED.get(user.role)
    address = address.replace("{service}", user.role)
    for name in user.names or ("*",) if word and f"{{{word}}}" in address else ("",):
        yield re.sub(r"\{\w+\}", "*", address.replace(f"{{{word}}}", name))


def _family(channel: Channel) -> str:
    """What a subscription to all of a kind asks for."""
    return re.sub(r"\.(switch|host|offload|revert|step)?\.?\{.*", ".>", channel.address)


# ---- JetStream ------------------------------------------------------------


def _stream(user: User, durables: Durables) -> Iterator[str]:
    """What is asked about the streams of events."""
    for each in (STREAM, WHY_STREAM, *(f"KV_{bucket}" for bucket in BUCKETS)):
        yield f"{API}.STREAM.INFO.{each}"
        if user.role == "decider":
            yield f"{API}.STREAM.CREATE.{each}"
            yield f"{API}.STREAM.UPDATE.{each}"
    match user.role:
        case "switch-writer" | "host-writer":
            for name in user.names or (durables.switches if user.role == "switch-writer" else durables.hosts):
                yield from _durable(f"{user.role}-{name}", f"ezpath.command.{SCOPED[user.role]}.{name}")
        case "decider":
            for durable in durables.of("decider"):
                yield from _durable(durable, "ezpath.decision.>" if "decisions" in durable else "ezpath.report.>")
        case "operator" | "viewer":
            for stream in (STREAM, WHY_STREAM):
                # By name: those of services are denied by theirs. One asked for without could be given any.
                yield f"{API}.CONSUMER.CREATE.{stream}.*"
                yield from _taking(stream)
            yield f"{API}.CONSUMER.LIST.{STREAM}"


def _durable(name: str, filter_: str) -> Iterator[str]:
    """One consumer of the stream, and the one filter with which it may be made."""
    yield f"{API}.CONSUMER.CREATE.{STREAM}.{name}.{filter_}"
    yield f"{API}.CONSUMER.INFO.{STREAM}.{name}"
    yield f"{API}.CONSUMER.DELETE.{STREAM}.{name}"
    yield f"{API}.CONSUMER.MSG.NEXT.{STREAM}.{name}"
    yield f"$JS.ACK.{STREAM}.{name}.>"


def _taking(stream: str) -> Iterator[str]:
    """What a consumer that is there for a while is asked. Who made it knows its name, which is drawn."""
    yield f"{API}.CONSUMER.DELETE.{stream}.*"
    yield f"{API}.CONSUMER.MSG.NEXT.{stream}.*"


def _others(durables: Durables) -> Iterator[str]:
    """The consumers of the stream that services keep."""
    for name in durables.all():
        yield f"{API}.CONSUMER.CREATE.{STREAM}.{name}"
        yield f"{API}.CONSUMER.DELETE.{STREAM}.{name}"
        yield f"{API}.CONSUMER.MSG.NEXT.{STREAM}.{name}"


def _buckets(user: User) -> Iterator[str]:
    for bucket in _READS[user.role]:
        stream = f"KV_{bucket}"
        yield f"{API}.CONSUMER.CREATE.{stream}"
        yield f"{API}.CONSUMER.CREATE.{stream}.*"
        yield from _taking(stream)
        yield f"{API}.CONSUMER.INFO.{stream}.*"
        yield f"{API}.STREAM.MSG.GET.{stream}"
        yield f"{API}.DIRECT.GET.{stream}.>"
        yield f"$JS.FC.{stream}.>"
    for bucket in _WRITES.get(user.role, ()):
        yield f"$KV.{bucket}.>"


def _leases(user: User) -> Iterator[str]:
    space = _LEASES.get(user.role)
    if space is None:
        return
    for thing in user.names or ("*",):
        yield f"$KV.{LEASE_BUCKET}.{space.lease(thing)}"
    yield f"$KV.{LEASE_BUCKET}.{space.member('*')}"
    if user.role == "decider":
        yield f"$KV.{LEASE_BUCKET}.shards"


# ---- questions --------------------------------------------------------------


def _answered(user: User) -> Iterator[str]:
    if user.role in _LEASES:
        yield ASK_STATUS
        for what in _ANSWERS.get(user.role, ()):
            yield from _addresses(user, what)


def _asks(role: RoleName) -> Iterator[str]:
    if role in ("operator", "viewer"):
        yield f"{ASK}.{ASK_STATUS}"
        yield f"{ASK}.installed.>"
        for what in _ANSWERS["decider"]:
            yield f"{ASK}.{what}"


def _sorted(subjects: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(subjects)))
