"""ZeroMQ messages between two guests, as libzmq's own performance tools exchange them, which Debian does not package.

Runs in a guest: standard library and pyzmq, and it is copied there by itself. First one message at a time there and
back, until an empty one; then one way as fast as they go, until an empty one.

    exchange.py answer ADDRESS PORT                    prints what it counted of the second, JSON
    exchange.py ask ADDRESS PORT OCTETS SECONDS PIPE   prints how long the first took, JSON

``ask`` opens PIPE for writing when the first is over, and begins the second when somebody writes into it: who measures
processor time has the second by itself.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import zmq

_AT_ONCE = 10
"""Messages between two looks at the clock."""


def answer(address: str, port: int) -> None:
    """At ``port`` messages that go back, at the next those that do not."""
    context = zmq.Context()
    answering, pulling = context.socket(zmq.REP), context.socket(zmq.PULL)
    pulling.bind(f"tcp://{address}:{port + 1}")
    answering.bind(f"tcp://{address}:{port}")
    while message := answering.recv():
        answering.send(message)
    answering.send(b"")
    count = 0
    pulling.recv()
    began = time.monotonic()
    while pulling.recv():
        count += 1
    _say({"messages": count, "seconds": time.monotonic() - began})


def ask(address: str, port: int, octets: int, seconds: float, pipe: str) -> None:
    """``seconds`` each."""
    context = zmq.Context()
    asking, pushing = context.socket(zmq.REQ), context.socket(zmq.PUSH)
    asking.connect(f"tcp://{address}:{port}")
    pushing.connect(f"tcp://{address}:{port + 1}")
    message = bytes(octets)
    took = sorted(_trips(asking, message, seconds))
    with Path(pipe).open("w"):
        pass
    Path(pipe).read_text()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(_AT_ONCE):
            pushing.send(message)
    pushing.send(b"")
    pushing.close()
    asking.close()
    context.term()
    _say({"trips": len(took), "p50_us": took[len(took) // 2] / 1e3, "p99_us": took[len(took) * 99 // 100] / 1e3})


def _trips(asking: zmq.Socket[bytes], message: bytes, seconds: float) -> list[int]:
    """Nanoseconds of each. The first makes the connection and is not counted; an empty one ends it."""
    asking.send(message)
    asking.recv()
    took: list[int] = []
    before = time.monotonic_ns()
    end = before + int(seconds * 1e9)
    while before < end:
        asking.send(message)
        asking.recv()
        after = time.monotonic_ns()
        took.append(after - before)
        before = after
    asking.send(b"")
    asking.recv()
    return took


def _say(what: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")


if __name__ == "__main__":
    role, where, at, *rest = sys.argv[1:]
    if role == "answer":
        answer(where, int(at))
    else:
        ask(where, int(at), int(rest[0]), float(rest[1]), rest[2])
