"""The file that `--record` writes. A disk that is full ends the recording, not the decider."""

from __future__ import annotations

from pathlib import Path

import structlog


def cannot_write(path: Path | None) -> list[str]:
    """What is wrong with ``--record path``, a line; nothing is left changed, not even an older recording there."""
    if path is None:
        return []
    was_there = path.exists()
    try:
        path.open("ab").close()
        if not was_there:
            path.unlink()
    except OSError as error:
        where = "Give a file in a folder that is there and that the decider may write to"
        return [f"--record {path}: cannot be written: {error.strerror}. {where}"]
    return []


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
