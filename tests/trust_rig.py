"""A nats-server that knows EZPath's users, as `ezpath trust init` sets it up, and what each user shows it."""

from __future__ import annotations

import datetime
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from contract.conftest import free_port, nats_binary, until_listening
from ezpath.bus import Access
from ezpath.trust.roles import ROLES, Durables, User
from ezpath.trust.store import CA, CERT, KEY, NKEY, Plan, Store


def plan_of(*users: User, switches: Sequence[str] = ("tor1", "tor2"), hosts: Sequence[str] = ("h1", "h2")) -> Plan:
    """``users``, or one of each role that may have all there is."""
    named = dict.fromkeys(switches, ()), dict.fromkeys(hosts, ())
    return Plan(
        users or tuple(map(User, ROLES)),
        Durables(tuple(switches), tuple(hosts)),
        switches=named[0],
        hosts=named[1],
    )


class Guarded:
    """One nats-server. Its store of keys and certificates may be changed, and the server told of it."""

    def __init__(self, directory: Path, plan: Plan, made_at: datetime.datetime | None = None) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.plan = replace(plan, listen=f"127.0.0.1:{self.port}")
        self.store = Store(directory / "trust")
        self.store.make(self.plan, made_at or datetime.datetime.now(datetime.UTC))
        self._directory = directory
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = nats_binary()
        assert binary is not None
        configuration = self.store.directory / "nats" / "nats-server.conf"
        with (self._directory / "nats.log").open("ab") as log:
            self.process = subprocess.Popen([binary, "-c", str(configuration)], stdout=log, stderr=log)
        until_listening(self.port, self._directory / "nats.log")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def access(self, user: User | str) -> Access:
        """For a role or a user of it."""
        name = user.name if isinstance(user, User) else user
        mine = self.store.directory / "users" / name
        return Access(self.url, mine / NKEY, mine / CA, mine / CERT, mine / KEY)

    def shown(self, name: str) -> list[str]:
        """The same as options of a program."""
        access = self.access(name)
        return [
            *("--nats-credentials", str(access.credentials), "--nats-ca", str(access.ca)),
            *("--nats-certificate", str(access.certificate), "--nats-key", str(access.key)),
        ]


@contextmanager
def guarded(directory: Path, plan: Plan, made_at: datetime.datetime | None = None) -> Iterator[Guarded]:
    server = Guarded(directory, plan, made_at)
    server.start()
    try:
        yield server
    finally:
        server.stop()
