"""What EZPath says on NATS while the story runs: a listener in a thread of its own.

The story is told in plain sequence; it asks the feed to wait until something has been said.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

import nats
from ezpath.bus import Access
from ezpath.bus.access import access_of
from ezpath.events import JsonEvent, MalformedEvent, SagaOutcome
from ezpath.trust.roles import heard
from nats.aio.msg import Msg

from ezpath import events, natsurl
from ezpath_lab.shell import LabError

E = TypeVar("E")
_SAMPLES = f"{events.SAMPLES_SUBJECT}."


class Feed:
    """All JSON events since :meth:`start`, in order. ``tell`` is called for each, in the feed's thread."""

    def __init__(self, nats: Access | str, tell: Callable[[JsonEvent], None]) -> None:
        self._access = access_of(nats)
        self._tell = tell
        self._events: list[JsonEvent] = []
        self.tor_drops: dict[str, dict[str, int]] = {}
        """By switch and number of the reason, as of its last sample."""
        self._news = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._failure = ""
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self, timeout_s: float = 20.0) -> None:
        """Connect and listen. Raises :class:`LabError` where NATS does not answer."""
        self._thread.start()
        if not self._listening.wait(timeout_s):
            raise LabError(
                f"NATS at {self._access}: no connection in {timeout_s:.0f} s. {self._failure or 'Is it running?'}"
            )

    def close(self) -> None:
        """Stop listening. Idempotent."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(5)

    def wait(self, kind: type[E], wanted: Callable[[E], bool], timeout_s: float) -> E | None:
        """The first event of ``kind`` that is ``wanted``, past or to come; None after ``timeout_s`` seconds."""
        deadline = time.monotonic() + timeout_s
        checked = 0
        with self._news:
            while True:
                for event in self._events[checked:]:
                    if isinstance(event, kind) and wanted(event):
                        return event
                checked = len(self._events)
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._news.wait(left)

    def wait_sampled(self, switches: set[str], timeout_s: float) -> bool:
        """Until there was a sample of each of ``switches``; False after ``timeout_s`` seconds."""
        with self._news:
            return self._news.wait_for(lambda: switches <= set(self.tor_drops), timeout_s)

    def all(self, kind: type[E]) -> list[E]:
        with self._news:
            return [event for event in self._events if isinstance(event, kind)]

    def outcome(self, pair: str, outcome: str, timeout_s: float) -> SagaOutcome | None:
        """How the saga of ``pair`` came to rest as ``outcome``, or None after ``timeout_s``."""
        return self.wait(SagaOutcome, lambda e: e.pair == pair and e.outcome == outcome, timeout_s)

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._listen())
        except Exception as error:  # noqa: BLE001 - told by whoever waits for this thread
            self._failure = str(error) or type(error).__name__
        finally:
            self._loop.close()

    async def _listen(self) -> None:
        async def on_error(error: Exception) -> None:
            self._failure = str(error) or type(error).__name__

        connection = await nats.connect(
            natsurl.servers(self._access.url),
            name="ezpath-lab",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.2,
            error_cb=on_error,
            **self._access.options(),
        )
        for subject in heard("viewer"):
            await connection.subscribe(subject, cb=self._on_message)
        await connection.flush()
        self._listening.set()
        await self._stop.wait()
        await connection.close()

    async def _on_message(self, message: Msg) -> None:
        try:
            if message.subject.startswith(_SAMPLES):
                sample = events.decode_sample(message.data)
                with self._news:
                    self.tor_drops[sample.switch] = sample.drops
                    self._news.notify_all()
                return
            event = events.decode(message.data)
        except MalformedEvent as error:
            self._failure = f"{message.subject}: {error}"
            return
        with self._news:
            self._events.append(event)
            self._news.notify_all()
        self._tell(event)
