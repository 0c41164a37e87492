"""Where NATS is, and how a process shows who it is: what `--nats` and the options beside it say.

Secrets stay in their files: they are read when a connection is made, so that a renewed one is taken up without a
restart, and never logged. Adapter.
"""

from __future__ import annotations

import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nkeys

from ezpath import natsurl
from ezpath.bus.errors import Refused
from ezpath.bus.websocket import prepare
from ezpath.tls import BadFile, TlsFiles

INBOX = "_INBOX"


@dataclass(frozen=True, slots=True)
class Access:
    """``str()`` of it is the address alone, without a password in it: for logs and messages."""

    url: str
    credentials: Path | None = None
    """An NKey seed."""
    ca: Path | None = None
    """Who signs the servers that are believed; TLS, where there is one."""
    certificate: Path | None = None
    key: Path | None = None

    def __str__(self) -> str:
        return natsurl.shown(self.url)

    @property
    def shown(self) -> str:
        """Who we say that we are, in words."""
        if self.credentials is None and self.certificate is None:
            return "who shows nothing (neither --nats-credentials nor --nats-certificate is given)"
        named = (("--nats-credentials", self.credentials), ("--nats-certificate", self.certificate))
        return " and ".join(f"{option} {file}" for option, file in named if file is not None)

    def options(self, now: datetime.datetime | None = None) -> dict[str, Any]:
        """For nats-py's ``connect``. Raises :class:`Refused` where a file is not what it should be."""
        prepare(natsurl.servers(self.url))
        found: dict[str, Any] = {}
        if self.credentials is not None:
            seed, user = _seed(self.credentials)
            # An inbox of its own: nobody else is allowed to hear its answers.
            found |= {"nkeys_seed_str": seed, "inbox_prefix": f"{INBOX}.{user}"}
        if self.ca is not None:
            # Before the first word: a server that says it knows no TLS would be spoken to in the clear otherwise.
            found |= {"tls": self._tls(now or datetime.datetime.now(datetime.UTC)), "tls_handshake_first": True}
        return found

    def _tls(self, now: datetime.datetime) -> ssl.SSLContext:
        try:
            return TlsFiles("--nats", self.ca, self.certificate, self.key).context(now)
        except BadFile as error:
            raise Refused(str(error)) from None


def access_of(nats: Access | str) -> Access:
    return nats if isinstance(nats, Access) else Access(nats)


def _seed(file: Path) -> tuple[str, str]:
    """The seed, and the public key that it belongs to."""
    try:
        seed = file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not text"
        raise Refused(
            f"--nats-credentials {file} cannot be read: {why}. Give the file of an NKey seed (ezpath trust init)"
        ) from None
    try:
        pair = nkeys.from_seed(bytearray(seed.encode()))
        user = pair.public_key.decode()
        pair.wipe()
    except (nkeys.NkeysError, ValueError):
        user = ""
    if not user.startswith("U"):
        raise Refused(
            f"--nats-credentials {file} holds no NKey seed of a user, which begins with SU. "
            "Give a file that `ezpath trust init` made"
        )
    return seed, user
