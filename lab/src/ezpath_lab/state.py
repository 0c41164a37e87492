"""What a lab has left on the machine, written down so that a later process can remove it: ``state.json``.

A process is remembered with the time it started, and addressed through a pidfd once that time was compared: a
recycled process id is never signalled. Every process of the lab also carries :data:`MARK` in its environment, for
the one that was started but not yet written down when the lab was killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

MARK = "EZPATH_LAB_STATE"
"""Environment variable of every process of a lab: its state directory."""


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One process of the lab. ``rank`` orders stopping: the highest first."""

    name: str
    pid: int
    started: int
    """Clock ticks after boot, from /proc: with the pid it names one process for ever."""
    rank: int


@dataclass(slots=True)
class LabState:
    """The contents of ``state.json``; :meth:`save` after every change."""

    directory: Path
    run_dir: Path
    """Sockets and databases: below ``directory`` unless its path is too long for a socket."""
    nats: str = ""
    datapath: str = ""
    namespaces: list[str] = field(default_factory=list)
    processes: list[ProcessRecord] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.directory / "state.json"

    def save(self) -> None:
        """Write it all, or nothing."""
        body = asdict(self) | {"directory": str(self.directory), "run_dir": str(self.run_dir)}
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(body, indent=1) + "\n")
        new.replace(self.file)

    def forget(self, pids: Iterable[int]) -> None:
        gone = set(pids)
        self.processes = [record for record in self.processes if record.pid not in gone]


def load(directory: Path) -> LabState | None:
    """The state written in ``directory``, or None where there is none (or none that can be read)."""
    try:
        body = json.loads((directory / "state.json").read_text())
        return LabState(
            directory=directory,
            run_dir=Path(body["run_dir"]),
            nats=body["nats"],
            datapath=body["datapath"],
            namespaces=list(body["namespaces"]),
            processes=[ProcessRecord(**record) for record in body["processes"]],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def started_at(pid: int) -> int | None:
    """When ``pid`` started, in clock ticks after boot; None where there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The second field, the name in parentheses, may hold blanks and parentheses of its own.
    return int(stat.rpartition(")")[2].split()[19])


def alive(record: ProcessRecord) -> bool:
    """Is that very process still there (and not only waiting to be reaped)?"""
    try:
        stat = Path(f"/proc/{record.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return int(stat[19]) == record.started and stat[0] != "Z"


def marked_with(pid: int) -> str:
    """The state directory of the lab that ``pid`` belongs to; empty where it belongs to none."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    found = [entry for entry in environment if entry.startswith(f"{MARK}=".encode())]
    return found[0].partition(b"=")[2].decode(errors="replace") if found else ""


def marked(directory: Path) -> Iterator[ProcessRecord]:
    """All processes that carry :data:`MARK` of ``directory``, whether written down or not."""
    for entry in Path("/proc").iterdir():
        pid = int(entry.name) if entry.name.isdigit() else 0
        if pid and pid != os.getpid() and marked_with(pid) == str(directory):
            started = started_at(pid)
            if started is not None:
                yield ProcessRecord(f"pid {pid}", pid, started, rank=0)


def stop(records: Iterable[ProcessRecord], grace_s: float) -> list[ProcessRecord]:
    """SIGTERM to each, and after ``grace_s`` seconds SIGKILL to those still there, which are returned."""
    handles = {fd: record for record in records if (fd := _handle(record)) is not None}
    try:
        for fd in handles:
            _send(fd, signal.SIGTERM)
        stubborn = _wait(handles.keys(), grace_s)
        for fd in stubborn:
            _send(fd, signal.SIGKILL)
        _wait(stubborn, grace_s)
        return [handles[fd] for fd in stubborn]
    finally:
        for fd in handles:
            os.close(fd)


def _handle(record: ProcessRecord) -> int | None:
    try:
        fd = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return None
    # Compared after the handle is held: now the id cannot be given to another process any more.
    if started_at(record.pid) == record.started:
        return fd
    os.close(fd)
    return None


def _send(fd: int, number: signal.Signals) -> None:
    try:
        signal.pidfd_send_signal(fd, number)
    except ProcessLookupError:
        return  # it ended by itself


def _wait(handles: Iterable[int], timeout_s: float) -> set[int]:
    """Those of ``handles`` whose process still runs after ``timeout_s`` seconds."""
    poller = select.poll()
    waiting = set(handles)
    for fd in waiting:
        poller.register(fd, select.POLLIN)
    deadline = time.monotonic() + timeout_s
    while waiting and (left := deadline - time.monotonic()) > 0:
        for fd, _ in poller.poll(left * 1e3):
            poller.unregister(fd)
            waiting.discard(fd)
    return waiting
