"""The likeliest mistakes of a newcomer, each made: one clear line with the remedy, the right exit status, no traceback.

Tried elsewhere: a second switch on an address or an interface that is taken (p4runtime/test_p4runtime_process.py), a
port for metrics that is taken (test_metrics.py), a port of a switch whose MTU is too small (test_tor_ports.py), an
uplink whose MTU is (test_cli_doctor.py), bridges and uplinks that are missing (test_host_writer_host.py), what a killed
lab left (tests/lab), certificates where trust is.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from contract.conftest import NatsServer, free_port, nats_binary
from decider_rig import Decider, World
from ezpath.answers import ASK_STATUS, ServiceStatus, to_document
from ezpath.bus import Bus
from ezpath.trust.keys import make_seed
from ezpath.trust.store import Store
from nats.aio.client import Client as Nats
from network import NETWORK
from tor_server import P4, ServerOnly
from trust_rig import Guarded, guarded, plan_of

from p4rt import Client

BIN = Path(sys.executable).parent
NOBODY = 65534


@pytest.fixture
def inventory(tmp_path: Path) -> str:
    (tmp_path / "network.yaml").write_text(NETWORK)
    return str(tmp_path / "network.yaml")


class Said:
    """How a program ended, and what it said of it."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text
        assert "Traceback" not in text, text

    def line_with(self, *words: str) -> str:
        """The one line that has all of them."""
        found = [line for line in self.text.splitlines() if all(word in line for word in words)]
        assert found, f"no line with {words}:\n{self.text}"
        return found[0]


