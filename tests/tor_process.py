"""``ezpath-tor`` as a process in a network namespace, with ports that tests send real frames into."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from p4rt import Client, P4Info

ROOT = Path(__file__).parents[1]
TOR = Path(sys.executable).with_name("ezpath-tor")
INFO = P4Info.load(ROOT / "p4" / "ezpath.p4info.txtpb")
CONFIG = (ROOT / "p4" / "ezpath.json").read_bytes()

SRC, DST = "020000000001", "020000000002"
# A tagged frame (VLAN 100) with an IPv4 packet of 46 bytes in it.
FRAME = DST + SRC + "81000064" + "0800" + "4500002e00000000401166bd0a0000010a000002" + "00" * 26
SEND = """
import socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind((sys.argv[1], 0))
for _ in range(int(sys.argv[3])):
    raw.send(bytes.fromhex(sys.argv[2]))
"""


class Namespace:
    """A network namespace with ports p1 and p2, each a veth whose other end is q1 and q2."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.said: list[dict[str, Any]] = []
        self.switch: subprocess.Popen[str] | None = None
        self._running: list[subprocess.Popen[str]] = []

    def run(self, *command: str) -> str:
        done = subprocess.run(["ip", "netns", "exec", self.name, *command], check=True, capture_output=True, text=True)
        return done.stdout

    def start(self, *options: str) -> subprocess.Popen[str]:
        """``ezpath-tor`` with ``options``; its log goes to ``.stderr``."""
        return self.start_command(str(TOR), "--device-id", "1", *options)

    def start_command(self, *command: str, stdin: bool = False) -> subprocess.Popen[str]:
        """Any process; it is killed in the end. With ``stdin`` it can be talked to."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            stdin=subprocess.PIPE if stdin else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._running.append(process)
        return process

    def tor(self, *options: str) -> subprocess.Popen[str]:
        """The same, and waited for until it is ready: :attr:`switch`. What it said until then: :attr:`said`."""
        self.switch = process = self.start(*options)
        assert process.stderr is not None
        self.said = []
        for line in process.stderr:
            self.said.append(json.loads(line))
            if self.said[-1]["event"] == "ready":
                return process
        raise AssertionError(f"ezpath-tor ended with {process.wait()} before it was ready")

    def end(self, number: signal.Signals) -> None:
        """A signal to the switch, and its end."""
        assert self.switch is not None
        self.switch.send_signal(number)
        self.switch.wait(15)

    def filters(self, interface: str) -> str:
        return self.run("tc", "filter", "show", "dev", interface, "ingress")

    def send(self, interface: str, frame: str, count: int) -> None:
        self.run(sys.executable, "-c", SEND, interface, frame, str(count))

    def sent(self, interface: str) -> int:
        """Packets an interface has sent."""
        (link,) = json.loads(self.run("ip", "-j", "-s", "link", "show", "dev", interface))
        packets: int = link["stats64"]["tx"]["packets"]
        return packets

    def is_promiscuous(self, interface: str) -> bool:
        """Takes in frames for any MAC address, by its own flag."""
        return "PROMISC" in self.run("ip", "link", "show", "dev", interface)

    def close(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.kill()
                process.wait()
        subprocess.run(["ip", "netns", "del", self.name], check=True)


@contextmanager
def switch_namespace() -> Iterator[Namespace]:
    """A namespace with the ports wired and up; it goes in the end, and all in it."""
    name = f"ezt-p4rt-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    namespace = Namespace(name)
    try:
        # No neighbour discovery: what a port sends is what the switch forwards.
        namespace.run("sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
        for number in (1, 2):
            namespace.run("ip", "link", "add", f"p{number}", "type", "veth", "peer", "name", f"q{number}")
            namespace.run("ip", "link", "set", f"p{number}", "up")
            namespace.run("ip", "link", "set", f"q{number}", "up")
        yield namespace
    finally:
        namespace.close()


async def load(address: str, election_id: int = 1) -> Client:
    """A client that has made itself primary and set the pipeline."""
    client = Client(address, 1)
    await client.connect()
    await client.become_primary(election_id)
    await client.set_pipeline(INFO, CONFIG, cookie=1)
    return client


def options(sock: Path) -> list[str]:
    return ["--listen", f"unix:{sock}", "--port", "1=p1", "--port", "2=p2"]


def there(path: Path) -> bool:
    return path.exists()


def wait_until(true: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.05)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and what was said on standard error."""
    _, errors = process.communicate(timeout=20)
    return process.returncode, errors
