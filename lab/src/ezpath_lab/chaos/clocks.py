"""A wall clock for each service that the harness can set, and that nobody else sees.

``clock.c`` beside this module is compiled and preloaded into the service. nats-server, in Go, asks the kernel directly
and keeps the true time.
"""

from __future__ import annotations

import struct
from pathlib import Path

from ezpath_lab.shell import run

SOURCE = Path(__file__).with_name("clock.c")


class Clocks:
    """One file of eight bytes for each service, in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._library = directory / "clock.so"
        self._offsets: dict[str, float] = {}

    def build(self) -> None:
        """Compile the library. Raises :class:`LabError`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        run("clang", "-O2", "-shared", "-fPIC", "-Wall", "-o", str(self._library), str(SOURCE))

    def environment(self, service: str) -> dict[str, str]:
        """What the service is to be started with."""
        file = self._file(service)
        if not file.exists():
            file.write_bytes(struct.pack("=q", 0))
        return {"LD_PRELOAD": str(self._library), "EZPATH_CHAOS_CLOCK": str(file)}

    def jump(self, service: str, seconds: float) -> None:
        """Set the clock of ``service`` ``seconds`` ahead, or back, from where it is. It stays so over restarts."""
        offset = self._offsets.get(service, 0.0) + seconds
        self._offsets[service] = offset
        with self._file(service).open("r+b") as file:
            file.write(struct.pack("=q", int(offset * 1e9)))

    def _file(self, service: str) -> Path:
        return self._directory / f"{service}.clock"
