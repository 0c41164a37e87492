#!/usr/bin/env python3
"""Compile the P4 program, or check that what is committed was compiled from the sources beside it.

    python3 p4/build.py            compile with p4c (on PATH, named by $P4C, or in a container), stamp, print the SRAM
    python3 p4/build.py --check    exit 1 if the sources differ from the ones the committed output came from

One program, built twice: see BUILDS. The stamp, ezpath.stamp, holds the SHA-256 of the sources and of each compiled
file. Standard library only, so that it runs anywhere.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import sram

HERE = Path(__file__).resolve().parent
PROGRAM = "ezpath.p4"
BUILDS: dict[str, tuple[str, ...]] = {"ezpath": (), "ezpath.bmv2": ("-DNARROW_CELLS",)}
"""Name to preprocessor options. BMv2 shows its registers through a port that knows signed 64-bit integers: for it, a
monitor cell is six narrow registers. All else is the same."""
SUFFIXES = (".json", ".p4info.txtpb")
OUTPUTS = tuple(name + suffix for name in BUILDS for suffix in SUFFIXES)
STAMP = "ezpath.stamp"
IMAGE = "p4lang/p4c:latest"


class Failure(Exception):
    """What went wrong and what to do, for a person."""


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.p4"))


def digest(paths: list[Path], folder: Path) -> str:
    """One hash over names and contents, the same on every machine."""
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.relative_to(folder).as_posix()}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def stamp_of(folder: Path) -> dict[str, str]:
    """What the stamp must say for the files in ``folder``."""
    return {"sources": digest(sources(folder), folder)} | {name: digest([folder / name], folder) for name in OUTPUTS}


def check(folder: Path) -> None:
    """Raises :class:`Failure` naming what does not belong together."""
    for name in (STAMP, *OUTPUTS):
        if not (folder / name).is_file():
            raise Failure(f"p4/{name} is missing. Run `make p4` and commit what it writes")
    recorded = json.loads((folder / STAMP).read_text())
    found = stamp_of(folder)
    differing = [name for name in found if recorded.get(name) != found[name]]
    if differing:
        raise Failure(
            f"p4/{STAMP} does not fit: {', '.join(differing)} changed since the program was compiled. "
            "Run `make p4` and commit what it writes"
        )


def compiler(folder: Path, output: Path, options: tuple[str, ...]) -> list[str]:
    """The command that compiles PROGRAM into ``output``: $P4C, else p4c on PATH, else p4c in a container."""
    json_file, p4info = (str(path) for path in _compiled(output))
    driver = [PROGRAM, "--target", "bmv2", "--arch", "v1model", "--p4runtime-files", p4info, "-o", str(output)]
    driver += options
    backend = [PROGRAM, "-o", json_file, "--p4runtime-files", p4info, *options]
    if named := shlex.split(os.environ.get("P4C", "")):
        return named + (driver if Path(named[0]).name == "p4c" else backend)
    for name, arguments in (("p4c", driver), ("p4c-bm2-ss", backend)):
        if shutil.which(name):
            return [name, *arguments]
    for engine in ("docker", "podman"):
        if shutil.which(engine) and subprocess.run([engine, "info"], capture_output=True, check=False).returncode == 0:
            mounts = ["-v", f"{folder}:{folder}:ro", "-v", f"{output}:{output}", "-w", str(folder)]
            return [engine, "run", "--rm", *mounts, IMAGE, "p4c", *driver]
    raise Failure(
        "no P4 compiler: neither p4c nor p4c-bm2-ss on PATH, nor a running docker or podman. "
        "Install p4c (github.com/p4lang/p4c), or set P4C='/path/to/p4c-bm2-ss -I /path/to/p4include'"
    )


def compile_program(folder: Path) -> None:
    """Compile into a place aside, and replace what is committed only when all of it worked."""
    compiled: dict[str, str] = {}
    for name, options in BUILDS.items():
        with tempfile.TemporaryDirectory() as aside:
            _run(compiler(folder, Path(aside), options), folder, Path(aside))
            for suffix, path in zip(SUFFIXES, _compiled(Path(aside)), strict=True):
                compiled[name + suffix] = _without_place(path.read_text())
    for output, text in compiled.items():
        (folder / output).write_text(text)
    (folder / STAMP).write_text(json.dumps(stamp_of(folder), indent=2) + "\n")


def _compiled(output: Path) -> tuple[Path, ...]:
    """What a compiler writes for PROGRAM, in the order of SUFFIXES."""
    return tuple(output / (Path(PROGRAM).stem + suffix) for suffix in SUFFIXES)


def _run(command: list[str], folder: Path, output: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    if done.returncode or not all(path.is_file() for path in _compiled(output)):
        raise Failure(f"`{shlex.join(command)}` failed with exit status {done.returncode}: see above")


def _without_place(text: str) -> str:
    """The p4c driver notes where its preprocessor put the program: the same sources must give the same output."""
    return re.sub(r'^(\s*"program"\s*:\s*)"[^"]*"', rf'\1"{PROGRAM}"', text, flags=re.MULTILINE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, compile nothing")
    parser.add_argument("--folder", type=Path, default=HERE, help=argparse.SUPPRESS)
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    try:
        if options.check:
            check(folder)
        else:
            compile_program(folder)
            print(sram.report(sram.memories(json.loads((folder / OUTPUTS[0]).read_text()))))
    except Failure as failure:
        print(f"p4: {failure}", file=sys.stderr)
        return 1
    lines = sum(len(path.read_text().splitlines()) for path in sources(folder))
    done = "belong together" if options.check else "compiled"
    print(f"p4: {len(sources(folder))} sources, {lines} lines, {done}; sources {stamp_of(folder)['sources'][:12]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
