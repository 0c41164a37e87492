"""NKeys of NATS users: an Ed25519 seed, which is the secret, and the public key that a server knows the user by."""

from __future__ import annotations

import os

import nkeys


def make_seed() -> str:
    """A new one, ``SU…``."""
    return str(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode())


def public_key(seed: str) -> str:
    """``U…``. Raises ValueError where ``seed`` is none of a user."""
    try:
        pair = nkeys.from_seed(bytearray(seed.strip().encode()))
    except nkeys.NkeysError as error:
        raise ValueError(f"no NKey seed: {error}") from None
    key = str(pair.public_key.decode())
    pair.wipe()
    if not key.startswith("U"):
        raise ValueError("an NKey seed, but of no user: that begins with SU")
    return key
