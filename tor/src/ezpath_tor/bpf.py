"""libbpf through ctypes: load an object, reach its maps, attach its program to tc.

A thin adapter: errors become :class:`~ezpath_tor.plane.PlaneError` that says what was asked of the kernel and what
came back. Everything acts on the network namespace of the calling thread.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any

from ezpath_tor.plane import PlaneError

LIBRARY = "libbpf.so.1"
LOG_OCTETS = 1 << 20
INGRESS = 1
INGRESS_AND_EGRESS = 3
TC_REPLACE = 1
MAP_ANY = 0


class _OpenOpts(Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("object_name", c_char_p),
        ("relaxed_maps", ctypes.c_bool),
        ("pin_root_path", c_char_p),
        ("unused", c_uint32),
        ("kconfig", c_char_p),
        ("btf_custom_path", c_char_p),
        ("kernel_log_buf", c_char_p),
        ("kernel_log_size", c_size_t),
        ("kernel_log_level", c_uint32),
    )


class _TcHook(Structure):
    _fields_ = (("sz", c_size_t), ("ifindex", c_int), ("attach_point", c_int), ("parent", c_uint32))


class _TcOpts(Structure):
    _fields_ = (
        ("sz", c_size_t),
        ("prog_fd", c_int),
        ("flags", c_uint32),
        ("prog_id", c_uint32),
        ("handle", c_uint32),
        ("priority", c_uint32),
    )


_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "bpf_object__open_mem": (c_void_p, (c_char_p, c_size_t, POINTER(_OpenOpts))),
    "bpf_object__load": (c_int, (c_void_p,)),
    "bpf_object__close": (None, (c_void_p,)),
    "bpf_object__find_program_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_program__fd": (c_int, (c_void_p,)),
    "bpf_program__insn_cnt": (c_size_t, (c_void_p,)),
    "bpf_object__find_map_by_name": (c_void_p, (c_void_p, c_char_p)),
    "bpf_map__fd": (c_int, (c_void_p,)),
    "bpf_map_update_elem": (c_int, (c_int, c_void_p, c_void_p, c_uint64)),
    "bpf_map_delete_elem": (c_int, (c_int, c_void_p)),
    "bpf_tc_hook_create": (c_int, (POINTER(_TcHook),)),
    "bpf_tc_hook_destroy": (c_int, (POINTER(_TcHook),)),
    "bpf_tc_attach": (c_int, (POINTER(_TcHook), POINTER(_TcOpts))),
    "bpf_tc_detach": (c_int, (POINTER(_TcHook), POINTER(_TcOpts))),
    "bpf_tc_query": (c_int, (POINTER(_TcHook), POINTER(_TcOpts))),
    "libbpf_set_print": (c_void_p, (c_void_p,)),
}


def _open_library() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError as error:
        raise PlaneError(f"{LIBRARY} cannot be loaded ({error}); apt install libbpf1") from error
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    # What libbpf would print to stderr comes back in errors and in the verifier's log.
    library.libbpf_set_print(None)
    return library


_library: Any = None


def _lib() -> Any:
    global _library
    if _library is None:
        _library = _open_library()
    return _library


class BpfObject:
    """A loaded object: one program and its maps. They live until :meth:`close` and as long as attached."""

    def __init__(self, elf: bytes, program: str) -> None:
        """Load ``elf``. Raises :class:`PlaneError` with the verifier's last words where the kernel refuses it."""
        log = ctypes.create_string_buffer(LOG_OCTETS)
        options = _OpenOpts(
            sz=ctypes.sizeof(_OpenOpts),
            object_name=b"ezpath_tor",
            kernel_log_buf=ctypes.cast(log, c_char_p),
            kernel_log_size=LOG_OCTETS,
        )
        self._elf = elf
        self._object = _lib().bpf_object__open_mem(elf, len(elf), byref(options))
        if not self._object:
            raise PlaneError(f"libbpf cannot read the compiled program: {_reason(-ctypes.get_errno())}")
        status = _lib().bpf_object__load(self._object)
        if status:
            self.close()
            raise PlaneError(f"the kernel refuses the program: {_reason(status)}{_last_words(log.value)}")
        found = _lib().bpf_object__find_program_by_name(self._object, program.encode())
        self.program_fd = int(_lib().bpf_program__fd(found))
        self.instructions = int(_lib().bpf_program__insn_cnt(found))

    def map_fd(self, name: str) -> int:
        found = _lib().bpf_object__find_map_by_name(self._object, name.encode())
        if not found:
            raise PlaneError(f"the compiled program has no map {name}")
        return int(_lib().bpf_map__fd(found))

    def close(self) -> None:
        if self._object:
            _lib().bpf_object__close(self._object)
            self._object = None


