"""The compiled P4 program that switches are to run, from the directory it was compiled into."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from p4rt import P4Info

P4INFO = "ezpath.p4info.txtpb"
CONFIG = "ezpath.json"


class NoProgramFound(ValueError):
    """The directory does not hold the compiled program; the message says what is missing and where it comes from."""


@dataclass(frozen=True, slots=True)
class Program:
    """What SetForwardingPipelineConfig takes. ``cookie`` is a hash of it: a switch that has it runs this program."""

    p4info: P4Info
    config: bytes
    cookie: int


def load_program(directory: Path) -> Program:
    """Read ``directory``. Raises :class:`NoProgramFound`."""
    for name in (P4INFO, CONFIG):
        if not (directory / name).is_file():
            raise NoProgramFound(f"{directory / name} is not there. `make p4` compiles it; --p4-dir says where it is")
    config = (directory / CONFIG).read_bytes()
    digest = hashlib.sha256((directory / P4INFO).read_bytes() + config).digest()
    try:
        p4info = P4Info.load(directory / P4INFO)
    except ValueError as error:
        raise NoProgramFound(f"{directory / P4INFO}: {error}. `make p4` compiles it anew") from None
    return Program(p4info, config, int.from_bytes(digest[:8], "big") or 1)
