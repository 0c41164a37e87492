"""Users and their permissions in nats-server's language, to be included by any configuration of one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ezpath.trust.roles import INBOX, Durables, Permissions, User, permissions

ACCOUNT = "EZPATH"
SYSTEM = "SYS"
ANSWER_WITHIN = "2m"
HEAD = """\
# Made by `ezpath trust`: do not change it here. `include` it in the configuration of every nats-server, leaf nodes too.
# Public keys only: this file is no secret.
"""
SERVER = """\
# Made by `ezpath trust`: a nats-server that knows EZPath's users. Start it with  nats-server -c FILE
listen: "{listen}"
jetstream { store_dir: "{store}" }
include ./accounts.conf
include ./tls.conf
"""
TLS = """\
# Made by `ezpath trust`. Clients show a certificate too, and TLS comes before the first word.
tls {
  ca_file: "{directory}/ca.pem"
  cert_file: "{directory}/cert.pem"
  key_file: "{directory}/key.pem"
  verify: true
  handshake_first: true
}
"""


def accounts(users: Mapping[User, str], durables: Durables) -> str:
    """The ``accounts`` block; ``users`` with their public keys."""
    return "\n".join([HEAD, *_accounts(users, durables), ""])


def _accounts(users: Mapping[User, str], durables: Durables) -> Iterator[str]:
    yield "accounts {"
    yield f"  {ACCOUNT} {{"
    yield "    jetstream: enabled"
    yield "    users: ["
    for user, key in sorted(users.items(), key=lambda item: item[0].name):
        yield f"      # {user.name}"
        yield from _user(key, permissions(user, inbox_of(key), durables))
    yield "    ]"
    yield "  }"
    yield f"  {SYSTEM} {{}}"
    yield "}"
    yield f"system_account: {SYSTEM}"


def inbox_of(key: str) -> str:
    """Where answers to the user of a public key come."""
    return f"{INBOX}.{key}"


def _user(key: str, may: Permissions) -> Iterator[str]:
    yield f"      {{ nkey: {key}, permissions: {{"
    yield "          publish: {"
    yield from _listed("allow", may.publish)
    if may.publish_never:
        yield from _listed("deny", may.publish_never)
    yield "          }"
    yield "          subscribe: {"
    yield from _listed("allow", may.subscribe)
    yield "          }"
    if may.answers:
        yield f'          allow_responses: {{ max: 1, expires: "{ANSWER_WITHIN}" }}'
    yield "      } }"


def _listed(word: str, subjects: Iterable[str]) -> Iterator[str]:
    yield f"            {word}: ["
    yield from (f'              "{subject}"' for subject in subjects)
    yield "            ]"


def server(listen: str, store: str) -> str:
    return SERVER.replace("{listen}", listen).replace("{store}", store)


def tls(directory: str) -> str:
    return TLS.replace("{directory}", directory)
