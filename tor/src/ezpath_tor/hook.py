"""tc: where a program meets the frames that come in through an interface.

Everything acts on the network namespace of the calling thread.
"""

from __future__ import annotations

import ctypes
import errno
from ctypes import byref

from ezpath_tor.libbpf import TcHookOpts, TcOpts, lib, reason
from ezpath_tor.plane import PlaneError

INGRESS = 1
INGRESS_AND_EGRESS = 3
REPLACE = 1
_GONE = (-errno.ENODEV, -errno.ENOENT, -errno.EINVAL)


class TcHook:
    """The ingress side of one interface, where one program of ours runs at a time."""

    HANDLE = 1
    PRIORITY = 0xE2

    def __init__(self, ifindex: int, name: str, *, made_qdisc: bool = False) -> None:
        """``made_qdisc``: the qdisc is there because of us, and goes with the program."""
        self.ifindex = ifindex
        self.name = name
        self.made_qdisc = made_qdisc
        self._hook = TcHookOpts(sz=ctypes.sizeof(TcHookOpts), ifindex=ifindex, attach_point=INGRESS)

    def prepare(self) -> None:
        """Have the qdisc that programs hang on."""
        status = lib().bpf_tc_hook_create(byref(self._hook))
        if status == 0:
            self.made_qdisc = True
        elif status != -errno.EEXIST:
            raise PlaneError(f"the kernel has no clsact qdisc for {self.name}: {reason(status)}")

    def attach(self, program_fd: int) -> None:
        """Run this program, in place of the one before: no frame passes in between. After :meth:`prepare`."""
        options = self._options(prog_fd=program_fd, flags=REPLACE)
        status = lib().bpf_tc_attach(byref(self._hook), byref(options))
        if status:
            raise PlaneError(f"the kernel does not attach the program to {self.name}: {reason(status)}")

    def program_id(self) -> int | None:
        """The program in our place there, whoever put it there."""
        options = self._options()
        if lib().bpf_tc_query(byref(self._hook), byref(options)):
            return None
        return int(options.prog_id)

    def detach(self) -> None:
        """Take the program, and the qdisc where it is ours, off the interface. One that is gone is fine."""
        if self.made_qdisc:
            size = ctypes.sizeof(TcHookOpts)
            both = TcHookOpts(sz=size, ifindex=self.ifindex, attach_point=INGRESS_AND_EGRESS)
            status = lib().bpf_tc_hook_destroy(byref(both))
        else:
            status = lib().bpf_tc_detach(byref(self._hook), byref(self._options()))
        if status and status not in _GONE:
            raise PlaneError(f"the kernel does not detach the program from {self.name}: {reason(status)}")

    def _options(self, prog_fd: int = 0, flags: int = 0) -> TcOpts:
        size = ctypes.sizeof(TcOpts)
        return TcOpts(sz=size, prog_fd=prog_fd, flags=flags, handle=self.HANDLE, priority=self.PRIORITY)
