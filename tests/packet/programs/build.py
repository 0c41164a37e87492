#!/usr/bin/env python3
"""Compile the P4 programs of the tests and examples, or check that what is committed was compiled from them.

    P4C='p4c-bm2-ss -I /usr/share/p4c/p4include' python3 tests/packet/programs/build.py
    python3 tests/packet/programs/build.py --check

programs.stamp holds the SHA-256 of every source and of everything that was compiled from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
STAMP = HERE / "programs.stamp"
FOLDERS = {
    ROOT / "tor" / "examples": (".json", ".p4info.txtpb"),
    HERE: (".json", ".p4info.txtpb"),
    HERE / "refused": (".json",),
}
"""Where programs are, and what of the compiler's output is kept."""


def programs(folder: Path) -> list[Path]:
    """Those with a switch in them; the others are included."""
    return sorted(path for path in folder.glob("*.p4") if "V1Switch(" in path.read_text())


def compile_program(source: Path, suffixes: tuple[str, ...]) -> None:
    """Raises ``SystemExit`` where the compiler is missing or refuses the program."""
    compiler = shlex.split(os.environ.get("P4C", "p4c-bm2-ss"))
    if shutil.which(compiler[0]) is None:
        sys.exit("no p4c-bm2-ss on PATH; set P4C='/path/to/p4c-bm2-ss -I /path/to/p4include'")
    with tempfile.TemporaryDirectory() as aside:
        outputs = {suffix: Path(aside) / f"{source.stem}{suffix}" for suffix in (".json", ".p4info.txtpb")}
        files = ["-o", str(outputs[".json"]), "--p4runtime-files", str(outputs[".p4info.txtpb"])]
        done = subprocess.run([*compiler, source.name, *files], cwd=source.parent, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{source}: {done.stderr}")
        for suffix in suffixes:
            source.with_suffix("").with_name(source.stem + suffix).write_text(outputs[suffix].read_text())


def stamp() -> dict[str, str]:
    """What the stamp must say."""
    files = [
        path
        for folder, suffixes in FOLDERS.items()
        for path in (*folder.glob("*.p4"), *(path for suffix in suffixes for path in folder.glob(f"*{suffix}")))
    ]
    return {str(path.relative_to(ROOT)): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(files)}


def differing() -> list[str]:
    """Files that are not what they were when the stamp was made."""
    recorded = json.loads(STAMP.read_text()) if STAMP.is_file() else {}
    found = stamp()
    return sorted(name for name in recorded.keys() | found.keys() if recorded.get(name) != found.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, compile nothing")
    if parser.parse_args().check:
        changed = differing()
        if changed:
            print(f"changed since they were compiled: {', '.join(changed)}; run {Path(__file__).name}", file=sys.stderr)
        return 1 if changed else 0
    for folder, suffixes in FOLDERS.items():
        for source in programs(folder):
            compile_program(source, suffixes)
    STAMP.write_text(json.dumps(stamp(), indent=2) + "\n")
    print(f"{sum(len(programs(folder)) for folder in FOLDERS)} programs compiled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
