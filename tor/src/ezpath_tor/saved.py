"""What outlives the process: enough for the next one to go on with the program that runs.

A program on an interface keeps its maps alive. Two more are bound to it: one holds what it was made from and which
maps are its tables and registers, the other notes that change. So there is no file and nothing pinned that could be of
another day than the program: all of it is where the program is attached, is reached from there in any mount namespace,
and is gone when the last interface lets go of the program.
"""

from __future__ import annotations

import base64
import json
import os
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ezpath_tor import bpf
from ezpath_tor.bpf import BpfProgram
from ezpath_tor.plane import NOTE_OCTETS, PlaneError

FORMAT = 1
"""Of what is saved. Another one is not read."""

_DOCUMENT, _NOTES, _ROOM = "ezpath_saved", "ezpath_notes", "ezpath_room"
_HASH, _ARRAY, _NO_PREALLOC = 1, 2, 1
_KEY_OCTETS, _LENGTH_OCTETS = 32, 4
_COMMITTED = b"committed"
_FEW_NOTES = 1024
"""Notes of other things than entries."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a program was made from."""

    fingerprint: str
    """Of the C that it was compiled from: where it is another now, its maps mean something else."""
    config: bytes
    memo: bytes
    made_ns: int


class Notes:
    """Small values by name, each replaced in one step. They live as long as the program they are bound to."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def put(self, key: bytes, value: bytes | None) -> None:
        """Note ``value``, or forget the note where it is None. Raises :class:`PlaneError`."""
        packed = bytes([len(key)]) + key.ljust(_KEY_OCTETS - 1, b"\0")
        if len(packed) != _KEY_OCTETS:
            raise PlaneError(f"a note's name has at most {_KEY_OCTETS - 1} bytes, not {len(key)}")
        if value is None:
            bpf.map_delete(self._fd, packed)
            return
        if len(value) > NOTE_OCTETS:
            raise PlaneError(f"a note has at most {NOTE_OCTETS} bytes, not {len(value)}")
        room = len(value).to_bytes(_LENGTH_OCTETS, "little") + value.ljust(NOTE_OCTETS, b"\0")
        bpf.check(bpf.map_update(self._fd, packed, room), "keep a note with the program")

    def all(self) -> dict[bytes, bytes]:
        """Every note, by name. Raises :class:`PlaneError`."""
        return {key[1 : 1 + key[0]]: _value(value) for key, value in bpf.map_items(self._fd)}

    def commit(self) -> None:
        """The program is on all ports: from now on it is the one to go on with."""
        self.put(_COMMITTED, b"")


def _value(room: bytes) -> bytes:
    length = int.from_bytes(room[:_LENGTH_OCTETS], "little")
    return room[_LENGTH_OCTETS : _LENGTH_OCTETS + length]


@dataclass(frozen=True, slots=True)
class Room:
    """A hash that is to be kept with the program."""

    key_octets: int
    value_octets: int
    entries: int


def save(program: BpfProgram, saved: Saved, entries: int, rooms: Mapping[str, Room]) -> BpfProgram:
    """Bind the document, notes on that many table entries, and more ``rooms`` by name; the program with all of them."""
    notes = Room(_KEY_OCTETS, _LENGTH_OCTETS + NOTE_OCTETS, entries + _FEW_NOTES)
    made: dict[str, int] = {}
    try:
        for name, room in {_NOTES: notes, **rooms}.items():
            sizes = (room.key_octets, room.value_octets, room.entries)
            made[name] = bpf.map_create(_HASH, _NOTES if name == _NOTES else _ROOM, *sizes, _NO_PREALLOC)
            bpf.bind(program, made[name])
        program = BpfProgram(program.program_fd, {**program.maps, **made}, program.instructions)
        document = _packed(program, saved)
        fd = bpf.map_create(_ARRAY, _DOCUMENT, 4, len(document), 1)
        try:
            bpf.check(bpf.map_update(fd, bytes(4), document), "keep the program's configuration")
            bpf.bind(program, fd)
        finally:
            os.close(fd)
    except BaseException:
        for each in made.values():
            os.close(each)
        raise
    return program


def notes_of(program: BpfProgram) -> Notes:
    """The notes bound to a program by :func:`save`."""
    return Notes(program.map_fd(_NOTES))


def newest(program_ids: set[int]) -> tuple[BpfProgram, Saved] | None:
    """Of several programs the one to go on with: the last that got onto all ports. None where none is ours.

    There are several only where a process was killed while it put a new one in the place of an old one.
    """
    found = [each for each in map(_opened, program_ids) if each is not None]
    found.sort(key=lambda each: (_COMMITTED in notes_of(each[0]).all(), each[1].made_ns))
    for program, _ in found[:-1]:
        program.close()
    return found[-1] if found else None


def fresh(fingerprint: str, config: bytes, memo: bytes) -> Saved:
    """What is to be saved with a program that is loaded now."""
    return Saved(fingerprint, config, memo, time.time_ns())


def _packed(program: BpfProgram, saved: Saved) -> bytes:
    body = {
        "format": FORMAT,
        "fingerprint": saved.fingerprint,
        "made_ns": saved.made_ns,
        "instructions": program.instructions,
        "maps": {name: bpf.map_id(fd) for name, fd in program.maps.items()},
        "config": base64.b64encode(saved.config).decode(),
        "memo": base64.b64encode(saved.memo).decode(),
    }
    return zlib.compress(json.dumps(body).encode(), level=1)


def _opened(program_id: int) -> tuple[BpfProgram, Saved] | None:
    """A program that runs, with its maps by name. None where nothing is saved with it, or not in this format."""
    held: dict[str, int] = {}
    fd = bpf.program_fd(program_id)
    try:
        body = _read(fd)
        for name, map_id in body["maps"].items() if body else ():
            held[name] = bpf.map_fd(map_id)
    except BaseException:
        BpfProgram(fd, held, 0).close()
        raise
    program = BpfProgram(fd, held, body["instructions"] if body else 0)
    if body is None:
        program.close()
        return None
    config, memo = (base64.b64decode(body[part]) for part in ("config", "memo"))
    return program, Saved(body["fingerprint"], config, memo, body["made_ns"])


def _read(fd: int) -> dict[str, Any] | None:
    document = bpf.open_map_of(fd, _DOCUMENT)
    if document is None:
        return None
    try:
        packed = bpf.map_lookup(document, bytes(4))
    finally:
        os.close(document)
    body: dict[str, Any] = json.loads(zlib.decompress(packed)) if packed is not None else {}
    return body if body.get("format") == FORMAT else None
