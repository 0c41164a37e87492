"""One guest: a User-Mode Linux process in a network namespace, told what to do over its console.

An order is a script in a folder that guest and bench share; its number goes over the console, and "done" comes back.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ezpath_lab.shell import LabError, in_namespace

from ezpath_bench.figures.guests import tree
from ezpath_bench.figures.guests.classes import Watch
from ezpath_bench.figures.guests.host import CpuSeconds

BOOT_S = 30.0
ORDER_S = 30.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_ENTER = """
mount -t proc proc "$TREE/proc"
mount --bind /dev "$TREE/dev"
mount -t tmpfs tmpfs "$TREE/tmp"
mount --bind "$ORDERS" "$TREE/orders"
cp "$INIT" "$TREE/tmp/init.sh"
exec chroot "$TREE" env -i PATH=/usr/sbin:/usr/bin HOME=/tmp TMPDIR=/tmp taskset -c "$CORE" linux.uml "$@"
"""
"""In a mount namespace of its own: it goes with the guest."""


@dataclass(frozen=True, slots=True)
class Nic:
    """A network card of the guest: ``vec<n>`` inside, a tap outside."""

    tap: str
    mac: str
    mtu: int = 1600


class Guest:
    """A running guest. Use as a context manager."""

    def __init__(self, name: str, namespace: str, nics: Sequence[Nic], folder: Path, core: int, mem: str) -> None:
        self.name = name
        self._namespace = namespace
        self._nics = nics
        self._orders = folder / f"orders-{name}"
        self._log = folder / f"{name}.log"
        self._core, self._mem = core, mem
        self._count = 0
        self._said: dict[int, threading.Event] = {}
        self._ready = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: Watch | None = None

    def __enter__(self) -> Guest:
        self._orders.mkdir(parents=True)
        words = [f"mem={self._mem}", "rootfstype=hostfs", "rootflags=/", "ro", "init=/tmp/init.sh", "quiet"]
        words += ["seccomp=on", "con=null", "con0=fd:0,fd:1"]
        for number, nic in enumerate(self._nics):
            options = f"transport=tap,ifname={nic.tap},mac={nic.mac},depth=128,gro=1,mtu={nic.mtu}"
            words.append(f"vec{number}:{options}")
        enter = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", _ENTER, "guest", *words)
        places = {"TREE": str(tree.place()), "ORDERS": str(self._orders), "INIT": str(tree.INIT)}
        self._process = subprocess.Popen(
            in_namespace(self._namespace, *enter),
            env={**os.environ, **places, "CORE": str(self._core)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(self._process,), daemon=True).start()
        if not self._ready.wait(BOOT_S) or self._process.poll() is not None:
            self.__exit__()
            raise LabError(f"guest {self.name} did not boot within {BOOT_S:.0f} s. Its console ended:{self._tail()}")
        self._watch = Watch(self._process.pid, tree.place() / "usr/bin/linux.uml")
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        if self._watch is not None:
            self._watch.stop()
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()

    def run(self, script: str, timeout_s: float = ORDER_S) -> str:
        """Have ``script`` run to its end and return what it said. Raises :class:`LabError`."""
        return self.start(script).result(timeout_s)

    def start(self, script: str) -> Order:
        """Give an order and do not wait for its end."""
        assert self._process is not None and self._process.stdin is not None
        self._count += 1
        order = Order(self, self._count, script, self._orders / f"{self._count}.out")
        self._said[order.number] = order.done
        (self._orders / f"{order.number}.sh").write_text(script + "\n", encoding="utf-8")
        self._process.stdin.write(f"{order.number}\n".encode())
        self._process.stdin.flush()
        return order

    def share(self, file: Path, name: str) -> str:
        """A copy of ``file`` where the guest sees it; returns its path there."""
        (self._orders / name).write_bytes(file.read_bytes())
        return f"/orders/{name}"

    def tell_softirqs(self, on: bool) -> None:
        """From now on, or no more: see classes.py."""
        assert self._watch is not None
        (self._watch.looking.set if on else self._watch.looking.clear)()

    def cpu_seconds(self) -> CpuSeconds:
        """What the guest has used so far, seen from outside: a guest cannot tell its own kernel's time."""
        assert self._process is not None and self._watch is not None
        programs, kernel = _cpu_of_tree(self._process.pid)
        return CpuSeconds(programs, kernel, self._watch.running, self._watch.at_softirq)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with self._log.open("wb") as log:
            for line in process.stdout:
                log.write(line)
                log.flush()
                words = line.decode(errors="replace").split()
                if words == ["ready"]:
                    self._ready.set()
                elif len(words) == 2 and words[0] == "done" and words[1].isdigit():
                    self._said[int(words[1])].set()
        self._ready.set()
        for waiting in self._said.values():
            waiting.set()

    def _tail(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()[-12:] if self._log.exists() else []
        return "".join(f"\n    {line}" for line in lines) or "\n    (nothing)"


class Order:
    """A script that runs, or ran, in a guest."""

    def __init__(self, guest: Guest, number: int, script: str, out: Path) -> None:
        self._guest, self.number, self._script, self._out = guest, number, script, out
        self.done = threading.Event()

    def result(self, timeout_s: float = ORDER_S) -> str:
        """What it said, when it has ended. Raises :class:`LabError` where it failed or takes too long."""
        if not self.done.wait(timeout_s):
            raise LabError(f"guest {self._guest.name}: no end within {timeout_s:.0f} s of: {self._script}")
        status = self._out.with_suffix(".rc")
        said = self._out.read_text(errors="replace") if self._out.exists() else ""
        code = status.read_text().strip() if status.exists() else "none, the guest is gone"
        if code != "0":
            raise LabError(
                f"guest {self._guest.name}: exit status {code}, said: {said.strip()[-800:]!r} to: {self._script}"
            )
        return said


def quoted(*argv: str) -> str:
    return shlex.join(argv)


def _cpu_of_tree(pid: int) -> tuple[float, float]:
    """(programs, kernel). The oldest linux.uml process is the guest's kernel, its children its programs' memory."""
    children: dict[int, list[int]] = {}
    stats: dict[int, list[str]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        stats[int(entry.name)] = fields
        children.setdefault(int(fields[1]), []).append(int(entry.name))

    def own(process: int) -> float:
        return sum(map(int, stats[process][11:13])) * _TICK_S

    def waited(process: int) -> float:
        return sum(map(int, stats[process][13:15])) * _TICK_S

    below, queue = list[int](), list(children.get(pid, ()))
    while queue:
        process = queue.pop()
        below.append(process)
        queue += children.get(process, ())
    return sum(map(own, below)) + waited(pid), own(pid)