def map_update(fd: int, key: bytes, value: bytes) -> int:
    """0, or the errno with a minus sign."""
    return int(_lib().bpf_map_update_elem(fd, key, value, MAP_ANY))


def map_delete(fd: int, key: bytes) -> int:
    """0, or the errno with a minus sign."""
    return int(_lib().bpf_map_delete_elem(fd, key))


def map_memory(fd: int, octets: int) -> mmap.mmap:
    """The memory of an array map, shared with the kernel."""
    pages = (octets + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
    return mmap.mmap(fd, pages, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


class TcHook:
    """The ingress side of one interface, where one program of ours runs at a time."""

    HANDLE = 1
    PRIORITY = 0xE2

    def __init__(self, ifindex: int, name: str) -> None:
        self._hook = _TcHook(sz=ctypes.sizeof(_TcHook), ifindex=ifindex, attach_point=INGRESS)
        self._name = name
        self.made_qdisc = False

    @property
    def ifindex(self) -> int:
        return int(self._hook.ifindex)

    def attach(self, program_fd: int) -> None:
        """Run this program, in place of the one before: no frame passes in between."""
        status = _lib().bpf_tc_hook_create(byref(self._hook))
        if status == 0:
            self.made_qdisc = True
        elif status != -errno.EEXIST:
            raise PlaneError(f"the kernel has no clsact qdisc for {self._name}: {_reason(status)}")
        elif self._ours():
            # Left over from a switch that was killed: nobody else will take it away.
            self.made_qdisc = True
        options = self._options(prog_fd=program_fd, flags=TC_REPLACE)
        status = _lib().bpf_tc_attach(byref(self._hook), byref(options))
        if status:
            raise PlaneError(f"the kernel does not attach the program to {self._name}: {_reason(status)}")

    def detach(self) -> None:
        """Take the program, and the qdisc where it is ours, off the interface. One that is gone is fine."""
        if self.made_qdisc:
            both = _TcHook(sz=ctypes.sizeof(_TcHook), ifindex=self._hook.ifindex, attach_point=INGRESS_AND_EGRESS)
            status = _lib().bpf_tc_hook_destroy(byref(both))
        else:
            status = _lib().bpf_tc_detach(byref(self._hook), byref(self._options()))
        if status and status not in (-errno.ENODEV, -errno.ENOENT, -errno.EINVAL):
            raise PlaneError(f"the kernel does not detach the program from {self._name}: {_reason(status)}")

    def _ours(self) -> bool:
        options = self._options()
        return int(_lib().bpf_tc_query(byref(self._hook), byref(options))) == 0

    def _options(self, prog_fd: int = 0, flags: int = 0) -> _TcOpts:
        return _TcOpts(
            sz=ctypes.sizeof(_TcOpts),
            prog_fd=prog_fd,
            flags=flags,
            handle=self.HANDLE,
            priority=self.PRIORITY,
        )


def _reason(status: int) -> str:
    hint = "; run as root or with CAP_BPF and CAP_NET_ADMIN" if status == -errno.EPERM else ""
    return f"{os.strerror(-status)} ({errno.errorcode.get(-status, status)}){hint}"


def _last_words(log: bytes) -> str:
    lines = log.decode(errors="replace").strip().splitlines()
    return "\n" + "\n".join(lines[-20:]) if lines else ""
