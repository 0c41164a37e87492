"""NATS over a WebSocket, for those who have it so. To be imported before nats-py.

nats-py imports aiohttp wherever that is installed, for ``ws://`` alone: a quarter of the time that a service or a
command takes to start. So it finds none at first, and is given it when a URL asks for it.
"""

from __future__ import annotations

import sys

from ezpath.bus.errors import Refused
from ezpath.natsurl import shown

_ABSENT = "aiohttp" not in sys.modules
if _ABSENT:
    sys.modules["aiohttp"] = None  # type: ignore[assignment]  # what makes an import fail
try:
    from nats.aio import transport
finally:
    if _ABSENT:
        del sys.modules["aiohttp"]


def prepare(urls: list[str]) -> None:
    """Where one of ``urls`` is of a WebSocket, nats-py can do it from here on. Raises :class:`Refused`."""
    asking = [url for url in urls if url.startswith(("ws://", "wss://"))]
    if not asking or transport.aiohttp is not None:  # type: ignore[attr-defined]
        return
    try:
        import aiohttp
        import multidict
    except ImportError:
        raise Refused(
            f"NATS at {shown(asking[0])} wants a WebSocket, for which aiohttp is not installed: "
            "pip install aiohttp, or give nats://HOST:PORT"
        ) from None
    transport.aiohttp, transport.multidict = aiohttp, multidict
