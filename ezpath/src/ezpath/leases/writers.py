"""A service whose writers each have one switch or host, shared with other processes of its kind. Adapter.

Both writers are built on it: a writer is made when this process comes to have its target, and ended when another does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from ezpath.answers import ask_installed
from ezpath.bus import Bus, Unavailable
from ezpath.condition import Condition
from ezpath.leases.keeper import Keeper
from ezpath.leases.leases import Leases, Member, Space, Timing
from ezpath.process import is_gone, this_process
from ezpath.service import Service

TIMING = Timing(beat_s=0.5, ttl_s=2.0)


class Writer(Protocol):
    @property
    def target(self) -> str: ...

    @property
    def condition(self) -> Condition: ...

    async def run(self) -> None:
        """Until cancelled. Raises :class:`~ezpath.leases.Deposed` where the target says that another has it."""

    async def on_installed(self, question: Mapping[str, Any], /) -> Mapping[str, Any]:
        """The answer to :func:`ezpath.answers.ask_installed`."""


W = TypeVar("W", bound=Writer)


class Writers(Generic[W]):
    """:meth:`run` it. ``make`` gives the writer of a name, for the term of a lease."""

    def __init__(
        self,
        service: Service,
        space: Space,
        racks: Mapping[str, str],
        make: Callable[[str, int], W],
        *,
        rack: str = "",
        only: tuple[str, ...] = (),
    ) -> None:
        """``racks``: the names of all switches, or hosts, and where each is; ``only``: those that this one may have."""
        self.current: dict[str, W] = {}
        self._service = service
        self._kind = space.things
        self._names = only or tuple(racks)
        self._make = make
        leases = Leases(
            service.instance,
            racks,
            space,
            member=Member(this_process(), rack, only),
            timing=TIMING,
            is_gone=is_gone,
        )
        self._keeper = Keeper(service.bus, leases, self._hold, what=self._kind)
        self.settled = self._keeper.settled
        """Set when it is known for the first time which are ours."""

    async def run(self) -> None:
        """Until cancelled; then all of them are given up at once."""
        service = self._service
        service.owns = lambda: [f"{self._kind}:{name}" for name in self.current]
        for name in self._names:
            await service.bus.answer(ask_installed(f"{self._kind}:{name}"), self._answerer(name))
        await self._keeper.run()

    async def _hold(self, name: str, epoch: int) -> None:
        writer = self._make(name, epoch)
        self.current[name] = writer
        self._service.conditions.append(writer.condition)
        try:
            await writer.run()
        finally:
            self._service.conditions.remove(writer.condition)
            del self.current[name]

    def _answerer(self, name: str) -> Callable[[Mapping[str, Any]], Any]:
        async def answer(question: Mapping[str, Any]) -> Mapping[str, Any] | None:
            writer = self.current.get(name)
            return None if writer is None else await writer.on_installed(question)

        return answer


async def take_place(bus: Bus, durable: str) -> int:
    """Where in the stream the one before had come to: what it took and did not deal with comes again from there.

    Its requests for more are void. Waits for NATS as long as it takes.
    """
    while True:
        try:
            start = await bus.place(durable)
            if start is None:
                return 1
            await bus.forget_place(durable)
            return start
        except Unavailable:
            continue
