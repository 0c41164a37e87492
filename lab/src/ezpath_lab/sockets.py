"""Larger buffers for the packet sockets of OVS's userspace datapath.

Open vSwitch reads its ports through AF_PACKET sockets with the system's default buffer, about a hundred frames: on a
busy two-core machine a burst while the daemon waits for its turn would overflow it, and the loss would be the lab's,
not EZPath's. The buffers are set on duplicates of those very sockets, so that no setting of the machine is touched.
"""

from __future__ import annotations

import ctypes
import os
import socket
from pathlib import Path

from ezpath_lab.shell import LabError

BUFFER_BYTES = 16 << 20
_SYS_PIDFD_GETFD = 438  # the same number on every architecture
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33


def widen(pid: int) -> int:
    """Give every packet socket of ``pid`` buffers of :data:`BUFFER_BYTES`. Returns how many. Raises LabError."""
    inodes = _packet_sockets(pid)
    handle = os.pidfd_open(pid)
    count = 0
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if _inode(entry) in inodes:
                with socket.socket(fileno=_duplicate(handle, int(entry.name))) as copy:
                    copy.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER_BYTES)
                    copy.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, BUFFER_BYTES)
                count += 1
    finally:
        os.close(handle)
    return count


def _packet_sockets(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/net/packet").read_text().splitlines()[1:]
    return {f"socket:[{line.split()[-1]}]" for line in lines}


def _inode(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:  # closed in the meantime
        return ""


def _duplicate(handle: int, fd: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    copy = int(libc.syscall(_SYS_PIDFD_GETFD, handle, fd, 0))
    if copy < 0:
        error = os.strerror(ctypes.get_errno())
        raise LabError(f"pidfd_getfd of ovs-vswitchd's socket: {error}. The lab needs CAP_SYS_PTRACE")
    return copy
