"""What this machine can do at most, measured: the bounds that are shown beside curves."""

from __future__ import annotations

import socket
import threading
import time

import numpy as np

_OCTETS = 1 << 28
_PIECE = 1 << 16
_TRIES = 3


def measured() -> dict[str, float]:
    """Octets a second: read from memory by one core, and received from a socket for a second of one core's time."""
    return {
        "memory_octets_s": max(_memory() for _ in range(_TRIES)),
        "socket_octets_s": max(_socket() for _ in range(_TRIES)),
    }


def _memory() -> float:
    column = np.ones(_OCTETS // 8, np.int64)
    began = time.perf_counter()
    column.sum()
    return _OCTETS / (time.perf_counter() - began)


def _socket() -> float:
    """By the receiver's own processor time, as a collector's is counted."""
    here, there = socket.socketpair()
    piece, room = bytes(_PIECE), bytearray(_PIECE)

    def send() -> None:
        with there:
            for _ in range(_OCTETS // _PIECE):
                there.sendall(piece)

    sender = threading.Thread(target=send)
    sender.start()
    began, got = time.thread_time(), 0
    with here:
        while count := here.recv_into(room):
            got += count
    used = time.thread_time() - began
    sender.join()
    return got / used
