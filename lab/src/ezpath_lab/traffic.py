"""One end of the lab's own traffic, run inside a container: ``python -m ezpath_lab.traffic stream|mice|echo …``.

``stream`` sends numbered packets to its peer at a steady rate and counts the peer's. It is told things on standard
input (``act 3``, ``hush``, ``report``) and answers on standard output, a JSON object a line. It ends when standard
input does, and after ``--seconds`` in any case. Standard library only: a dozen of these start at once.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import sys
import time
from dataclasses import asdict
from pathlib import Path

from ezpath_lab.probe import Probe, Receiver, encode, percentile

ECHO_PORT = 7008
_BUFFER_BYTES = 8 << 20
_SO_RCVBUFFORCE = 33
_HELLO_S = 0.05
_GAPS = 20
_CATCH_UP_S = 0.02
"""After a stall at most this much is sent in one go: a receiver's buffers are to be tested by EZPath, not by us."""


class Stream:
    """Sender and receiver of one container."""

    def __init__(self, sender: str, expected: str, peer: str, port: int, rate: float) -> None:
        self._sender = sender
        self._interval_s = 1.0 / rate
        self._peer = (peer, port)
        self._receiver = Receiver(expected)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        self._socket.bind(("", port))
        self._socket.setblocking(False)
        self._sent: dict[int, int] = {}
        self._refused = 0
        self._sequence = 0
        self._act = 0
        self._met = False
        self._hushed = False
        self._commands = b""

    def run(self, seconds: float) -> None:
        """Until standard input ends, ``seconds`` at most."""
        due = time.monotonic()
        end = due + seconds
        while (now := time.monotonic()) < end:
            if self._hushed:
                due = now + 1.0
            elif now >= due:
                due = self._send(now, due)
            ready, _, _ = select.select((self._socket.fileno(), 0), (), (), max(0.0, due - time.monotonic()))
            if self._socket.fileno() in ready:
                self._receive()
            if 0 in ready and not self._listen():
                return

    def _send(self, now: float, due: float) -> float:
        """Send what is due; returns when the next is. Until the peer was heard, only greetings are sent."""
        if not self._met:
            self._put(Probe(self._sender, 0, 0, time.monotonic_ns(), hello=True))
            return now + _HELLO_S
        due = max(due, now - _CATCH_UP_S)
        while due <= now:
            if self._put(Probe(self._sender, self._act, self._sequence, time.monotonic_ns())):
                self._sent[self._act] = self._sent.get(self._act, 0) + 1
                self._sequence += 1
            due += self._interval_s
        return due

    def _put(self, probe: Probe) -> bool:
        try:
            self._socket.sendto(encode(probe), self._peer)
        except OSError:  # the kernel did not take it, so it was not sent: counted apart
            self._refused += 1
            return False
        return True

    def _receive(self) -> None:
        while True:
            try:
                payload = self._socket.recv(2048)
            except BlockingIOError:
                return
            except ConnectionError:  # the peer's port was closed a moment ago
                continue
            probe = self._receiver.take(payload, time.monotonic_ns())
            if probe is not None and not self._met:
                self._met = True
                # The peer may have stopped greeting before we began to listen: one more, so that it hears us.
                self._put(Probe(self._sender, 0, 0, time.monotonic_ns(), hello=True))

    def _listen(self) -> bool:
        """Obey what came on standard input; False at its end."""
        data = os.read(0, 4096)
        *lines, self._commands = (self._commands + data).split(b"\n")
        for line in lines:
            word, _, argument = line.decode().partition(" ")
            if word == "act":
                self._act = int(argument)
            elif word == "hush":
                self._hushed = True
            elif word == "report":
                _answer(self.report())
        return bool(data)

    def report(self) -> dict[str, object]:
        """All counts so far, by act."""
        received = {
            str(act): {
                "received": count.received,
                "duplicated": count.duplicated,
                "reordered": count.reordered,
                "delay_us_p50": percentile(count.delays_us, 50),
                "delay_us_p99": percentile(count.delays_us, 99),
                "delay_us_max": max(count.delays_us, default=0),
            }
            for act, count in self._receiver.acts.items()
        }
        return {
            "sender": self._sender,
            "met": self._met,
            "sent": {str(act): count for act, count in self._sent.items()},
            "refused": self._refused,
            "received": received,
            "foreign": self._receiver.foreign,
            "foreign_senders": sorted(self._receiver.foreign_senders),
            "socket_drops": _socket_drops(self._socket),
            "gaps": [asdict(gap) for gap in self._receiver.gaps()[:_GAPS]],
        }


