"""Programs and maps in the kernel, as values with a few operations; :mod:`ezpath_tor.libbpf` is how they are reached.

A thin adapter: errors become :class:`~ezpath_tor.plane.PlaneError` that says what was asked of the kernel and what
came back.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import sys
from collections.abc import Iterator, Mapping
from ctypes import byref, c_char_p, c_uint32
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from ezpath_tor.libbpf import MapInfo, MapOpts, OpenOpts, ProgramInfo, lib, reason
from ezpath_tor.plane import PlaneError, Unrealizable

LOG_OCTETS = 1 << 20
MAP_ANY = 0
BATCH = 4096
"""Entries of a map that are read at a time."""


@dataclass(frozen=True, slots=True)
class BpfProgram:
    """One program and its maps, held by file descriptors. It lives until :meth:`close` and as long as attached."""

    program_fd: int
    maps: Mapping[str, int]
    """Name to file descriptor."""
    instructions: int

    @property
    def id(self) -> int:
        """The kernel's number for it, the same for every process."""
        return int(_info(self.program_fd, ProgramInfo()).id)

    def map_fd(self, name: str) -> int:
        if name not in self.maps:
            raise PlaneError(f"the compiled program has no map {name}")
        return self.maps[name]

    def close(self) -> None:
        """Once only."""
        for fd in (*self.maps.values(), self.program_fd):
            os.close(fd)


def load(elf: bytes, name: str) -> BpfProgram:
    """Load the program ``name`` of an object file, with its maps.

    Raises :class:`Unrealizable` with the verifier's last words where the kernel refuses it, or :class:`PlaneError`.
    """
    log = ctypes.create_string_buffer(LOG_OCTETS)
    options = OpenOpts(
        sz=ctypes.sizeof(OpenOpts),
        object_name=b"ezpath_tor",
        kernel_log_buf=ctypes.cast(log, c_char_p),
        kernel_log_size=LOG_OCTETS,
    )
    opened = lib().bpf_object__open_mem(elf, len(elf), byref(options))
    if not opened:
        raise PlaneError(f"libbpf cannot read the compiled program: {reason(-ctypes.get_errno())}")
    try:
        status = lib().bpf_object__load(opened)
        if status:
            refusal = PlaneError if status == -errno.EPERM else Unrealizable
            raise refusal(f"the kernel refuses the program: {reason(status)}{_last_words(log.value)}")
        found = lib().bpf_object__find_program_by_name(opened, name.encode())
        # The object's own descriptors go with it.
        maps = {lib().bpf_map__name(each).decode(): _own(lib().bpf_map__fd(each)) for each in _maps(opened)}
        return BpfProgram(_own(lib().bpf_program__fd(found)), maps, int(lib().bpf_program__insn_cnt(found)))
    finally:
        lib().bpf_object__close(opened)


def _maps(opened: int) -> Iterator[int]:
    each = lib().bpf_object__next_map(opened, None)
    while each:
        yield each
        each = lib().bpf_object__next_map(opened, each)


def _own(fd: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 0)


def _last_words(log: bytes) -> str:
    lines = log.decode(errors="replace").strip().splitlines()
    return "\n" + "\n".join(lines[-20:]) if lines else ""


# ---- what runs already


def program_fd(program_id: int) -> int:
    """A program that runs. Raises :class:`PlaneError` where it is gone."""
    return _opened(lib().bpf_prog_get_fd_by_id(program_id), f"program {program_id}")


def map_fd(map_id: int) -> int:
    """A map of such a program. Raises :class:`PlaneError` where it is gone."""
    return _opened(lib().bpf_map_get_fd_by_id(map_id), f"map {map_id}")


def map_id(fd: int) -> int:
    """The kernel's number for a map."""
    return int(_info(fd, MapInfo()).id)