async def run(*command: str, until: str = "", **variables: str) -> Said:
    """To its end; with ``until``, to the line that has that."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EZPATH_")}
    program = command[0] if command[0].startswith("/") else str(BIN / command[0])
    process = await asyncio.create_subprocess_exec(
        program, *command[1:], stdout=-1, stderr=asyncio.subprocess.STDOUT, env={**clean, **variables}
    )
    assert process.stdout is not None
    text = ""
    try:
        async with asyncio.timeout(40):
            async for line in process.stdout:
                text += line.decode()
                if until and until in line.decode():
                    process.send_signal(signal.SIGTERM)
                    break
            text += (await process.stdout.read()).decode()
            return Said(await process.wait(), text)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


# ---- NATS -----------------------------------------------------------------


async def test_nats_does_not_run(late_nats: NatsServer) -> None:
    said = await run("ezpath", "status", "--nats", late_nats.url)
    assert said.code == 3
    said.line_with(late_nats.url, "not reachable", "Start nats-server with JetStream (-js)")


async def test_a_nats_url_that_is_none(inventory: str) -> None:
    for command in (("ezpath", "tail"), ("ezpath-decider", "--inventory", inventory)):
        said = await run(*command, "--nats", "127.0.0.1:99999")
        assert said.code == 2
        said.line_with("--nats", "has no port from 1 to 65535: give nats://HOST:PORT")


@pytest_asyncio.fixture
async def without_jetstream(needs: object) -> AsyncIterator[str]:
    if (binary := nats_binary()) is None:
        needs("nats-server")  # type: ignore[operator]
    assert binary is not None
    port = free_port()
    process = await asyncio.create_subprocess_exec(binary, "-a", "127.0.0.1", "-p", str(port), stderr=-3)
    while True:
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                break
        await asyncio.sleep(0.05)
    yield f"nats://127.0.0.1:{port}"
    process.kill()
    await process.wait()


async def test_nats_runs_without_jetstream(without_jetstream: str, inventory: str) -> None:
    words = (without_jetstream, "it runs without JetStream", "Start nats-server with JetStream (-js)")
    said = await run("ezpath", "tail", "--nats", without_jetstream)
    assert said.code == 3
    said.line_with(*words)
    # a service waits, for somebody may start another one, and says so at once
    said = await run("ezpath-decider", "--nats", without_jetstream, "--inventory", inventory, until="waiting for nats")
    said.line_with(*words)
    said = await run("ezpath", "doctor", "--nats", without_jetstream)
    assert said.code == 1
    said.line_with("jetstream", "wrong", "start nats-server with -js")


async def test_a_clock_is_wrong(bus, nats_server: NatsServer) -> None:  # type: ignore[no-untyped-def]
    async def an_hour_behind(_: object) -> object:
        return to_document(ServiceStatus("decider", "m-1", "0.1.0", 1.0, time.time() - 3600, True))

    await bus.answer(ASK_STATUS, an_hour_behind)
    said = await run("ezpath", "doctor", "--nats", nats_server.url)
    assert said.code == 1
    said.line_with("clock", "wrong", "decider m-1's clock is 3600", "behind", "keep clocks with NTP")


async def test_a_subject_or_a_message_that_no_service_understands(decider: Decider, world: World) -> None:
    decider.start()
    await world.next_snapshot()
    client = Nats()
    await client.connect(world.nats)
    await client.publish("ezpath.decision.offload.red.red-1.red-3", b'{"pair": "red.red-1.red-3"}')
    await client.flush()
    await client.close()
    await world.until(lambda event: getattr(event, "type", "") == "dead-letter")
    said = await run("ezpath", "tail", "--nats", world.nats, "--no-follow", "--kind", "dead-letter")
    said.line_with("dead letter", "ezpath.decision.offload.red.red-1.red-3: version None, where this service knows 1")


@pytest.fixture
def guarded_nats(tmp_path: Path, needs: object) -> Iterator[Guarded]:
    if nats_binary() is None:
        needs("nats-server")  # type: ignore[operator]
    with guarded(tmp_path, plan_of()) as server:
        yield server


def exchanged(options: list[str], option: str, value: Path) -> list[str]:
    number = options.index(option)
    return [*options[: number + 1], str(value), *options[number + 2 :]]


async def test_a_key_that_nats_does_not_know(guarded_nats: Guarded, inventory: str, tmp_path: Path) -> None:
    (tmp_path / "other").write_text(make_seed())
    shown = exchanged(guarded_nats.shown("decider"), "--nats-credentials", tmp_path / "other")
    for command in (("ezpath", "offloads"), ("ezpath-decider", "--inventory", inventory)):
        said = await run(*command, "--nats", guarded_nats.url, *shown)
        assert said.code == 2
        said.line_with("refuses --nats-credentials", "other", "Give a key that the server's accounts.conf has")
        assert (tmp_path / "other").read_text() not in said.text
    said = await run("ezpath", "doctor", "--nats", guarded_nats.url, *shown)
    assert said.code == 1
    said.line_with("nats", "wrong", "uthorization")


async def test_a_key_that_is_none(guarded_nats: Guarded, inventory: str, tmp_path: Path) -> None:
    shown = exchanged(guarded_nats.shown("decider"), "--nats-credentials", tmp_path / "nothing")
    said = await run("ezpath-decider", "--inventory", inventory, "--nats", guarded_nats.url, *shown)
    assert said.code == 2
    said.line_with("--nats-credentials", "nothing cannot be read: No such file or directory", "ezpath trust init")


async def test_a_service_with_anothers_key(guarded_nats: Guarded, inventory: str) -> None:
    async with await Bus.connect(guarded_nats.access("decider"), "decider", wait_s=10):
        pass  # a decider has been there before
    for name in ("decider", "collector"):
        said = await run(
            f"ezpath-{name}",
            *("--inventory", inventory, "--nats", guarded_nats.url),
            *guarded_nats.shown("collector" if name == "decider" else "viewer"),
            until="not allowed",
        )
        said.line_with("permissions violation", "give this service the key of its own role")


async def test_an_expired_certificate(guarded_nats: Guarded, inventory: str) -> None:
    # Given a certificate of a service that was good until yesterday
    store, plan = guarded_nats.store, guarded_nats.plan
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=plan.days + 1)
    store.make(plan, long_ago, renew=True)
    # When it shows that, or is shown one
    for command in (("ezpath", "offloads"), ("ezpath-decider", "--inventory", inventory)):
        said = await run(*command, "--nats", guarded_nats.url, *guarded_nats.shown("decider"))
        # Then it says which file, since when, and what to do
        assert said.code == 2
        said.line_with("--nats-certificate", "cert.pem: expired on", "ezpath trust renew DIR")
    # And when the server shows one
    guarded_nats.stop()
    guarded_nats.start()
    for user in plan.users:
        shutil.rmtree(store.user(user))
    (store.directory / "nats" / "cert.pem").rename(store.directory / "nats" / "kept")
    (store.directory / "nats" / "key.pem").rename(store.directory / "nats" / "kept.key")
    store.make(plan, datetime.datetime.now(datetime.UTC))
    said = await run(
        "ezpath-decider", "--inventory", inventory, "--nats", guarded_nats.url, *guarded_nats.shown("decider")
    )
    assert said.code == 2
    said.line_with("shows a certificate that is not good", "expired", "ezpath trust renew DIR")


async def test_a_server_that_another_authority_signed(guarded_nats: Guarded, inventory: str, tmp_path: Path) -> None:
    other = Store(tmp_path / "others")
    other.make(guarded_nats.plan, datetime.datetime.now(datetime.UTC))
    shown = exchanged(guarded_nats.shown("decider"), "--nats-ca", tmp_path / "others" / "nats" / "ca.pem")
    said = await run("ezpath-decider", "--inventory", inventory, "--nats", guarded_nats.url, *shown)
    assert said.code == 2
    said.line_with("shows a certificate that is not good", "Give with --nats-ca who signed it")


async def test_nothing_is_shown_where_something_is_asked_for(guarded_nats: Guarded, inventory: str) -> None:
    said = await run("ezpath", "offloads", "--nats", guarded_nats.url)
    assert said.code == 3  # without TLS there is no word from it, and no telling what it is
    said.line_with(guarded_nats.url, "--nats-ca")


# ---- the machine ----------------------------------------------------------

TOR = ("ezpath-tor", "--device-id", "1", "--listen", "127.0.0.1:1", "--port", "1=lo")


async def test_not_root() -> None:
    # The files of a checkout may be root's: it is imported first, and runs as nobody.
    program = (
        f"import os, sys; from ezpath_tor.cli import main; os.setuid({NOBODY}); sys.argv[0] = 'ezpath-tor'; main()"
    )
    if os.geteuid() != 0:
        program = "from ezpath_tor.cli import main; main()"
    said = await run(sys.executable, "-c", program, *TOR[1:])
    assert said.code == 1
    said.line_with("not root", "run this with sudo")


@pytest.mark.root
async def test_no_clang(needs: object, tmp_path: Path) -> None:
    needs("ip", root=True)  # type: ignore[operator]
    said = await run(*TOR, PATH=str(tmp_path))
    assert said.code == 1
    said.line_with("clang is not on PATH", "apt install clang")
    said = await run("ezpath", "doctor", "--nats", "nats://127.0.0.1:1", PATH=str(tmp_path))
    assert said.code == 1
    said.line_with("clang", "wrong", "apt-get install clang libbpf-dev")
    said.line_with("nats", "wrong")


async def test_an_old_kernel(needs: object) -> None:
    needs("setarch")  # type: ignore[operator]
    said = await run("/usr/bin/env", "setarch", "--uname-2.6", str(BIN / "ezpath"), "doctor", "--nats", "127.0.0.1:1")
    assert said.code == 1
    said.line_with("kernel", "wrong", "is older than 5.13", "boot a kernel of 5.13 or newer")


@pytest.mark.root
async def test_no_such_interface(needs: object) -> None:
    needs("ip", "clang", root=True)  # type: ignore[operator]
    said = await run(*TOR[:-1], "1=nosuch")
    assert said.code == 1
    said.line_with("no network interface nosuch (port 1)", "it has", "lo")


# ---- files, names and options ---------------------------------------------


async def test_no_inventory(tmp_path: Path) -> None:
    said = await run("ezpath-collector", "--inventory", str(tmp_path / "nothing.yaml"))
    assert said.code == 2
    said.line_with("nothing.yaml", "cannot be read: No such file or directory", "Give the path of a readable file")


async def test_a_key_of_the_inventory_is_misspelt(tmp_path: Path) -> None:
    file = tmp_path / "network.yaml"
    file.write_text(NETWORK.replace("vtep: 10.255.0.1", "vtpe: 10.255.0.1"))
    said = await run("ezpath-decider", "--inventory", str(file))
    assert said.code == 2
    said.line_with(f"{file}:10: switches.tor1.vtpe: is not known here. Is vtep meant?")


async def test_settings_that_are_none(tmp_path: Path, inventory: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("inventroy: network.yaml\ndecider:\n  intervall: 1\n")
    said = await run("ezpath-decider", "--config", str(file))
    assert said.code == 2
    said.line_with(f"{file}:1: inventroy: is not known here. Is inventory meant?")
    said.line_with(f"{file}:3: decider.intervall: is not known here. Is interval meant?")
    said = await run("ezpath-decider", "--inventory", inventory, EZPATH_INTERVALL="2")
    assert said.code == 2
    said.line_with("EZPATH_INTERVALL in the environment is no setting. Is EZPATH_INTERVAL meant?")


async def test_a_policy_or_a_strategy_is_misspelt(tmp_path: Path, inventory: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("strategie: value\nflows: {denny: [red.*.*]}\n")
    said = await run("ezpath-decider", "--inventory", inventory, "--policy", str(file))
    assert said.code == 2
    said.line_with(f"{file}:1: strategie: is not known here. Is strategy meant?")
    said.line_with(f"{file}:2: flows.denny: is not known here. Is deny meant?")
    said = await run("ezpath-decider", "--inventory", inventory, "--strategy", "valeu")
    assert said.code == 2
    said.line_with("--strategy: no strategy is called 'valeu'. Give one of", "value")


async def test_a_capture_or_a_recording_is_something_else(inventory: str) -> None:
    said = await run("ezpath", "tail", "--input", inventory)
    assert said.code == 1
    said.line_with(f"{inventory}: nothing to show. Give a file of `ezpath record`")
    assert len(said.text.splitlines()) <= 8, "not a line for each of its lines"
    said = await run("ezpath", "sim", "--replay", inventory)
    assert said.code == 2
    said.line_with("not a recording of a decider. Give a file that ezpath-decider --record wrote")


async def test_a_password_in_the_url_of_nats_is_not_told(inventory: str) -> None:
    secret = "nats://ann:hunter2@127.0.0.1:1"
    said = [
        await run("ezpath", "status", "--nats", secret),
        await run("ezpath", "doctor", "--nats", secret),
        await run("ezpath", "tail", "--nats", secret.replace(":1", ":99999")),
        await run("ezpath-decider", "--nats", secret, "--inventory", inventory, until="waiting for nats"),
    ]
    for each in said:
        each.line_with("nats://***@127.0.0.1:")
        assert "hunter2" not in each.text and "ann" not in each.text.replace("cannot", "")


async def test_a_command_or_an_option_is_misspelt() -> None:
    said = await run("ezpath", "tial")
    assert said.code == 2
    said.line_with("There is no command tial. Is tail meant?")
    said = await run("ezpath", "tail", "--tennant", "red")
    assert said.code == 2
    said.line_with("--tennant", "--tenant")


async def test_a_switch_or_a_program_that_is_not_there(inventory: str, tmp_path: Path) -> None:
    said = await run("ezpath-collector", "--inventory", inventory, "--switch", "tor9")
    assert said.code == 2
    said.line_with("--switch tor9: not in the inventory. Known: tor1, tor2")
    said = await run("ezpath-switch-writer", "--inventory", inventory, "--p4-dir", str(tmp_path))
    assert said.code == 2
    said.line_with("tor1 is to run ezpath", "is not there", "`make p4` compiles it")


async def test_nobody_runs_who_would_answer(nats_server: NatsServer) -> None:
    said = await run("ezpath", "status", "--nats", nats_server.url, "--timeout", "0.5")
    assert said.code == 1
    said.line_with("ALARM", "decider: no answer. See that ezpath-decider runs")


async def test_a_switch_and_a_host_that_do_not_answer(nats_server: NatsServer, inventory: str) -> None:
    both = ("--nats", nats_server.url, "--inventory", inventory)
    said = await run("ezpath-host-writer", *both, "--host", "h11", until="unix:/run/h11/db.sock")
    said.line_with("h11", "unix:/run/h11/db.sock", "See that it runs, and that hosts.h11.ovsdb and run_dir")
    said = await run("ezpath-collector", *both, "--switch", "tor1", until="unix:/run/tor1.sock")
    said.line_with("tor1", "unix:/run/tor1.sock", "check that the switch runs and listens there")


async def test_a_pair_that_is_none(inventory: str) -> None:
    said = await run("ezpath", "offload", "red.red-1.blue-3", "--inventory", inventory)
    assert said.code == 2
    said.line_with("red.blue-3.red-1 is not in the inventory", "`ezpath flows`")


async def test_two_writers_on_one_switch(nats_server: NatsServer, tmp_path: Path) -> None:
    switch = ServerOnly(tmp_path)
    await switch.start()
    file = tmp_path / "network.yaml"
    file.write_text(NETWORK.replace("unix:/run/tor1.sock", switch.address))
    both = ("--nats", nats_server.url, "--inventory", str(file))
    async with Client(switch.address, switch.device_id) as other:
        await other.become_primary(2**120)
        options = ("--switch", "tor1", "--p4-dir", str(P4))
        said = await run("ezpath-switch-writer", *both, *options, until="another controller is primary")
    said.line_with("another controller is primary", "standing by", "`ezpath status` names it; if not, end it")
    await switch.stop()
