"""The file that `--record` writes. A disk that is full ends the recording, not the decider."""

from __future__ import annotations

from pathlib import Path

import structlog

FLUSH_BYTES = 1 << 20


class Recorder:
    """Appends to a file that is begun anew."""

    def __init__(self, path: Path) -> None:
        """Raises :class:`OSError` where the file cannot be written."""
        self._path = path
        self._file = path.open("wb", buffering=FLUSH_BYTES)
        self._broken = False

    def write(self, message: bytes) -> None:
        if self._broken:
            return
        try:
            self._file.write(message)
            self._file.flush()
        except OSError as error:
            self._broken = True
            structlog.get_logger().error("recording ended", file=str(self._path), reason=str(error))
