"""All streams of one container, run inside it: ``python -m ezpath_lab.chaos.ends --me red-11 --rate 40 STREAM …``.

A STREAM is ``pair,peer,address,port``. One process for each container, not one for each stream: the machine has other
work. It is asked things on standard input, a word and a JSON object a line, and answers a JSON object a line:

    mark                      the next number of each stream, how many were refused, and who has heard its peer
    settle {stream: mark}     what each receiver saw, up to its peer's mark
    times {stream: [[a, b]]}  when those numbers were sent, nanoseconds
    forget {stream: mark}     the times of all below are not asked for any more

It ends when standard input does, and after ``--seconds`` in any case.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import select
import socket
import sys
import time
from dataclasses import asdict
from typing import Any

from ezpath_lab.chaos.ledger import Receiver
from ezpath_lab.probe import Probe, encode

_BUFFER_BYTES = 4 << 20
_SO_RCVBUFFORCE = 33
_CATCH_UP_S = 0.02
"""After a stall at most this much is sent in one go."""
_HELLO_S = 0.1


class End:
    """One end of one pair's stream."""

    def __init__(self, pair: str, me: str, peer: str, address: str, port: int) -> None:
        self.pair = pair
        self.sender = f"{pair}>{me}"
        self.receiver = Receiver(f"{pair}>{peer}")
        self.next = 0
        self.refused = 0
        self.sent_at: dict[int, int] = {}
        self._to = (address, port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self.socket.bind(("", port))
        self.socket.connect(self._to)
        self.socket.setblocking(False)

    def send(self) -> None:
        """The next packet; until the peer was heard, a greeting."""
        now_ns = time.monotonic_ns()
        hello = not self.receiver.met
        try:
            self.socket.send(encode(Probe(self.sender, 0, 0 if hello else self.next, now_ns, hello)))
        except OSError:  # the kernel did not take it, so it was not sent
            self.refused += not hello
            return
        if not hello:
            self.sent_at[self.next] = now_ns
            self.next += 1

    def greet(self) -> None:
        """Once more, for a peer that listens only since a moment ago."""
        self.socket.send(encode(Probe(self.sender, 0, 0, time.monotonic_ns(), hello=True)))

    def receive(self) -> None:
        """All that has come."""
        while True:
            try:
                payload = self.socket.recv(2048)
            except BlockingIOError:
                return
            except OSError:  # the peer's port was closed a moment ago
                continue
            had_met = self.receiver.met
            self.receiver.take(payload, time.monotonic_ns())
            if self.receiver.met and not had_met:
                self.greet()


class Ends:
    """Those of one container, each sending at ``rate``."""

    def __init__(self, ends: list[End], rate: float) -> None:
        self._ends = {end.pair: end for end in ends}
        self._interval_s = 1.0 / rate
        self._commands = b""

    def run(self, seconds: float) -> None:
        """Until standard input ends, ``seconds`` at most."""
        began = time.monotonic()
        # Each begins at another moment, so that they do not send in bursts.
        due = [(began + index * self._interval_s / len(self._ends), name) for index, name in enumerate(self._ends)]
        heapq.heapify(due)
        poller = select.epoll()
        poller.register(0, select.EPOLLIN | select.EPOLLHUP)
        by_fd = {end.socket.fileno(): end for end in self._ends.values()}
        for fd in by_fd:
            poller.register(fd, select.EPOLLIN)
        while (now := time.monotonic()) < began + seconds:
            while due[0][0] <= now:
                when, name = due[0]
                end = self._ends[name]
                end.send()
                pause = self._interval_s if end.receiver.met else _HELLO_S
                heapq.heapreplace(due, (max(when, now - _CATCH_UP_S) + pause, name))
            for fd, _ in poller.poll(max(0.0, due[0][0] - time.monotonic())):
                if fd == 0:
                    if not self._listen():
                        return
                else:
                    by_fd[fd].receive()

    def _listen(self) -> bool:
        """Answer what came on standard input; False at its end."""
        data = os.read(0, 1 << 16)
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            word, _, body = line.decode().partition(" ")
            sys.stdout.write(json.dumps(self._answer(word, json.loads(body or "{}"))) + "\n")
            sys.stdout.flush()
        return bool(data)

    def _answer(self, word: str, asked: dict[str, Any]) -> dict[str, Any]:
        if word == "mark":
            return {
                name: {"next": end.next, "refused": end.refused, "met": end.receiver.met}
                for name, end in self._ends.items()
            }
        if word == "settle":
            for end in self._ends.values():
                end.receive()
            return {name: asdict(self._ends[name].receiver.settle(mark)) for name, mark in asked.items()}
        if word == "times":
            return {
                name: [[n, self._ends[name].sent_at[n]] for first, last in runs for n in range(first, last + 1)]
                for name, runs in asked.items()
            }
        for name, mark in asked.items():
            end = self._ends[name]
            end.sent_at = {number: when for number, when in end.sent_at.items() if number >= mark}
        return {}


def main() -> None:
    """The command line, for :mod:`ezpath_lab.chaos.streams`."""
    parser = argparse.ArgumentParser(prog="python -m ezpath_lab.chaos.ends")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--me", required=True)
    parser.add_argument("--rate", type=float, default=40.0, help="packets a second of each stream")
    parser.add_argument("streams", nargs="+", metavar="PAIR,PEER,ADDRESS,PORT")
    arguments = parser.parse_args()
    ends = []
    for stream in arguments.streams:
        pair, peer, address, port = stream.split(",")
        ends.append(End(pair, arguments.me, peer, address, int(port)))
    Ends(ends, arguments.rate).run(arguments.seconds)


if __name__ == "__main__":
    main()
