"""Users and their permissions in nats-server's language, to be included by any configuration of one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ezpath.trust.roles import API, INBOX, Durables, Permissions, User, permissions

ACCOUNT = "EZPATH"
SYSTEM = "SYS"
DOMAIN = "ezpath"
"""Of JetStream, by which a leaf node finds the cluster's."""
LEAF = "leaf"
"""Whose certificate lets a leaf node in, and nobody else's."""
ANSWER_WITHIN = "2m"
HEAD = """\
# Made by `ezpath trust`: do not change it here. `include` it in the configuration of every nats-server{but}.
# Public keys only: this file is no secret.
"""
SERVER = """\
# Made by `ezpath trust`: a nats-server that knows EZPath's users. Start it with  nats-server -c FILE
listen: "{listen}"
jetstream { store_dir: "{store}" }
include ./accounts.conf
include ./tls.conf
"""
NODE = """\
# Made by `ezpath trust`: one of the three servers of a cluster, as deploy/nats/node.conf is without trust. The values
# that begin with $ come from the environment. Routes name servers as the certificate does: by names, not by addresses.
server_name: $NATS_NAME
listen: $NATS_LISTEN
http: $NATS_MONITOR
jetstream { store_dir: $NATS_STORE, max_file_store: 2GB, domain: {domain} }
cluster {
  name: ezpath
  listen: $NATS_CLUSTER
  routes: $NATS_ROUTES
  # A certificate of ours is not enough: services have one, too. It has to be that of a server that the routes name.
  tls { {files}, verify_cert_and_check_known_urls: true }
}
leafnodes {
  listen: $NATS_LEAVES
  # The same here: who is called so in his certificate, and nobody else.
  tls { {files}, verify_and_map: true }
  authorization { users: [{ user: "CN={leaf}", account: {account} }] }
}
include ./accounts.conf
include ./tls.conf
"""
LEAF_NODE = """\
# Made by `ezpath trust`: the leaf node of a rack, as deploy/nats/leaf.conf is without trust. The values that begin with
# $ come from the environment.
server_name: $NATS_NAME
listen: $NATS_LISTEN
http: $NATS_MONITOR
# Whoever asks for JetStream here, as if it were here, gets the cluster's.
default_js_domain { {account}: {domain} }
leafnodes {
  reconnect: 1s
  remotes: [{ urls: $NATS_HUB, account: {account}, tls { {files} } }]
}
include ./accounts.conf
include ./tls.conf
"""
FILES = ", ".join(f'{what}_file: "{{directory}}/{what}.pem"' for what in ("ca", "cert", "key"))
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


def accounts(users: Mapping[User, str], durables: Durables, leaf: bool = False) -> str:
    """The ``accounts`` block; ``users`` with their public keys.

    A ``leaf`` node has no JetStream. Permissions hold there for the longer name, with the domain.
    """
    which = "that is a leaf node" if leaf else "that is no leaf node: those have another"
    head = HEAD.replace("{but}", f" {which}")
    text = "\n".join([head, *_accounts(users, durables, leaf), ""])
    return text.replace(f'"{API}.', f'"$JS.{DOMAIN}.API.') if leaf else text


def _accounts(users: Mapping[User, str], durables: Durables, leaf: bool) -> Iterator[str]:
    yield "accounts {"
    yield f"  {ACCOUNT} {{"
    if not leaf:
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


def node(directory: str) -> str:
    """A server of a cluster, with its files in ``directory``."""
    return _filled(NODE, directory)


def leaf_node(directory: str) -> str:
    """A leaf node, with its files in ``directory``."""
    return _filled(LEAF_NODE, directory)


def _filled(template: str, directory: str) -> str:
    text = template.replace("{files}", FILES.replace("{directory}", directory))
    return text.replace("{account}", ACCOUNT).replace("{domain}", DOMAIN).replace("{leaf}", LEAF)
