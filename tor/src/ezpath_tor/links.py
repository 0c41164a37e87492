"""Network interfaces as the kernel has them now (rtnetlink, ethtool), and word of when that changes.

Everything acts on the network namespace of the calling thread.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ezpath_tor.plane import PlaneError

_SIOCETHTOOL = 0x8946
_ETHTOOL_GTXCSUM, _ETHTOOL_GTSO, _ETHTOOL_GGSO = 0x16, 0x1E, 0x23

_RTMGRP_LINK = 1
_NLMSG_ERROR, _RTM_NEWLINK, _RTM_GETLINK = 2, 16, 18
_NLM_F_REQUEST, _NLM_F_ACK = 1, 4
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_LINK_NETNSID = 3, 4, 18, 37
_IFLA_INFO_KIND = 1
_NLA_TYPE = 0x3FFF
_IFF_UP, _IFF_RUNNING, _IFF_PROMISC = 0x1, 0x40, 0x100
_HEADER, _LINK, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BxHiII"), struct.Struct("=HH")


@dataclass(frozen=True, slots=True)
class Link:
    """One interface."""

    index: int
    mtu: int
    up: bool
    """Switched on, and with a carrier."""
    promiscuous: bool
    """Takes in frames for any MAC address, because somebody set that flag."""
    veth_across: bool
    """Its other end is in another network namespace."""


def link(name: str) -> Link | None:
    """The interface of that name, if there is one. Raises :class:`PlaneError` where the kernel does not say."""
    wanted = name.encode() + b"\0"
    request = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _attribute(_IFLA_IFNAME, wanted)
    kind, body = _ask(_RTM_GETLINK, _NLM_F_REQUEST, request)
    if kind == _NLMSG_ERROR:
        return None
    _, _, index, flags, _ = _LINK.unpack_from(body)
    found = dict(_attributes(body[_LINK.size :]))
    info = dict(_attributes(found.get(_IFLA_LINKINFO, b"")))
    return Link(
        index,
        mtu=struct.unpack("=I", found[_IFLA_MTU])[0],
        up=flags & (_IFF_UP | _IFF_RUNNING) == _IFF_UP | _IFF_RUNNING,
        promiscuous=bool(flags & _IFF_PROMISC),
        veth_across=info.get(_IFLA_INFO_KIND) == b"veth\0" and _IFLA_LINK_NETNSID in found,
    )


def set_promiscuous(index: int, on: bool) -> None:
    """Take in frames for any MAC address, or only those for its own. The interface's flag outlives the process.

    One that is gone is fine where it is switched off. Raises :class:`PlaneError`.
    """
    request = _LINK.pack(socket.AF_UNSPEC, 0, index, _IFF_PROMISC if on else 0, _IFF_PROMISC)
    _, body = _ask(_RTM_NEWLINK, _NLM_F_REQUEST | _NLM_F_ACK, request)
    status: int = -struct.unpack_from("=i", body)[0]
    if status and (on or status != errno.ENODEV):
        raise PlaneError(f"interface {index} cannot be made promiscuous: {os.strerror(status)}")


def reaches_other_namespace(name: str) -> bool:
    """Whether a frame for this interface can go straight to its veth peer's ingress (``bpf_redirect_peer``).

    So it can where the peer is in another network namespace, and the wire would not have had to finish checksums, cut
    super-frames or drop it as a link that is down does. Where not, a frame takes the long way, which always works.
    """
    found = link(name)
    if found is None or not (found.up and found.veth_across):
        return False
    return all(_feature(name, command) for command in (_ETHTOOL_GTXCSUM, _ETHTOOL_GTSO, _ETHTOOL_GGSO))


def watch() -> socket.socket:
    """A socket that becomes readable when any interface comes, goes or changes. Read it empty, then look."""
    changes = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    changes.bind((0, _RTMGRP_LINK))
    return changes


def drain(changes: socket.socket) -> None:
    """Read a socket of :func:`watch` empty. What it says is of no interest, nor is what it lost: who looks, sees."""
    while True:
        try:
            changes.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise


def _ask(kind: int, flags: int, body: bytes) -> tuple[int, bytes]:
    """Kind and body of rtnetlink's answer. Raises :class:`PlaneError`."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        try:
            netlink.settimeout(5)
            netlink.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
            answer = netlink.recv(1 << 16)
        except OSError as error:
            raise PlaneError(f"the kernel does not tell about interfaces: {error}") from error
    length, answered, *_ = _HEADER.unpack_from(answer)
    return answered, answer[_HEADER.size : length]


def _attribute(kind: int, value: bytes) -> bytes:
    padding = -len(value) % 4
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(padding)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        yield kind & _NLA_TYPE, data[_ATTRIBUTE.size : length]
        data = data[max(length, _ATTRIBUTE.size) + 3 & ~3 :]


def _feature(name: str, command: int) -> bool:
    value = array.array("B", struct.pack("II", command, 0))
    address, _ = value.buffer_info()
    request = struct.pack("16sP", name.encode(), address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
        except OSError:
            return False
    return bool(struct.unpack("II", value.tobytes())[1])
