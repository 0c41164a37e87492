"""Children of the lab: started with their log files, waited for until ready, stopped in order.

Each child gets a session of its own, so that Ctrl-C reaches the lab alone, which then stops them one rank after the
other. What runs is in ``state.json`` (:mod:`ezpath_lab.state`) from the moment it was started.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ezpath_lab import state
from ezpath_lab.shell import LabError, in_namespace
from ezpath_lab.state import LabState, ProcessRecord

GRACE_S = 6.0
"""How long a child may take to stop after SIGTERM, seconds."""
_TAIL_LINES = 12

# Stopping goes from the highest to the lowest: nobody loses what it works on before it has stopped itself.
BUS, DATABASE, SWITCHING, TOR, SERVICE, WORKLOAD = range(6)


@dataclass(frozen=True, slots=True)
class Child:
    """A process started by this lab, in this run."""

    record: ProcessRecord
    popen: subprocess.Popen[str]
    log: Path

    @property
    def name(self) -> str:
        return self.record.name

    def tail(self) -> str:
        """The last lines of its log, indented, for error messages."""
        lines = self.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        return "".join(f"\n    {line}" for line in lines) or "\n    (nothing)"


class Processes:
    """The children of one lab. Not thread safe."""

    def __init__(self, lab: LabState) -> None:
        self._lab = lab
        self._children: dict[str, Child] = {}

    def start(
        self,
        name: str,
        *argv: str,
        rank: int,
        namespace: str = "",
        env: Mapping[str, str] | None = None,
        pipes: bool = False,
    ) -> Child:
        """Start ``argv`` (in ``namespace``). Standard error, and without ``pipes`` standard output, go to its log.

        Raises :class:`LabError` where the program is not there.
        """
        if name in self._children:
            raise LabError(f"{name} runs already. Give every process of the lab a name of its own")
        log = self._lab.directory / "log" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = in_namespace(namespace, *argv) if namespace else argv
        environment = {**os.environ, **(env or {}), state.MARK: str(self._lab.directory)}
        with log.open("a") as output:
            try:
                popen = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                    stdout=subprocess.PIPE if pipes else output,
                    stderr=output,
                    env=environment,
                    text=True,
                    start_new_session=True,
                )
            except FileNotFoundError:
                raise LabError(f"{argv[0]} is not installed. `make lab` installs what the lab needs") from None
        record = ProcessRecord(name, popen.pid, state.started_at(popen.pid) or 0, rank)
        self._lab.processes.append(record)
        self._lab.save()
        child = Child(record, popen, log)
        self._children[name] = child
        return child

    def wait_ready(self, child: Child, ready: Callable[[], bool], what: str, timeout_s: float = 15.0) -> None:
        """Return when ``ready()``; raise :class:`LabError` with the child's last words if it ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while not ready():
            status = child.popen.poll()
            if status is not None:
                raise LabError(
                    f"{child.name} ended with status {status} before {what}. {child.log} ends:{child.tail()}"
                )
            if time.monotonic() > deadline:
                raise LabError(f"{child.name}: not {what} after {timeout_s:.0f} s. {child.log} ends:{child.tail()}")
            time.sleep(0.03)

    def check_alive(self) -> None:
        """Raise :class:`LabError` where a child that ought to run has ended."""
        for child in self._children.values():
            status = child.popen.poll()
            if status is not None and child.record.rank != WORKLOAD:
                raise LabError(f"{child.name} ended with status {status}. {child.log} ends:{child.tail()}")

    def named(self, name: str) -> Child | None:
        """The running child of that name, if there is one."""
        return self._children.get(name)

    def running(self, rank: int) -> list[Child]:
        return [child for child in self._children.values() if child.record.rank == rank]

    def stop(self, *children: Child, grace_s: float = GRACE_S) -> list[str]:
        """Stop ``children`` together. Returns the names of those that had to be killed."""
        stubborn = state.stop([child.record for child in children], grace_s)
        for child in children:
            child.popen.wait()
            for pipe in (child.popen.stdin, child.popen.stdout):
                # What was still to be written to it interests nobody any more.
                with suppress(BrokenPipeError):
                    if pipe is not None:
                        pipe.close()
            self._children.pop(child.name, None)
        self._lab.forget(child.record.pid for child in children)
        self._lab.save()
        return [record.name for record in stubborn]

    def stop_rank(self, rank: int, grace_s: float = GRACE_S) -> list[str]:
        return self.stop(*self.running(rank), grace_s=grace_s)

    def stop_all(self) -> list[str]:
        """Stop everything, rank by rank. Returns the names of those that had to be killed."""
        return [name for rank in range(WORKLOAD, BUS - 1, -1) for name in self.stop_rank(rank)]


def accepts(path: Path) -> bool:
    """Does somebody listen on the unix socket ``path``?"""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
