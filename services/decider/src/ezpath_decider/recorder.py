"""The file that `--record` writes. A disk that is full ends the recording, not the decider."""

from __future__ import annotations

from pathlib import Path

import structlog


class Recorder:
    """Appends to a file that is begun anew."""

    def __init__(self, path: Path) -> None:
        """Raises :class:`OSError` where the file cannot be written."""
        self._path = path
        # Unbuffered: what was written is there after a kill, and a full disk is noticed at once.
        self._file = path.open("wb", buffering=0)
        self._broken = False

    def write(self, message: bytes) -> None:
        if self._broken:
            return
        try:
            if self._file.write(message) < len(message):
                raise OSError("the disk took a part of a message only")
        except OSError as error:
            self._broken = True
            structlog.get_logger().error("recording ended", file=str(self._path), reason=str(error))