def mice(peer: str, seconds: float) -> None:
    """Short TCP connections one after the other, each checked byte by byte, until standard input ends."""
    done, failed, reasons = 0, 0, []
    end = time.monotonic() + seconds
    size = 1000
    while time.monotonic() < end:
        try:
            _one_mouse(peer, size)
            done += 1
        except OSError as error:
            failed += 1
            reasons.append(f"{type(error).__name__}: {error}")
        size = 1000 + (size * 7 + 313) % 15_000
        if select.select((0,), (), (), 0.25)[0]:
            data = os.read(0, 4096)
            if b"report" in data:
                _answer({"completed": done, "failed": failed, "reasons": reasons[:5]})
            if not data:
                return


def _one_mouse(peer: str, size: int) -> None:
    body = os.urandom(size)
    with socket.create_connection((peer, ECHO_PORT), timeout=5) as connection:
        connection.sendall(body)
        connection.shutdown(socket.SHUT_WR)
        back = b"".join(iter(lambda: connection.recv(65536), b""))
    if back != body:
        raise OSError(f"{len(back)} bytes came back of {size}, or others")


def echo(seconds: float) -> None:
    """Answer mice, until standard input ends."""
    end = time.monotonic() + seconds
    with socket.create_server(("", ECHO_PORT)) as server:
        while time.monotonic() < end:
            ready, _, _ = select.select((server.fileno(), 0), (), (), 1.0)
            if server.fileno() in ready:
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(5)
                    body = b"".join(iter(lambda c=connection: c.recv(65536), b""))  # type: ignore[misc]
                    connection.sendall(body)
            if 0 in ready:
                data = os.read(0, 4096)
                if b"report" in data:
                    _answer({"listening": True})
                if not data:
                    return


def _answer(body: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(body) + "\n")
    sys.stdout.flush()


def _socket_drops(sock: socket.socket) -> int:
    """What the kernel dropped because this socket's buffer was full."""
    inode = str(os.fstat(sock.fileno()).st_ino)
    for line in Path("/proc/self/net/udp").read_text().splitlines()[1:]:
        words = line.split()
        if words[9] == inode:
            return int(words[12])
    return 0


def main() -> None:
    """The command line, for :mod:`ezpath_lab.workload`."""
    parser = argparse.ArgumentParser(prog="python -m ezpath_lab.traffic")
    parser.add_argument("--seconds", type=float, default=60.0, help="end after so long in any case")
    roles = parser.add_subparsers(dest="role", required=True)
    streaming = roles.add_parser("stream")
    streaming.add_argument("--sender", required=True, help="whose packets: tenant.a.b>container")
    streaming.add_argument("--expect", required=True, help="the peer's")
    streaming.add_argument("--peer", required=True, help="the peer's address")
    streaming.add_argument("--port", type=int, required=True, help="UDP, at both ends")
    streaming.add_argument("--rate", type=float, default=300.0, help="packets a second")
    mouse = roles.add_parser("mice")
    mouse.add_argument("--peer", required=True)
    roles.add_parser("echo")
    arguments = parser.parse_args()
    if arguments.role == "stream":
        stream = Stream(arguments.sender, arguments.expect, arguments.peer, arguments.port, arguments.rate)
        stream.run(arguments.seconds)
    elif arguments.role == "mice":
        mice(arguments.peer, arguments.seconds)
    else:
        echo(arguments.seconds)


if __name__ == "__main__":
    main()
