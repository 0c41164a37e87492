"""What the Tab key offers, in the real bash, zsh and fish: each is told by `ezpath completion` and then asked."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from network import NETWORK

TYPED = {
    "ezpath tai": "ezpath tail",
    "ezpath tail --kind saga-o": "ezpath tail --kind saga-outcome",
    "ezpath tail --host h1": "ezpath tail --host h1",
    "ezpath why blue.blue-1.": "ezpath why blue.blue-1.blue-3",
}
"""What is typed before the Tab key, and what then stands there: of several names, what they have in common."""
HOSTS = ("h11", "h12")
PATIENCE_S = 90.0
"""Not a matter of time: a machine may have much else to do."""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "network.yaml").write_text(NETWORK)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EZPATH_")}
    return {
        **clean,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "EZPATH_INVENTORY": str(tmp_path / "network.yaml"),
        "HOME": str(tmp_path),
        "TERM": "dumb",
        "LANG": "C.UTF-8",
    }


class Typist:
    """Somebody at a shell in a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.seen = ""

    def type(self, keys: str) -> None:
        self.seen = ""
        os.write(self._descriptor, keys.encode())

    def until(self, text: str, times: int = 1) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.seen.count(text) < times:
            assert time.monotonic() < deadline, f"never {text!r}:\n{self.seen!r}"
            if select.select([self._descriptor], [], [], 0.2)[0]:
                self.seen += os.read(self._descriptor, 65536).decode(errors="replace")


@contextmanager
def at(environment: Mapping[str, str], *shell: str) -> Iterator[Typist]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
    process = subprocess.Popen(
        shell, stdin=theirs, stdout=theirs, stderr=theirs, env=dict(environment), start_new_session=True
    )
    os.close(theirs)
    try:
        yield Typist(ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


BASH = """
eval "$(ezpath completion bash)"
offer() {
    COMPREPLY=(); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _ezpath_completion ezpath
    echo "${COMPREPLY[@]}"
}
offer ezpath tai
offer ezpath tail --kind saga-o
offer ezpath tail --host h1
offer ezpath why blue.blue-1.
"""
FISH = "ezpath completion fish | source; " + "; ".join(f"complete -C {typed!r}; echo" for typed in TYPED)


def test_bash(environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH], env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert not done.stderr, done.stderr
    assert done.stdout.splitlines() == ["tail", "saga-outcome", " ".join(HOSTS), "blue.blue-1.blue-3"]


def test_fish(environment: dict[str, str], needs: Callable[..., None]) -> None:
    needs("fish")
    done = subprocess.run(
        ["fish", "--no-config", "-c", FISH], env=environment, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert not done.stderr, done.stderr
    offered = [block.splitlines() for block in done.stdout.split("\n\n")]
    # fish shows what a command is for, beside its name
    assert [[line.partition("\t")[0] for line in lines] for lines in offered[:4]] == [
        ["tail"],
        ["saga-outcome"],
        list(HOSTS),
        ["blue.blue-1.blue-3"],
    ]
    assert "tail\tFollow decisions" in done.stdout


def test_zsh(environment: dict[str, str], needs: Callable[..., None]) -> None:
    needs("zsh")
    with at({**environment, "PS1": "> "}, "zsh", "-f", "-i") as typist:
        typist.type("autoload -Uz compinit; compinit -u -D; eval \"$(ezpath completion zsh)\"; echo r''eady\n")
        typist.until("ready")
        for typed in ("ezpath tai", "ezpath tail --kind saga-o"):
            typist.type(typed + "\t")
            typist.until(TYPED[typed])
            typist.type("\x15echo wip''ed\n")  # the line, for the next one
            typist.until("wiped")
        # Where there are several, a second Tab lists them
        typist.type("ezpath tail --host h1\t\t")
        for host in HOSTS:
            typist.until(host)
