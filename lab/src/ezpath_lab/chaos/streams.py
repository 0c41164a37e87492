"""The numbered streams of all watched pairs: started in the containers, brought together at each mark."""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ezpath_lab import probe
from ezpath_lab.chaos.ledger import Account, Loss, Seen, Window, judged
from ezpath_lab.processes import WORKLOAD, Child, Processes
from ezpath_lab.shell import LabError
from ezpath_lab.topology import Topology
from ezpath_lab.workload import Pair

LATENESS_S = 1.0
"""How long after a mark a packet may still come."""
_ANSWER_S = 20.0


@dataclass(frozen=True, slots=True)
class Settled:
    """One round's packets."""

    account: Account
    unexcused: tuple[Loss, ...]
    strangers: tuple[str, ...]


class Streams:
    """Blocking; used from a thread beside the harness's loop."""

    def __init__(self, topology: Topology, processes: Processes, pairs: Sequence[Pair], rate: float) -> None:
        self._topology = topology
        self._processes = processes
        self._pairs = pairs
        self._rate = rate
        self._children: dict[str, Child] = {}
        self._refused: dict[tuple[str, str], int] = {}
        self._marks: dict[tuple[str, str], int] = {}

    def start(self, life_s: float) -> None:
        """Raises :class:`LabError` where two ends do not hear each other."""
        wanted: dict[str, list[str]] = {}
        for pair in self._pairs:
            for me, peer in ((pair.a, pair.b), (pair.b, pair.a)):
                address = self._topology.container(peer).ip
                port = probe.port(self._topology.container(me).ip, address)
                wanted.setdefault(me, []).append(f"{pair.id},{peer},{address},{port}")
        for me, streams in wanted.items():
            self._children[me] = self._processes.start(
                f"streams-{me}",
                *(sys.executable, "-m", "ezpath_lab.chaos.ends", "--seconds", f"{life_s:.0f}"),
                *("--me", me, "--rate", str(self._rate), *streams),
                rank=WORKLOAD,
                namespace=self._topology.container_namespace(me),
                pipes=True,
            )
        self._wait_met()

    def _wait_met(self) -> None:
        deadline = time.monotonic() + 20.0
        while True:
            deaf = [
                f"{name} at {me}"
                for me, streams in self._mark().items()
                for name, state in streams.items()
                if not state["met"]
            ]
            if not deaf:
                return
            if time.monotonic() > deadline:
                raise LabError(f"nothing heard of the peer in 20 s: {', '.join(deaf[:4])}. Does the overlay work?")
            time.sleep(0.2)

    def settle(self, windows: Sequence[Window]) -> Settled:
        """Account for all packets sent since the last call, up to now."""
        marks = self._mark()
        time.sleep(LATENESS_S)
        account, losses, strangers = Account(), [], set[str]()
        missing: dict[str, dict[str, Any]] = {}
        for me, seen in self._all("settle", self._peers(marks)).items():
            for name, body in seen.items():
                got = Seen(**body)
                account.add(
                    Account(
                        duplicated=got.duplicated,
                        late=got.late,
                        reordered=got.reordered,
                        foreign=got.foreign,
                        delay_us_max=got.delay_us_max,
                    )
                )
                strangers |= set(got.foreign_senders)
                if got.missing:
                    missing.setdefault(self._peer(name, me), {})[name] = got.missing
        for me, times in self._all("times", missing, only_asked=True).items():
            losses += [Loss(name, f"{name}>{me}", n, ns) for name, sent in times.items() for n, ns in sent]
        self._all("forget", {me: {name: s["next"] for name, s in streams.items()} for me, streams in marks.items()})
        account.sent, account.refused = self._since(marks)
        unexcused, account.excused = judged(losses, windows)
        # What came after it had been given up was in no window's way: it is late, and not lost.
        account.lost = len(unexcused)
        return Settled(account, tuple(unexcused), tuple(sorted(strangers)))

    def stop(self) -> None:
        self._processes.stop(*self._children.values())
        self._children.clear()

    # ---- helpers

    def _mark(self) -> dict[str, dict[str, Any]]:
        return self._all("mark", {})

    def _since(self, marks: Mapping[str, Mapping[str, Any]]) -> tuple[int, int]:
        sent = refused = 0
        for me, streams in marks.items():
            for name, state in streams.items():
                sent += state["next"] - self._marks.get((me, name), 0)
                refused += state["refused"] - self._refused.get((me, name), 0)
                self._marks[(me, name)], self._refused[(me, name)] = state["next"], state["refused"]
        return sent, refused

    def _peers(self, marks: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
        """For each receiver, up to which number its peer had sent."""
        return {
            me: {name: marks[self._peer(name, me)][name]["next"] for name in streams} for me, streams in marks.items()
        }

    def _peer(self, name: str, me: str) -> str:
        pair = next(pair for pair in self._pairs if pair.id == name)
        return pair.b if me == pair.a else pair.a

    def _all(self, word: str, asked: Mapping[str, Any], only_asked: bool = False) -> dict[str, dict[str, Any]]:
        """Tell all ends, then read all answers."""
        children = {me: child for me, child in self._children.items() if not only_asked or me in asked}
        for me, child in children.items():
            self._tell(child, f"{word} {json.dumps(asked.get(me, {}))}\n")
        return {me: self._hear(child, word) for me, child in children.items()}

    def _tell(self, child: Child, line: str) -> None:
        assert child.popen.stdin is not None
        try:
            child.popen.stdin.write(line)
            child.popen.stdin.flush()
        except BrokenPipeError:
            raise LabError(f"{child.name} has ended. {child.log} ends:{child.tail()}") from None

    def _hear(self, child: Child, word: str) -> dict[str, Any]:
        assert child.popen.stdout is not None
        if not select.select((child.popen.stdout.fileno(),), (), (), _ANSWER_S)[0]:
            raise LabError(f"{child.name} was asked to {word} and said nothing in {_ANSWER_S:.0f} s")
        line = child.popen.stdout.readline()
        if not line:
            raise LabError(f"{child.name} has ended. {child.log} ends:{child.tail()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