def open_map_of(fd: int, name: str) -> int | None:
    """The map of that name among those of a program, if it has one; the kernel knows 15 bytes of a name."""
    count = _info(fd, ProgramInfo()).nr_map_ids
    ids = (c_uint32 * count)()
    _info(fd, ProgramInfo(nr_map_ids=count, map_ids=ctypes.addressof(ids)))
    for each in ids:
        found = map_fd(each)
        if _info(found, MapInfo()).name.decode(errors="replace") == name:
            return found
        os.close(found)
    return None


_T = TypeVar("_T", ProgramInfo, MapInfo)


def _info(fd: int, info: _T) -> _T:
    check(lib().bpf_obj_get_info_by_fd(fd, byref(info), byref(c_uint32(ctypes.sizeof(info)))), "tell about itself")
    return info


def _opened(fd: int, what: str) -> int:
    if fd < 0:
        raise PlaneError(f"the kernel does not open {what}: {reason(fd)}")
    os.set_inheritable(fd, False)
    return fd


# ---- maps


def map_create(kind: int, name: str, key_octets: int, value_octets: int, entries: int, flags: int = 0) -> int:
    """A map of our own making; its file descriptor. Raises :class:`PlaneError`."""
    options = MapOpts(sz=ctypes.sizeof(MapOpts), map_flags=flags)
    fd = lib().bpf_map_create(kind, name.encode(), key_octets, value_octets, entries, byref(options))
    return _opened(fd, f"a map {name} with {entries} entries of {value_octets} bytes")


def bind(program: BpfProgram, fd: int) -> None:
    """Let a map live as long as the program, which does not use it."""
    check(lib().bpf_prog_bind_map(program.program_fd, fd, None), "bind a map to the program")


def map_update(fd: int, key: bytes, value: bytes) -> int:
    """0, or the errno with a minus sign."""
    status: int = lib().bpf_map_update_elem(fd, key, value, MAP_ANY)
    return status


def map_delete(fd: int, key: bytes) -> int:
    """0, or the errno with a minus sign."""
    status: int = lib().bpf_map_delete_elem(fd, key)
    return status


def map_lookup(fd: int, key: bytes) -> bytes | None:
    """The value of one key, or None."""
    value = ctypes.create_string_buffer(_info(fd, MapInfo()).value_size)
    return value.raw if lib().bpf_map_lookup_elem(fd, key, value) == 0 else None


def map_items(fd: int) -> Iterator[tuple[bytes, bytes]]:
    """All that is in a map, in no order. Raises :class:`PlaneError`."""
    info = _info(fd, MapInfo())
    key_size, value_size = info.key_size, info.value_size
    room = min(BATCH, info.max_entries)
    token = ctypes.create_string_buffer(max(key_size, 8))
    begun = False
    while True:
        keys, values = ctypes.create_string_buffer(key_size * room), ctypes.create_string_buffer(value_size * room)
        count = c_uint32(room)
        status = lib().bpf_map_lookup_batch(fd, token if begun else None, token, keys, values, byref(count), None)
        if status == -errno.ENOSPC:  # a bucket of the hash has more than there is room for
            room *= 2
            continue
        if status not in (0, -errno.ENOENT):
            check(status, "read a map")
        yield from islice(zip(_cut(keys.raw, key_size), _cut(values.raw, value_size), strict=True), count.value)
        if status:
            return
        begun = True


def _cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def map_memory(fd: int, octets: int) -> mmap.mmap:
    """The memory of an array map, shared with the kernel."""
    pages = (octets + mmap.PAGESIZE - 1) // mmap.PAGESIZE * mmap.PAGESIZE
    return mmap.mmap(fd, pages, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)


def check(status: int, what: str) -> None:
    """Raises :class:`PlaneError` for a status of libbpf that is not 0."""
    if status:
        raise PlaneError(f"the kernel did not {what}: {os.strerror(-status)}")


def u32(value: int) -> bytes:
    """As a map's key or value."""
    return value.to_bytes(4, sys.byteorder)
