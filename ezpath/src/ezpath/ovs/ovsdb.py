"""One host's Open vSwitch database, kept in step by the ``ovs`` package's IDL.

Adapter. The IDL blocks, so it has a thread of its own; it hands finished :class:`OvsView` values to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import select
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import ovs.poller
import structlog
from ovs.db.idl import Idl, SchemaHelper, Transaction

from ezpath.ovs.errors import OvsError, OvsRefused, OvsUnreachable
from ezpath.ovs.jsonrpc import JsonRpc
from ezpath.ovs.reach import NO_TLS, explained
from ezpath.ovs.sslstream import show
from ezpath.ovs.view import OWNER, OWNER_KEY, Interface, OvsView
from ezpath.tls import TlsFiles

DATABASE = "Open_vSwitch"
COLUMNS = {
    "Open_vSwitch": ["bridges"],
    "Bridge": ["name", "ports"],
    "Port": ["name", "interfaces", "external_ids", "vlan_mode", "trunks"],
    "Interface": ["name", "type", "ofport", "ofport_request", "external_ids", "options", "error"],
}
TIMEOUT_S = 5.0

# The package waits with select(), which knows no file descriptor above 1023; its own comment says that poll() is fine
# wherever neither eventlet nor gevent is used.
ovs.poller.SelectPoll = select.poll

Build = Callable[[Idl, Transaction], None]
OnChange = Callable[[OvsView], None]


@dataclass(slots=True)
class _Request:
    build: Build
    what: str
    done: asyncio.Future[None]
    transaction: Transaction | None = None


class Ovsdb:
    """A connection to one host's database. Made by :meth:`connect`; :meth:`close` it."""

    def __init__(self, remote: str, idl: Idl, probe: JsonRpc, on_change: OnChange) -> None:
        self.remote = remote
        self._idl = idl
        self._probe = probe
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._view = OvsView()
        self._first = asyncio.Event()
        self._failed: asyncio.Future[str] = self._loop.create_future()
        self._requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._stop = False
        self._thread = threading.Thread(target=self._run, name=f"ovsdb {remote}", daemon=True)

    @classmethod
    async def connect(cls, remote: str, on_change: OnChange, tls: TlsFiles = NO_TLS) -> Ovsdb:
        """Connect and read everything once. ``on_change`` gets each later view, in the event loop.

        Raises :class:`OvsUnreachable`.
        """
        probe, schema = await _first_word(remote, tls)
        try:
            show(tls)
            helper = SchemaHelper(schema_json=schema)
            for table, columns in COLUMNS.items():
                helper.register_columns(table, columns)
            self = cls(remote, Idl(remote, helper, leader_only=False), probe, on_change)
        except BaseException:
            await probe.close()
            raise
        self._thread.start()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await self._first.wait()
        except TimeoutError:
            await self.close()
            raise OvsUnreachable(f"{remote}: no content within {TIMEOUT_S:g} s") from None
        except BaseException:
            await self.close()
            raise
        return self

    @property
    def view(self) -> OvsView:
        """The newest view."""
        return self._view

    async def transact(self, what: str, build: Build) -> None:
        """Run ``build`` on the newest content as one transaction; again where somebody else was faster.

        ``build`` runs in the IDL's thread. Raises :class:`OvsRefused` with the database's words,
        :class:`OvsUnreachable`, and whatever :class:`OvsError` ``build`` raises.
        """
        request = _Request(build, what, self._loop.create_future())
        self._requests.put(request)
        self._wake()
        try:
            async with asyncio.timeout(TIMEOUT_S):
                await request.done
        except TimeoutError:
            raise OvsUnreachable(f"{self.remote}: {what}: no answer within {TIMEOUT_S:g} s") from None

    async def until_lost(self) -> str:
        """Returns, with the reason, when the database server has gone."""
        gone = asyncio.create_task(self._probe.until_closed())
        try:
            await asyncio.wait((gone, self._failed), return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
        return self._failed.result() if self._failed.done() else f"{self.remote}: connection closed by ovsdb-server"

    async def close(self) -> None:
        """Idempotent."""
        if not self._stop:
            self._stop = True
            self._wake()
            if self._thread.is_alive():
                await asyncio.to_thread(self._thread.join)
            os.close(self._wake_read)
            os.close(self._wake_write)
        await self._probe.close()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake_write, b"x")

    # ---- in the IDL's thread ----------------------------------------------

    def _run(self) -> None:
        try:
            self._pump()
        except Exception as error:  # noqa: BLE001 - handed to the event loop, which says so
            structlog.get_logger().error("ovsdb thread failed", remote=self.remote, exc_info=error)
            self._tell(self._fail, f"{self.remote}: {type(error).__name__}: {error}")
        finally:
            self._idl.close()

    def _pump(self) -> None:
        seen, pending = 0, list[_Request]()
        while not self._stop:
            self._idl.run()
            if self._idl.change_seqno != seen:
                seen = self._idl.change_seqno
                self._tell(self._changed, _view_of(self._idl))
            while self._idl.has_ever_connected() and not self._requests.empty():
                pending.append(self._requests.get())
            # The IDL builds one transaction at a time.
            while pending and self._advance(pending[0]):
                pending.pop(0)
            poller = ovs.poller.Poller()
            poller.fd_wait(self._wake_read, select.POLLIN)
            self._idl.wait(poller)
            if pending and pending[0].transaction is not None:
                pending[0].transaction.wait(poller)
            poller.block()
            if select.select([self._wake_read], [], [], 0)[0]:
                os.read(self._wake_read, 4096)

    def _advance(self, request: _Request) -> bool:
        """Whether ``request`` is finished."""
        if request.transaction is None:
            request.transaction = Transaction(self._idl)
            try:
                request.build(self._idl, request.transaction)
            except OvsError as error:
                request.transaction.abort()
                self._tell(_settle, request.done, error)
                return True
        status = request.transaction.commit()
        if status == Transaction.INCOMPLETE:
            return False
        if status == Transaction.TRY_AGAIN:
            request.transaction = None
            return False
        if status in (Transaction.SUCCESS, Transaction.UNCHANGED):
            self._tell(_settle, request.done, None)
        else:
            words = request.transaction.get_error() or Transaction.status_to_string(status)
            self._tell(_settle, request.done, OvsRefused(f"{self.remote}: {request.what}: {words}"))
        return True

    def _tell(self, callback: Callable[..., None], *values: object) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody is there to be told
            self._loop.call_soon_threadsafe(callback, *values)

    # ---- back in the event loop -------------------------------------------

    def _changed(self, view: OvsView) -> None:
        if view == self._view and self._first.is_set():
            return
        self._view = view
        if not self._first.is_set():
            self._first.set()
            return
        self._on_change(view)

    def _fail(self, reason: str) -> None:
        if not self._failed.done():
            self._failed.set_result(reason)


