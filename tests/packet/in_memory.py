"""BPF_PROG_TEST_RUN: a frame through the program without any wire, its tag inside the bytes."""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass

REDIRECT, SHOT = 7, 2


class _Options(ctypes.Structure):
    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", ctypes.c_char_p),
        ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_char_p),
        ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What the program said, and the bytes as it left them; a tag that the kernel keeps beside them is not here."""

    verdict: int
    data: bytes


def run_program(program_fd: int, frame: bytes, interface: int) -> Result:
    """``frame`` as if it came in through the interface with index ``interface`` of this network namespace."""
    out = ctypes.create_string_buffer(1 << 14)
    context = bytearray(192)
    # struct __sk_buff: ifindex is its eleventh word.
    struct.pack_into("=I", context, 40, interface)
    options = _Options(
        sz=ctypes.sizeof(_Options),
        data_in=frame,
        data_size_in=len(frame),
        data_out=ctypes.addressof(out),
        data_size_out=len(out),
        ctx_in=bytes(context),
        ctx_size_in=len(context),
    )
    library = ctypes.CDLL("libbpf.so.1", use_errno=True)
    status = library.bpf_prog_test_run_opts(program_fd, ctypes.byref(options))
    assert status == 0, f"BPF_PROG_TEST_RUN: errno {-status}"
    return Result(options.retval, out.raw[: options.data_size_out])
