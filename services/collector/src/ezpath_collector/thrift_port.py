"""A connection to a switch's Thrift port, for reading registers. Blocking: it belongs into a thread of its own.

thriftpy2 speaks the protocol, from ``bmv2.thrift`` beside this file.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import thriftpy2
from thriftpy2.protocol import TCyBinaryProtocolFactory, TMultiplexedProtocolFactory
from thriftpy2.thrift import TClient
from thriftpy2.transport import TCyBufferedTransportFactory, TSocket

from ezpath_collector.source import SourceError
from ezpath_collector.words import WordColumn

IDL: Any = thriftpy2.load(str(Path(__file__).with_name("bmv2.thrift")), module_name="bmv2_thrift")
SERVICE = "standard"
"""One port serves several services; this is the name of the one with the registers."""
_CONTEXT = 0
"""BMv2 could have several; simple_switch has this one."""


class ThriftPort:
    """The Thrift port at ``address``: ``thrift://host:port`` or ``thrift+unix:/path``.

    All but :meth:`close` raise :class:`SourceError`, and the connection is good for nothing afterwards.
    ``timeout_s`` bounds each wait for the switch's next word.
    """

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None
        self._client: Any = None

    def connect(self) -> None:
        try:
            self._socket = _connect(self._address, self._timeout_s)
        except OSError as error:
            raise SourceError(
                f"no connection to the Thrift port at {self._address}: {error.strerror or error}. "
                "Check that the switch runs with --thrift-port and that `registers` in the inventory names it"
            ) from error
        transport = TCyBufferedTransportFactory().get_transport(TSocket(sock=self._socket))
        protocol = TMultiplexedProtocolFactory(TCyBinaryProtocolFactory(), SERVICE).get_protocol(transport)
        self._client = TClient(IDL.Standard, protocol)

    def read(self, register: str) -> WordColumn:
        """All cells of ``register`` as they are now."""
        try:
            return np.array(self._client.bm_register_read_all(_CONTEXT, register), np.int64)
        except IDL.InvalidRegisterOperation:
            raise SourceError(
                f"the Thrift port at {self._address} knows no register {register}. Is it the same switch as the one "
                "that answers P4Runtime, and its program the one built for BMv2?"
            ) from None
        except TimeoutError as error:
            raise SourceError(
                f"the Thrift port at {self._address} was asked for {register} and said nothing for "
                f"{self._timeout_s:g} s. The switch is busy or hangs"
            ) from error
        except Exception as error:  # what is no Thrift comes out of thriftpy2 as half a dozen unrelated classes
            said = str(getattr(error, "message", "") or error) or type(error).__name__
            raise SourceError(
                f"the Thrift port at {self._address} was asked for {register} and did not answer as BMv2 does: {said}"
            ) from error

    def close(self) -> None:
        """Let go; a read under way in another thread ends. Idempotent."""
        if self._socket is not None:
            with suppress(OSError):  # the other end may have gone already
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()


def _connect(address: str, timeout_s: float) -> socket.socket:
    where = urlsplit(address)
    if where.scheme == "thrift":
        return socket.create_connection((where.hostname or "", where.port or 0), timeout_s)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout_s)
    try:
        connection.connect(where.path)
    except OSError:
        connection.close()
        raise
    return connection
