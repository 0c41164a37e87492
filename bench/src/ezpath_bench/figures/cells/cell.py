"""One host in namespaces of its own, on this machine or, over SSH, on another: network, mounts and processes.

Everything in it, daemons included, ends with the connection that holds it. Network cards that were lent to it go back.
"""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ezpath_lab.shell import LabError, in_namespace

from ezpath_bench.figures.guests.host import CpuSeconds

_READY_S, _ORDER_S = 30.0, 30.0
_SHARED = "/run/ezpath-bench"
_PRIVATE = ("/run/netns", "/run/openvswitch", "/var/lib/openvswitch", "/etc/openvswitch", _SHARED)
_HOLD = f"""
read -r pid _ </proc/self/stat
for d in {" ".join(_PRIVATE)}; do mkdir -p $d; mount -t tmpfs tmpfs $d; done
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t bpf bpf /sys/fs/bpf
for f in all default; do echo 1 >/proc/sys/net/ipv6/conf/$f/disable_ipv6; done
ip link set lo up
echo "ready $pid"
exec cat
"""
"""The first process of the cell. /proc is still the machine's when it reads its own number."""


class Cell:
    """A host that runs. Use as a context manager."""

    def __init__(self, name: str, cards: Mapping[str, str], namespace: str = "", reach: Sequence[str] = ()) -> None:
        """``cards``: a network card to its name in the cell; they are in ``namespace`` where that is given, else
        the machine's own. ``reach``: words that run what follows them on a machine, as ``ssh NAME``; none: here."""
        self.name = name
        self._cards = cards
        self._outer = in_namespace(namespace) if namespace else ()
        self._reach = tuple(reach)
        self._addresses: dict[str, str] = {}
        """Of cards that were lent."""
        self._holding: subprocess.Popen[bytes] | None = None
        self.pid = 0
        """Of its first process, on its machine."""

    def __enter__(self) -> Cell:
        unshare = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
        words = self._words(*unshare, "sh", "-ec", _HOLD)
        self._holding = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        self.pid = self._until_ready(self._holding)
        try:
            for card, name in self._cards.items():
                self._addresses[card] = self._outside(self._lend(card, name)).strip()
        except LabError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._holding is not None and self._holding.stdin is not None
        try:
            if self.pid:
                self._outside("\n".join(self._back()))
        finally:
            self._let_go(self._holding)

    def _let_go(self, holding: subprocess.Popen[bytes]) -> None:
        assert holding.stdin is not None
        holding.stdin.close()
        try:
            holding.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(holding.pid, 9)
            holding.wait()

    def _lend(self, card: str, name: str) -> str:
        """Says the card's address."""
        return f"""
cat /sys/class/net/{card}/address
ip link set {card} down
ip link set {card} netns {self.pid} name {name}
"""

    def _back(self) -> Iterator[str]:
        """Cards go back to where they came from, with the names and addresses that they have there."""
        inside = f"nsenter -t {self.pid} --net ip link set"
        for card, address in self._addresses.items():
            name = self._cards[card]
            yield f"{inside} {name} down; {inside} {name} address {address}; {inside} {name} name {card}"
            yield f"{inside} {card} netns $$"

    def run(self, script: str, timeout_s: float = _ORDER_S) -> str:
        """Have ``script`` run to its end and return what it said. Raises :class:`LabError`."""
        return self.start(script).result(timeout_s)

    def start(self, script: str) -> Errand:
        """Have ``script`` run and do not wait for its end."""
        return Errand(self.name, self._words(*self._enter(), "bash", "-es"), script)

    def share(self, file: Path, name: str) -> str:
        """A copy of ``file`` in the cell; returns its path there."""
        text = base64.b64encode(file.read_bytes()).decode()
        self.run(f"base64 -d >{_SHARED}/{name} <<END\n{text}\nEND")
        return f"{_SHARED}/{name}"

    def tell_softirqs(self, on: bool) -> None:
        """A kernel that is the machine's own always does."""

    def cpu_seconds(self) -> CpuSeconds:
        """Of its whole machine since that was booted, as its kernel accounts for it."""
        return cpu_of(self.run("head -n 1 /proc/stat; getconf CLK_TCK"))

    def way(self, socket: str) -> tuple[str, ...]:
        """A command that connects its standard input and output with a unix socket of the cell."""
        return self._words(*self._enter(), "socat", "STDIO", f"UNIX-CONNECT:{socket}")

    def _enter(self) -> tuple[str, ...]:
        return ("nsenter", "-t", str(self.pid), "--net", "--mount", "--pid")

    def _words(self, *argv: str) -> tuple[str, ...]:
        return (*self._reach, shlex.join(argv)) if self._reach else argv

    def _outside(self, script: str) -> str:
        return Errand(self.name, self._words(*self._outer, "bash", "-es"), script).result(_ORDER_S)

    def _until_ready(self, holding: subprocess.Popen[bytes]) -> int:
        assert holding.stdout is not None
        late = threading.Timer(_READY_S, holding.kill)
        late.start()
        said = []
        try:
            for line in holding.stdout:
                said.append(line.decode(errors="replace").strip())
                words = said[-1].split()
                if len(words) == 2 and words[0] == "ready":
                    return int(words[1])
        finally:
            late.cancel()
        holding.wait()
        raise LabError(f"host {self.name} is not to be had: {' '.join(said)[-400:] or 'no answer'}")


class Errand:
    """A script that runs, or ran, in a cell."""

    def __init__(self, where: str, words: Sequence[str], script: str) -> None:
        self._where, self._script = where, script
        self._running = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
        )
        self._said = b""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        self._said, _ = self._running.communicate(self._script.encode())

    def result(self, timeout_s: float = _ORDER_S) -> str:
        """What it said, when it has ended. Raises :class:`LabError` where it failed or takes too long."""
        self._reading.join(timeout_s)
        if self._reading.is_alive():
            os.killpg(self._running.pid, 9)
            raise LabError(f"host {self._where}: no end within {timeout_s:.0f} s of: {self._script}")
        said, code = self._said.decode(errors="replace"), self._running.returncode
        if code:
            raise LabError(f"host {self._where}: exit status {code}, said: {said.strip()[-800:]!r} to: {self._script}")
        return said


def cpu_of(said: str) -> CpuSeconds:
    """The first line of /proc/stat, and ticks a second."""
    line, ticks = said.splitlines()
    user, nice, system, _, _, irq, softirq = (int(word) / int(ticks) for word in line.split()[1:8])
    kernel = system + irq + softirq
    return CpuSeconds(user + nice, kernel, kernel, irq + softirq)
