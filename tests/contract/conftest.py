"""Real things for tests that ask for them: a nats-server of their own, a namespace for an `ezpath-tor`."""

from __future__ import annotations

import asyncio
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from collector_rig import Samples
from decider_rig import Decider, World
from ezpath.bus import Bus
from ezpath.events import HostCommand, SwitchCommand
from tor_process import Namespace, switch_namespace


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def nats_binary() -> str | None:
    beside = Path(sys.executable).parent / "nats-server"
    return str(beside) if beside.exists() else shutil.which("nats-server")


def until_listening(port: int, log: Path) -> None:
    """Returns when a nats-server accepts connections there."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nats-server did not start: {log.read_text()[-2000:]}")


class NatsServer:
    """One nats-server that a test may start, stop, freeze, and start again empty."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        self.max_payload_mib = 1
        """As a nats-server that nobody configured."""
        self.settings = ""
        """More of its configuration."""
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it accepts connections."""
        binary = nats_binary()
        assert binary is not None
        command = [binary, "-js", "-a", "127.0.0.1", "-p", str(self.port), "-sd", str(self._directory / "store")]
        settings = self.settings + (f"max_payload: {self.max_payload_mib << 20}\n" if self.max_payload_mib > 1 else "")
        if settings:
            (self._directory / "nats.conf").write_text(settings)
            command += ["-c", str(self._directory / "nats.conf")]
        log = (self._directory / "nats.log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        log.close()
        until_listening(self.port, self._directory / "nats.log")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def wipe(self) -> None:
        """As if the disk had been replaced. Only while stopped."""
        shutil.rmtree(self._directory / "store", ignore_errors=True)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def late_nats(tmp_path: Path, needs: object) -> Iterator[NatsServer]:
    """A nats-server that is not started yet."""
    if nats_binary() is None:
        needs("nats-server")  # type: ignore[operator]
    server = NatsServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def nats_server(late_nats: NatsServer) -> NatsServer:
    """A running nats-server with JetStream."""
    late_nats.start()
    return late_nats


@pytest_asyncio.fixture
async def bus(nats_server: NatsServer) -> AsyncIterator[Bus]:
    async with await Bus.connect(nats_server.url, "test", wait_s=10) as bus:
        yield bus


@pytest.fixture
def namespace(needs: Callable[..., None]) -> Iterator[Namespace]:
    """Where `ezpath-tor` runs as a process: ports p1 and p2, whose far ends are q1 and q2."""
    needs("ip", "tc", "clang", root=True)
    with switch_namespace() as namespace:
        yield namespace


@pytest.fixture
def sock(tmp_path: Path) -> Path:
    """Where it listens."""
    return tmp_path / "tor.sock"


@pytest_asyncio.fixture
async def samples(bus: Bus) -> Samples:
    """What collectors publish from now on."""
    samples = Samples()
    await bus.subscribe_samples(samples.keep)
    return samples


@pytest.fixture
def decider(nats_server: NatsServer, tmp_path: Path) -> Iterator[Decider]:
    decider = Decider(nats_server.url, tmp_path)
    yield decider
    decider.stop(signal.SIGKILL)


@pytest_asyncio.fixture
async def world(bus: Bus, nats_server: NatsServer) -> AsyncIterator[World]:
    world = World(bus, nats_server.url)
    await bus.subscribe_flows(world.on_flows)
    kinds: tuple[type[SwitchCommand | HostCommand], ...] = (SwitchCommand, HostCommand)
    tasks = [
        asyncio.create_task(world.sample_for_ever()),
        asyncio.create_task(bus.consume("test-writers", "ezpath.command.>", kinds, world.on_command)),
        asyncio.create_task(world.listen()),
    ]
    yield world
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
