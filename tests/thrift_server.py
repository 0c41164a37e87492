"""A Thrift server with BMv2's registers and nothing else of BMv2: for tests that want it torn, slow, or gone.

The protocol is thriftpy2's, server side; the interface is the one the collector has. That it is BMv2's own interface is
shown against BMv2 itself.
"""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ezpath_collector.source import STAGES
from ezpath_collector.thrift_port import IDL, SERVICE
from ezpath_collector.words import words_of
from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.thrift import TMultiplexedProcessor, TProcessor
from thriftpy2.transport import TCyBufferedTransportFactory, TSocket, TTransportException

from p4rt import P4Info

_BIGGEST = 2**63 - 1


class RegisterServer:
    """Registers of the program with this p4info, at ``address`` between :meth:`start` and :meth:`stop`.

    ``unix`` is the path of a socket; without one, it is a TCP port of this machine, the same after a restart.
    """

    def __init__(self, p4info: Path, unix: Path | None = None) -> None:
        info = P4Info.load(p4info)
        self.widths: Mapping[str, int] = {one.name: one.width for one in info.registers.by_id.values()}
        self.registers = {one.name: [0] * one.size for one in info.registers.by_id.values()}
        self.after_read: Callable[[str], object] = lambda name: None
        """Called with a register's name when its answer is made up, and not sent yet."""
        self.reads: list[str] = []
        self._unix = unix
        self._port = 0
        self._server: socketserver.BaseServer | None = None
        self._connections: list[socket.socket] = []
        self._processor = TMultiplexedProcessor()
        self._processor.register_processor(SERVICE, TProcessor(IDL.Standard, self))

    @property
    def address(self) -> str:
        return f"thrift+unix:{self._unix}" if self._unix else f"thrift://127.0.0.1:{self._port}"

    def start(self) -> None:
        owner = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                owner._serve(self.request)

        if self._unix:
            self._server = _UnixServer(str(self._unix), Handler)
        else:
            tcp = _TcpServer(("127.0.0.1", self._port), Handler)
            self._port = tcp.server_address[1]
            self._server = tcp
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any more, and whoever was connected is cut off. Idempotent."""
        if self._server is None:
            return
        self._server.shutdown()
        self._server.server_close()
        self._server = None
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()
        if self._unix:
            self._unix.unlink(missing_ok=True)

    def put(self, index: int, cell: bytes, stage: str = STAGES[0]) -> None:
        """Lay ``cell`` out in the words of ``stage``."""
        for word in words_of(stage, self.widths):
            self.registers[word.name][index] = int.from_bytes(cell[word.first : word.first + word.width], "big")

    def bm_register_read_all(self, cxt_id: int, register_array_name: str) -> list[int]:
        """As BMv2 does it: an unknown name is an error, and what is too large is clipped."""
        self.reads.append(register_array_name)
        if cxt_id != 0 or register_array_name not in self.registers:
            raise IDL.InvalidRegisterOperation(code=IDL.RegisterOperationErrorCode.INVALID_REGISTER_NAME)
        answer = [min(value, _BIGGEST) for value in self.registers[register_array_name]]
        self.after_read(register_array_name)
        return answer

    def _serve(self, connection: socket.socket) -> None:
        self._connections.append(connection)
        transport = TCyBufferedTransportFactory().get_transport(_socket(connection))
        protocol = TCyBinaryProtocolFactory().get_protocol(transport)
        with suppress(TTransportException, OSError):
            while True:
                self._processor.process(protocol, protocol)


class _TcpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


class _UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def _socket(connection: socket.socket) -> Any:
    return TSocket(sock=connection)