async def _first_word(remote: str, tls: TlsFiles) -> tuple[JsonRpc, Any]:
    """A connection that answers, and the schema."""
    probe: JsonRpc | None = None
    try:
        probe = await JsonRpc.connect(remote, tls)
        return probe, await probe.call("get_schema", DATABASE, timeout_s=TIMEOUT_S)
    except BaseException as error:
        if probe is not None:
            await probe.close()
        if isinstance(error, OvsUnreachable):
            raise await explained(remote, tls, error) from None
        raise


def _settle(done: asyncio.Future[None], error: OvsError | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _view_of(idl: Idl) -> OvsView:
    interfaces: dict[str, Interface] = {}
    bridges: set[str] = set()
    for bridge in idl.tables["Bridge"].rows.values():
        bridges.add(bridge.name)
        for port in bridge.ports:
            for row in port.interfaces:
                interfaces[row.name] = _interface(row, port, bridge.name)
    return OvsView(frozenset(bridges), interfaces)


def _interface(row: Any, port: Any, bridge: str) -> Interface:
    ofport = _only(row.ofport)
    return Interface(
        name=row.name,
        port=port.name,
        bridge=bridge,
        type=row.type,
        ofport=ofport if ofport is not None and ofport > 0 else None,
        iface_id=row.external_ids.get("iface-id", ""),
        error=_only(row.error) or "",
        ofport_request=_only(row.ofport_request),
        ours=row.external_ids.get(OWNER_KEY) == OWNER and port.external_ids.get(OWNER_KEY) == OWNER,
        peer=row.options.get("peer", ""),
    )


def _only(column: list[Any]) -> Any:
    """The value of a column that has at most one."""
    return column[0] if column else None
