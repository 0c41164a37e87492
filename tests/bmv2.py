"""BMv2, the reference switch: where it is, and a process of it without ports for tests of those who talk to it."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

BINARY = "simple_switch_grpc"


def need_bmv2() -> None:
    """Skip the test where BMv2 is missing. That may be, in CI too: it is in no package of Debian's or Python's."""
    if shutil.which(BINARY) is None:
        pytest.skip(f"{BINARY} is not on PATH: it is to be built from github.com/p4lang/behavioral-model")


class PortlessBmv2:
    """The process. No root is needed, and no packet comes or goes."""

    device_id = 1

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "bmv2.sock"
        self.address = f"unix:{self._socket}"
        self._log = directory / "bmv2.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it listens."""
        self._launch()
        deadline = time.monotonic() + 15
        while not self._listens():
            assert time.monotonic() < deadline, f"{BINARY} does not listen: {self._log.read_text()}"
            await asyncio.sleep(0.02)

    def _launch(self) -> None:
        self._socket.unlink(missing_ok=True)
        command = [BINARY, "--no-p4", "--device-id", str(self.device_id), "--thrift-port", str(_free_port())]
        command += ["--", "--grpc-server-addr", self.address]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def _listens(self) -> bool:
        assert self._process is not None and self._process.poll() is None, self._log.read_text()
        return self._socket.exists()

    async def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            await asyncio.to_thread(self._process.wait, 15)
            self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
