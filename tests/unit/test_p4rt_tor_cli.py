"""What ``ezpath-tor`` checks before it touches anything, as far as that needs no root."""

from __future__ import annotations

import os

import pytest
from click.testing import CliRunner
from ezpath_tor.cli import main


def test_help_has_examples_and_exit_statuses() -> None:
    done = CliRunner().invoke(main, ["--help"])
    assert done.exit_code == 0
    assert "ezpath-tor --device-id 1 --listen unix:/run/tor1.sock --port 1=eth1 --port 2=eth2" in done.output
    assert "Exit status" in done.output


def test_without_root_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = CliRunner().invoke(main, ["--device-id", "1", "--listen", "unix:x.sock", "--port", "1=lo"])
    assert (done.exit_code, done.output) == (1, "Error: not root: loading eBPF needs it; run this with sudo\n")


def test_a_socket_path_the_kernel_cannot_take_is_refused() -> None:
    done = CliRunner().invoke(main, ["--device-id", "1", "--listen", "unix:/" + "x" * 107, "--port", "1=lo"])
    assert (done.exit_code, "a socket's path has 1 to 107 bytes" in done.output) == (2, True)
