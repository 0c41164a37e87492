"""The compiled P4 programs that switches are to run, from the directory they were compiled into."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ezpath.inventory import Switch
from ezpath.names import SwitchName

from p4rt import P4Info


class NoProgramFound(ValueError):
    """The directory does not hold the compiled program; the message says what is missing and where it comes from."""


@dataclass(frozen=True, slots=True)
class Program:
    """What SetForwardingPipelineConfig takes. ``cookie`` is a hash of it: a switch that has it runs this program."""

    p4info: P4Info
    config: bytes
    cookie: int


def load_program(directory: Path, name: str) -> Program:
    """``name``.json and ``name``.p4info.txtpb of ``directory``. Raises :class:`NoProgramFound`."""
    config_file, p4info_file = (directory / f"{name}.{ending}" for ending in ("json", "p4info.txtpb"))
    for file in (p4info_file, config_file):
        if not file.is_file():
            raise NoProgramFound(f"{file} is not there. `make p4` compiles it; --p4-dir says where it is")
    config = config_file.read_bytes()
    digest = hashlib.sha256(p4info_file.read_bytes() + config).digest()
    try:
        p4info = P4Info.load(p4info_file)
    except ValueError as error:
        raise NoProgramFound(f"{p4info_file}: {error}. `make p4` compiles it anew") from None
    return Program(p4info, config, int.from_bytes(digest[:8], "big") or 1)


def load_programs(directory: Path, switches: Sequence[Switch]) -> Mapping[SwitchName, Program]:
    """What each of ``switches`` is to run, by its inventory. Raises :class:`NoProgramFound`."""
    loaded = {name: load_program(directory, name) for name in {switch.config.program for switch in switches}}
    return {switch.name: loaded[switch.config.program] for switch in switches}


def missing_programs(directory: Path, switches: Sequence[Switch]) -> Iterator[str]:
    """For each program of ``switches`` that cannot be loaded: who is to run it, why it cannot, and what to do."""
    for name, switch in {switch.config.program: switch for switch in reversed(switches)}.items():
        try:
            load_program(directory, name)
        except NoProgramFound as error:
            yield f"{switch.name} is to run {name}: {error}"
