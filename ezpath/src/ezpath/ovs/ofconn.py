"""A connection to one bridge that stays: our rules changed in bundles, read back by cookie, others' rules known.

Adapter. ``ovs-ofctl`` is a process and a connection for each question; under load that is nearly all of the work. What
this connection cannot do or is refused, :mod:`~ezpath.ovs.ofctl` does, in Open vSwitch's own words.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ezpath.ovs import openflow as of
from ezpath.ovs.errors import OvsUnreachable
from ezpath.ovs.fence import Fence
from ezpath.ovs.flows import COOKIE, COOKIE_MASK, GUARD_PRIORITY, PRIORITY, Flow
from ezpath.ovs.reach import NO_TLS, open_streams
from ezpath.tls import TlsFiles

CONNECT_TIMEOUT_S = 3.0
TIMEOUT_S = 5.0
_OUR_PRIORITIES = frozenset({PRIORITY, GUARD_PRIORITY})
_BUNDLE_AT_MOST = 8192


class CannotTalk(Exception):
    """The bridge speaks another OpenFlow, or tells nobody what others do to its rules."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A bundle that Open vSwitch has taken and not carried out."""

    number: int
    first: int
    """The number of its first message."""


class OpenFlowConnection:
    """Made by :meth:`open`; :meth:`close` it. For one task at a time."""

    def __init__(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, behind: Fence | None = None
    ) -> None:
        self.name = name
        self._first = () if behind is None else of.marked(behind.mark)
        self._reader = reader
        self._writer = writer
        self._xid = 0
        self._bundles = 0
        self._touched = 0
        """The newest :meth:`touch`; nobody asks what became of it."""
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._parts: dict[int, list[of.Found]] = {}
        self._refusals: set[int] = set()
        self._others: set[tuple[int, bytes]] = set()
        self._watching = False
        self._pump: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls, name: str, remote: str, behind: Fence | None = None, tls: TlsFiles = NO_TLS
    ) -> OpenFlowConnection:
        """Connect to a bridge. Raises :class:`CannotTalk`, :class:`OvsUnreachable`."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                self = cls(name, *await open_streams(remote, tls), behind)
                try:
                    await self._begin()
                except BaseException:
                    await self.close()
                    raise
        except OvsUnreachable as error:
            raise type(error)(f"bridge {name}: {error}") from None
        except TimeoutError:
            raise OvsUnreachable(f"bridge {name}: no answer within {CONNECT_TIMEOUT_S:g} s") from None
        except (OSError, asyncio.IncompleteReadError) as error:
            raise OvsUnreachable(f"bridge {name}: {getattr(error, 'strerror', None) or error}") from None
        return self

    async def _begin(self) -> None:
        self._writer.write(of.hello(self._next()))
        kind, _, _ = await self._message()
        if kind != of.Type.HELLO:
            raise CannotTalk(f"bridge {self.name}: no OpenFlow 1.4")
        self._pump = asyncio.create_task(self._read(), name=f"openflow {self.name}")
        # A bridge that speaks no 1.4 has said hello as well, and says so now.
        xid = self._next()
        await self._answer(xid, of.watch(xid))
        if xid in self._refusals:
            self._refusals.discard(xid)
            raise CannotTalk(f"bridge {self.name}: it tells nobody what happens to its rules (Open vSwitch 3 does)")

    async def until_closed(self) -> None:
        """Returns when the bridge has gone, or ovs-vswitchd with it."""
        assert self._pump is not None
        await asyncio.wait((self._pump,))

    @property
    def usable(self) -> bool:
        """It is there, and knows what others do."""
        return self._watching and self._pump is not None and not self._pump.done()

    def is_taken(self, flow: Flow) -> bool:
        """Whether somebody else's rule stands where ``flow`` would go.

        Raises :class:`~ezpath.ovs.openflow.Unspoken`.
        """
        return bool(self._others) and (flow.priority, of.match_of(flow)) in self._others

    async def commit(self, mods: Sequence[of.Mod]) -> bool:
        """All of ``mods`` as one transaction. False where Open vSwitch refused it; then nothing has changed.

        Raises :class:`OvsUnreachable`, :class:`~ezpath.ovs.openflow.Unspoken`.
        """
        prepared = await self.prepare(mods)
        return prepared is not None and await self.carry_out(prepared)

    async def prepare(self, mods: Sequence[of.Mod]) -> Prepared | None:
        """The first half of :meth:`commit`: :meth:`carry_out` what it returns, or :meth:`discard` it.

        None where Open vSwitch refused one of ``mods``. Raises like :meth:`commit`.
        """
        mods = (*self._first, *mods)
        if len(mods) > _BUNDLE_AT_MOST:
            return None
        self._bundles = self._bundles % 0xFFFFFFFF + 1
        prepared = Prepared(self._bundles, self._xid + 1)
        data = of.bundle(mods, prepared.number, prepared.first)
        barrier = self._xid = prepared.first + len(mods) + 1
        await self._answer(barrier, data)
        if self._was_refused(prepared.first, barrier):
            await self.discard(prepared)
            return None
        return prepared

    async def carry_out(self, prepared: Prepared) -> bool:
        """All of it, or nothing and False. Raises :class:`OvsUnreachable`."""
        end = self._next()
        await self._answer(end, of.commit(prepared.number, end))
        # One that was refused late is said of the mod's own message, which came before.
        return not self._was_refused(prepared.first, end)

    async def discard(self, prepared: Prepared) -> None:
        """It is not to be carried out. Raises :class:`OvsUnreachable`."""
        end = self._next()
        await self._answer(end, of.discard(prepared.number, end))
        self._was_refused(end, end)

    def touch(self, flow: Flow) -> None:
        """Change a rule to itself, and wait for nothing: the datapath is looked over as after any change.

        There is no mark in front of it, for it says nothing: whoever's term it is, the rule is what it was.
        Raises :class:`OvsUnreachable`.
        """
        if self._pump is None or self._pump.done():
            raise OvsUnreachable(f"bridge {self.name}: connection closed by the other side")
        self._refusals.discard(self._touched)
        self._touched = self._next()
        self._writer.write(of.touch(flow, self._touched))

    def _was_refused(self, first: int, last: int) -> bool:
        refused = self._refusals.intersection(range(first, last + 1))
        self._refusals -= refused
        return bool(refused)

    async def with_cookies(self, cookies: Iterable[int]) -> set[of.Found]:
        """All rules with one of ``cookies``. Raises :class:`OvsUnreachable`."""
        asked: dict[int, bytes] = {}
        for cookie in cookies:
            xid = self._next()
            asked[xid] = of.rules_with_cookie(cookie, xid)
        if not asked:
            return set()
        try:
            await self._answers_to(asked.keys(), b"".join(asked.values()))
            if self._refusals & asked.keys():
                raise OvsUnreachable(f"bridge {self.name}: it does not say which rules it has")
            return {found for xid in asked for found in self._parts.get(xid, ())}
        finally:
            self._refusals.difference_update(asked)
            for xid in asked:
                self._parts.pop(xid, None)

    async def close(self) -> None:
        """Idempotent."""
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError, OvsUnreachable):
                await self._pump
        self._writer.close()

    # ---- the wire -------------------------------------------------------------

    def _next(self) -> int:
        self._xid = self._xid % 0x7FFFFFFF + 1
        return self._xid

    async def _answer(self, xid: int, data: bytes) -> None:
        await self._answers_to([xid], data)

    async def _answers_to(self, xids: Iterable[int], data: bytes) -> None:
        """Send ``data`` and wait for the answers to ``xids``, good or bad."""
        loop = asyncio.get_running_loop()
        waiting = {xid: loop.create_future() for xid in xids}
        self._answers |= waiting
        try:
            async with asyncio.timeout(TIMEOUT_S):
                if self._pump is None or self._pump.done():
                    raise OvsUnreachable(f"bridge {self.name}: connection closed by the other side")
                self._writer.write(data)
                await self._writer.drain()
                await asyncio.gather(*waiting.values())
        except TimeoutError:
            self._watching = False
            raise OvsUnreachable(f"bridge {self.name}: no answer within {TIMEOUT_S:g} s") from None
        except OSError as error:
            self._watching = False
            raise OvsUnreachable(f"bridge {self.name}: {error.strerror or error}") from None
        finally:
            for xid in waiting:
                self._answers.pop(xid, None)

    async def _message(self) -> tuple[int, int, bytes]:
        _, kind, length, xid = of.HEADER.unpack(await self._reader.readexactly(of.HEADER.size))
        return kind, xid, await self._reader.readexactly(max(0, length - of.HEADER.size))

    async def _read(self) -> None:
        reason = "connection closed by the other side"
        try:
            while True:
                kind, xid, body = await self._message()
                self._received(kind, xid, body)
        except asyncio.IncompleteReadError:
            pass
        except (OSError, ValueError, IndexError) as error:
            reason = getattr(error, "strerror", None) or str(error)
        finally:
            self._watching = False
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(OvsUnreachable(f"bridge {self.name}: {reason}"))

    def _received(self, kind: int, xid: int, body: bytes) -> None:
        match kind:
            case of.Type.ECHO_REQUEST:
                self._writer.write(of.message(of.Type.ECHO_REPLY, xid, body))
            case of.Type.ERROR:
                self._refusals.add(xid)
                self._done(xid)
            case of.Type.MULTIPART_REPLY if of.is_of_monitor(body):
                for change in of.changes_in(body):
                    self._note(change)
                if xid in self._answers and not of.has_more(body):
                    self._watching = True  # all that there was has been told
                    self._done(xid)
            case of.Type.MULTIPART_REPLY:
                self._parts.setdefault(xid, []).extend(of.found_in(body))
                if not of.has_more(body):
                    self._done(xid)
            case of.Type.BUNDLE_CONTROL | of.Type.BARRIER_REPLY:
                self._done(xid)

    def _note(self, change: of.Change) -> None:
        if change.event is of.Event.PAUSED:
            self._watching = False
        elif change.event is of.Event.RESUMED:
            self._watching = True
        elif change.priority in _OUR_PRIORITIES:
            place = (change.priority, change.match)
            if change.event is of.Event.REMOVED or change.cookie & COOKIE_MASK == COOKIE:
                self._others.discard(place)
            else:
                self._others.add(place)

    def _done(self, xid: int) -> None:
        answer = self._answers.get(xid)
        if answer is not None and not answer.done():
            answer.set_result(b"")
