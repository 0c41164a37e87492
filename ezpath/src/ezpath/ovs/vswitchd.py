"""ovs-vswitchd: has the datapath taken a flow change, and is the daemon still the same one?

Adapter.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import structlog

from ezpath.ovs.errors import OvsRefused, OvsUnreachable
from ezpath.ovs.jsonrpc import JsonRpc
from ezpath.ovs.ofconn import OpenFlowConnection

SETTLE_TIMEOUT_S = 10.0
SETTLE_BLIND_S = 1.0
"""What is waited where ovs-vswitchd cannot say: twice its longest pause between two revalidations, seconds."""
ROUNDS = 2
POKE_EVERY_S = 0.002

Nudge = Callable[[], Awaitable[None]]


class Daemon(Protocol):
    """A running ovs-vswitchd; :meth:`close` what is no longer needed."""

    async def settle(self, nudge: Nudge) -> None:
        """Return when every flow in the datapath has been checked against the tables as they are now."""

    async def until_gone(self) -> None:
        """Returns when this ovs-vswitchd has ended."""

    async def close(self) -> None:
        """Idempotent."""


class DistantVswitchd:
    """One whose control socket is out of reach: it is waited for as long as a pass over the datapath can take."""

    def __init__(self, bridge: OpenFlowConnection) -> None:
        """``bridge``: nothing is asked of it; its end is the daemon's."""
        self._bridge = bridge

    async def settle(self, nudge: Nudge) -> None:
        await nudge()
        await asyncio.sleep(SETTLE_BLIND_S)

    async def until_gone(self) -> None:
        await self._bridge.until_closed()

    async def close(self) -> None:
        await self._bridge.close()


class Vswitchd:
    """Connections to the control socket of one. Made by :meth:`connect`; :meth:`close` it."""

    def __init__(self, asking: JsonRpc, poking: JsonRpc) -> None:
        self._asking = asking
        self._poking = poking

    @classmethod
    async def connect(cls, run_dir: Path) -> Vswitchd:
        """Connect to the ovs-vswitchd that runs in ``run_dir``. Raises :class:`OvsUnreachable`."""
        sockets = _control_sockets(run_dir)
        for socket in sockets:
            with contextlib.suppress(OvsUnreachable):  # left behind by one that was killed
                asking = await JsonRpc.connect(f"unix:{socket}")
                try:
                    return cls(asking, await JsonRpc.connect(f"unix:{socket}"))
                except OvsUnreachable:
                    await asking.close()
                    raise
        seen = f"none of {len(sockets)} answers" if sockets else "there is none"
        raise OvsUnreachable(f"ovs-vswitchd's control socket {run_dir}/ovs-vswitchd.*.ctl: {seen}")

    async def settle(self, nudge: Nudge) -> None:
        """Return when every flow in the datapath has been checked against the tables as they are now.

        ovs-vswitchd changes its tables at once, and the datapath's cached flows in passes over them. An answer to
        ``revalidator/wait`` means that a pass has *ended* since the question; it may have begun before the change,
        so we ask twice. Passes come on their own every half second only: ``nudge`` has to cause one, as any flow
        change does. Raises :class:`OvsUnreachable`.
        """
        for _ in range(ROUNDS):
            if not await self._one_pass(nudge):
                await asyncio.sleep(SETTLE_BLIND_S)
                return

    async def _one_pass(self, nudge: Nudge) -> bool:
        answer = await self._asking.send("revalidator/wait", timeout_s=SETTLE_TIMEOUT_S)
        try:
            await nudge()
            while not answer.done():
                # It answers when its main loop comes round, and that sleeps up to half a second unless poked.
                await self._poking.call("version", timeout_s=SETTLE_TIMEOUT_S)
                await asyncio.wait((answer,), timeout=POKE_EVERY_S)
            await answer
        except OvsRefused as error:
            # With datapaths of two types at once it cannot tell.
            structlog.get_logger().debug("no revalidator/wait", reason=str(error), waiting_s=SETTLE_BLIND_S)
            return False
        finally:
            answer.cancel()
        return True

    async def until_gone(self) -> None:
        """Returns when this ovs-vswitchd has ended."""
        await self._asking.until_closed()

    async def close(self) -> None:
        """Idempotent."""
        await self._asking.close()
        await self._poking.close()


def _control_sockets(run_dir: Path) -> list[Path]:
    """Newest first; one that vanishes meanwhile last."""
    return sorted(run_dir.glob("ovs-vswitchd.*.ctl"), key=_age)


def _age(path: Path) -> float:
    try:
        return -path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
