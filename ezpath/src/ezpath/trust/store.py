"""The directory that `ezpath trust` makes: one directory for each who is to be known, whole, to be handed to it alone.

    ca/                  the authority's certificate and key: keep it where no service runs
    nats/                nats-server's certificate, accounts.conf, tls.conf, nats-server.conf, node.conf of a cluster
    leaf/                the same for leaf nodes: accounts.conf, tls.conf, leaf.conf
    switches/<switch>/   a ToR's certificate, for its P4Runtime server
    hosts/<host>/        an Open vSwitch's certificate, for OVSDB and OpenFlow over ssl:
    users/<user>/        a service's or a person's: nkey (the seed), cert.pem, key.pem, ca.pem
    trust.json           who there is, with public keys: no secret

Adapter: files. What is there already is kept, so that making it again adds who is new.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ezpath.tls import CA, CERT, KEY, NKEY
from ezpath.trust import natsconf
from ezpath.trust.authority import Pair, issue, make_authority
from ezpath.trust.keys import make_seed, public_key
from ezpath.trust.roles import Durables, User

__all__ = ["CA", "CERT", "KEY", "MANIFEST", "NKEY", "Plan", "Store", "TrustError"]
MANIFEST = "trust.json"
SECRET, PUBLIC, DIRECTORY = 0o600, 0o644, 0o700
LOCAL = ("localhost", "127.0.0.1", "::1")


class TrustError(Exception):
    """What was asked for cannot be made of what is there; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Who is to be known, and how servers are reached."""

    users: tuple[User, ...]
    durables: Durables = field(default_factory=Durables)
    servers: tuple[str, ...] = ()
    """Names and addresses of NATS, beside this machine's own."""
    leaves: tuple[str, ...] = ()
    """The same of leaf nodes."""
    switches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Each with the names and addresses where it listens."""
    listen: str = "127.0.0.1:4222"
    nats_at: str = ""
    """Where a nats-server will find its directory, ``nats`` or ``leaf``; as it is here where empty."""
    store: str = ""
    """Where it stores what is kept; in its directory where empty."""
    days: float = 90.0


class Store:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    # ---- making -------------------------------------------------------------

    def make(self, plan: Plan, now: datetime.datetime, renew: bool = False) -> list[Path]:
        """Everything of ``plan`` that is not there yet; with ``renew`` all certificates but the authority's anew.

        Returns the directories that something was written in.
        """
        authority = self._authority(now)
        owners: dict[Path, tuple[str, tuple[str, ...]]] = {
            self.directory / "nats": ("nats", (*LOCAL, *plan.servers)),
            self.directory / "leaf": (natsconf.LEAF, (*LOCAL, *plan.leaves)),
            **{self.directory / "switches" / name: (name, (*LOCAL, *at)) for name, at in plan.switches.items()},
            **{self.directory / "hosts" / name: (name, (*LOCAL, *at)) for name, at in plan.hosts.items()},
            **{self.user(user): (user.name, ()) for user in plan.users},
        }
        made: list[Path] = []
        for directory, (name, at) in owners.items():
            if renew or not (directory / CERT).exists():
                self._put_pair(directory, issue(authority, name, at, now, plan.days), authority)
                made.append(directory)
        for user in plan.users:
            if not (self.user(user) / NKEY).exists():
                self.rotate(user)
        self._configure(plan)
        return made

    def rotate(self, user: User) -> None:
        """A new key in place of the one that the user had. The server's configuration is to be made again."""
        _put(self.user(user) / NKEY, f"{make_seed()}\n".encode(), SECRET)

    def _authority(self, now: datetime.datetime) -> Pair:
        directory = self.directory / "ca"
        if not (directory / CERT).exists():
            self._put_pair(directory, make_authority(now))
        return Pair(_get(directory / CERT), _get(directory / KEY))

    def _put_pair(self, directory: Path, pair: Pair, authority: Pair | None = None) -> None:
        _put(directory / KEY, pair.key, SECRET)
        _put(directory / CERT, pair.certificate, PUBLIC)
        if authority is not None:
            _put(directory / CA, authority.certificate, PUBLIC)

    def _configure(self, plan: Plan) -> None:
        nats = self.directory / "nats"
        keys = self.keys(plan.users)
        _put(nats / "accounts.conf", natsconf.accounts(keys, plan.durables).encode(), PUBLIC)
        leaf = self.directory / "leaf"
        there, leaf_there = (plan.nats_at or str(directory.resolve()) for directory in (nats, leaf))
        _put(nats / "tls.conf", natsconf.tls(there).encode(), PUBLIC)
        _put(
            nats / "nats-server.conf", natsconf.server(plan.listen, plan.store or f"{there}/jetstream").encode(), PUBLIC
        )
        _put(nats / "node.conf", natsconf.node(there).encode(), PUBLIC)
        _put(leaf / "accounts.conf", natsconf.accounts(keys, plan.durables, leaf=True).encode(), PUBLIC)
        _put(leaf / "tls.conf", natsconf.tls(leaf_there).encode(), PUBLIC)
        _put(leaf / "leaf.conf", natsconf.leaf_node(leaf_there).encode(), PUBLIC)
        raw = {**asdict(plan), "keys": {user.name: key for user, key in keys.items()}}
        _put(self.directory / MANIFEST, json.dumps(raw, indent=2).encode() + b"\n", PUBLIC)

    # ---- reading ------------------------------------------------------------

    def plan(self) -> Plan:
        """As it was last made. Raises :class:`TrustError`."""
        file = self.directory / MANIFEST
        try:
            raw = json.loads(_get(file))
            return Plan(
                users=tuple(User(user["role"], tuple(user["names"])) for user in raw["users"]),
                durables=Durables(
                    tuple(raw["durables"]["switches"]), tuple(raw["durables"]["hosts"]), int(raw["durables"]["shards"])
                ),
                servers=tuple(raw["servers"]),
                leaves=tuple(raw.get("leaves", ())),
                switches={name: tuple(at) for name, at in raw["switches"].items()},
                hosts={name: tuple(at) for name, at in raw["hosts"].items()},
                listen=raw["listen"],
                nats_at=raw.get("nats_at", ""),
                store=raw.get("store", ""),
                days=float(raw["days"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise TrustError(f"{file} is not what `ezpath trust init` writes ({error}). Run that again") from None

    def keys(self, users: Iterable[User]) -> dict[User, str]:
        """The public key of each."""
        found: dict[User, str] = {}
        for user in users:
            file = self.user(user) / NKEY
            try:
                found[user] = public_key(_get(file).decode())
            except ValueError as error:
                raise TrustError(f"{file}: {error}. `ezpath trust rotate` makes a new one") from None
        return found

    def user(self, user: User) -> Path:
        return self.directory / "users" / user.name


def _get(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TrustError(f"{file} cannot be read: {error.strerror}. `ezpath trust init DIR` makes it") from None


def _put(file: Path, data: bytes, mode: int) -> None:
    """At once, and never readable by others in between where it is a secret."""
    draft = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=DIRECTORY)
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as written:
            written.write(data)
        draft.rename(file)
    except OSError as error:
        raise TrustError(f"{file} cannot be written: {error.strerror}. Give a directory that is yours") from None
