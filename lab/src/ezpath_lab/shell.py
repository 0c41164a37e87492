"""Running other programs: one function, and one error that says what was run and what it answered."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 30.0


class LabError(Exception):
    """The lab cannot go on. The message says what was asked of whom, what came back and what to do."""


def run(*argv: str, stdin: str | None = None, timeout_s: float = TIMEOUT_S) -> str:
    """Run ``argv`` to its end and return its standard output. Raises :class:`LabError`."""
    done = attempt(*argv, stdin=stdin, timeout_s=timeout_s)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip() or "nothing"
        raise LabError(f"{' '.join(argv)}: exit status {done.returncode}, said: {said}")
    return done.stdout


def attempt(*argv: str, stdin: str | None = None, timeout_s: float = TIMEOUT_S) -> subprocess.CompletedProcess[str]:
    """Run ``argv`` to its end, whatever its exit status. Raises :class:`LabError` where it cannot be run or hangs."""
    try:
        return subprocess.run(
            argv,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            start_new_session=True,  # Ctrl-C is the lab's to handle: it then stops its children in order
        )
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is not installed. `make lab` installs what the lab needs") from None
    except subprocess.TimeoutExpired:
        raise LabError(f"{' '.join(argv)}: no end within {timeout_s:.0f} s") from None


def require_tools(tools: Sequence[str]) -> None:
    """Raises :class:`LabError` that names all programs missing on PATH at once."""
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}. `make lab` installs what the lab needs")


def in_namespace(namespace: str, *argv: str) -> tuple[str, ...]:
    """``argv`` as a command line that runs it in ``namespace``."""
    return ("ip", "netns", "exec", namespace, *argv)


def program(name: str) -> str:
    """A program of this Python environment, else of PATH. Raises :class:`LabError`."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        raise LabError(f"{name} is not installed in this Python environment. `make lab` installs it")
    return found
