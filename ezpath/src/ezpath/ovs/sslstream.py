"""``ssl:`` for the ``ovs`` package's IDL, with our files and with a look at the name in the other side's certificate.

Adapter. The package knows one set of files for the whole process, keeps the names of certificates unchecked, and reads
the files at each connection.
"""

from __future__ import annotations

import errno
import socket
from typing import Any, ClassVar

import ovs.socket_util
from ovs.stream import SSLStream, Stream

from ezpath.tls import BadFile, TlsFiles


class _CheckedStream(SSLStream):  # type: ignore[misc]
    files: ClassVar[TlsFiles | None] = None

    @staticmethod
    def _open(suffix: str, dscp: int) -> tuple[int, Any]:
        assert _CheckedStream.files is not None, "show comes first"
        address = ovs.socket_util.inet_parse_active(suffix, 0, raises=False)
        family, plain = ovs.socket_util.inet_create_socket_active(socket.SOCK_STREAM, address)
        if plain is None:
            return family, None
        try:
            context = _CheckedStream.files.context()
        except BadFile:
            plain.close()
            return errno.EACCES, None  # the reason is said where the connection is made that is asked first
        wrapped = context.wrap_socket(plain, do_handshake_on_connect=False, server_hostname=address[0])
        error = ovs.socket_util.inet_connect_active(wrapped, address, family, dscp)
        if not error:
            wrapped.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return error, wrapped


Stream.register_method("ssl", _CheckedStream)


def show(files: TlsFiles) -> None:
    """From now on, for all of the process."""
    _CheckedStream.files = files
