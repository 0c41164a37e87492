"""Numbered packets to the other guest and back: what is lost, late or out of order, and in which act. Runs in a guest.

Standard library only: it is copied there by itself. Round trips, because the guests' clocks are not the same.
``numbered.py pong ADDRESS`` answers; ``numbered.py ping ADDRESS RATE`` asks, and prints JSON at its end. Text to UDP
port 7009 of loopback begins the act of that name; ``end`` ends it.
"""

from __future__ import annotations

import json
import select
import socket
import struct
import sys
import time

PORT, CONTROL = 7008, 7009
_NUMBER = struct.Struct("!Qq")
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 8 << 20
_LAST_S = 0.7
"""How long answers are waited for after the last packet."""


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    return made


def pong(address: str) -> None:
    """Answer, until killed."""
    with _socket() as answering:
        answering.bind((address, PORT))
        while True:
            payload, who = answering.recvfrom(2048)
            answering.sendto(payload, who)


def ping(address: str, rate: float) -> None:
    """Ask ``rate`` times a second, until told to end."""
    asking, control = _socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    asking.connect((address, PORT))
    control.bind(("127.0.0.1", CONTROL))
    acts: dict[str, list[int]] = {}
    back: dict[int, int] = {}
    late: set[int] = set()
    act, count, highest, duplicated = "", 0, -1, 0
    due, end = time.monotonic(), 0.0
    while not end or time.monotonic() < end:
        now = time.monotonic()
        if act and not end and now >= due:
            acts.setdefault(act, []).append(count)
            asking.send(_NUMBER.pack(count, time.monotonic_ns()).ljust(64))
            count += 1
            due = max(due + 1 / rate, now - 0.02)
        wait = 0.05 if end or not act else max(0.0, due - time.monotonic())
        ready, _, _ = select.select((asking, control), (), (), wait)
        if control in ready:
            word = control.recv(64).decode()
            act, end = ("", time.monotonic() + _LAST_S) if word == "end" else (word, 0.0)
            due = time.monotonic()
        if asking in ready:
            number, sent_ns = _NUMBER.unpack_from(asking.recv(2048))
            if number in back:
                duplicated += 1
                continue
            back[number] = time.monotonic_ns() - sent_ns
            if number < highest:
                late.add(number)
            highest = max(highest, number)
    told = {name: _told(numbers, back, late) for name, numbers in acts.items()}
    sys.stdout.write(json.dumps({"acts": told, "duplicated": duplicated}) + "\n")


def _told(numbers: list[int], back: dict[int, int], late: set[int]) -> dict[str, float]:
    trips = sorted(back[number] for number in numbers if number in back)
    median, worst = (trips[len(trips) // 2] / 1e3, trips[-1] / 1e3) if trips else (0.0, 0.0)
    lost, reordered = len(numbers) - len(trips), len(late.intersection(numbers))
    return {"sent": len(numbers), "lost": lost, "reordered": reordered, "p50_us": median, "worst_us": worst}


if __name__ == "__main__":
    if sys.argv[1] == "pong":
        pong(sys.argv[2])
    else:
        ping(sys.argv[2], float(sys.argv[3]))
