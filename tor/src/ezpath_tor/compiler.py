"""clang: generated C to a BPF object."""

from __future__ import annotations

import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from ezpath_tor.codegen.crc import crc_tables
from ezpath_tor.codegen.names import SUPPORT_FILES, support_text
from ezpath_tor.plane import PlaneError, Unrealizable

COMPILE_TIMEOUT_S = 60


def compile_c(source: str) -> bytes:
    """The ELF object of ``source``. Raises :class:`Unrealizable` with what clang says, or :class:`PlaneError`."""
    clang = shutil.which("clang")
    if clang is None:
        raise PlaneError("clang is not on PATH and the P4 program cannot be compiled; apt install clang libbpf-dev")
    with tempfile.TemporaryDirectory(prefix="ezpath-tor-") as folder:
        for name in SUPPORT_FILES:
            Path(folder, name).write_text(support_text(name))
        Path(folder, "crc_tables.h").write_text(crc_tables())
        Path(folder, "program.c").write_text(source)
        command = [
            *(clang, "-O2", "-g", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wno-unused-function"),
            # Where Debian keeps asm/types.h, which the bpf target does not look for.
            *("-idirafter", f"/usr/include/{platform.machine()}-linux-gnu"),
            *("-c", "program.c", "-o", "program.o"),
        ]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise PlaneError(f"clang took more than {COMPILE_TIMEOUT_S} s for the P4 program") from error
        if done.returncode:
            said = f"clang refused the C generated from the P4 program:\n{done.stderr[:4000]}"
            if "bpf/bpf_helpers.h" in done.stderr:
                raise PlaneError(f"{said}\napt install libbpf-dev")
            raise Unrealizable(said)
        return Path(folder, "program.o").read_bytes()
