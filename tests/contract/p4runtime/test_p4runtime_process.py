"""``ezpath-tor`` as an operator meets it: a process in a network namespace, the real data plane, real packets."""

from __future__ import annotations

import asyncio
import datetime
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ezpath.trust.store import CA, CERT, KEY, Store
from p4rt.arbitration import uint128
from tor_process import CONFIG, DST, FRAME, INFO, SRC, TOR, Namespace, ended, load, options, there, wait_until
from trust_rig import plan_of

from p4rt import Client, P4RuntimeError, TableEntry, Update, messages

pytestmark = pytest.mark.root


async def test_entries_forward_packets_and_registers_and_counters_tell_of_them(
    namespace: Namespace, sock: Path
) -> None:
    # Given a switch with a tenant's tag on port 1 and its other endpoint on port 2
    namespace.tor(*options(sock))
    async with await load(f"unix:{sock}") as client:
        entries = [
            TableEntry("tenant_tag", {"ingress_port": 1, "vid": 100}, "set_tenant", {"vni": 5001}),
            TableEntry("endpoint", {"vni": 5001, "mac": int(DST, 16)}, "to_port", {"port": 2, "vid": 200}),
        ]
        assert await client.write([Update.insert(entry) for entry in entries]) == []
        before = (await client.read_counter("drops"))[:, 0].sum()
        # When it sends 7 frames with that tag, and 5 with another
        namespace.send("q1", FRAME, 7)
        namespace.send("q1", FRAME.replace("81000064", "81000065"), 5)
        # Then port 2 has sent 7, the monitor has one cell with the flow's key, and 5 drops are counted
        assert namespace.sent("p2") == 7
        stages = [await client.read_register(name) for name in ("stage1", "stage2", "stage3", "stage4")]
        cells = [cell.tobytes() for cells in stages for cell in cells[cells[:, 0] == 1]]
        assert [(cell[:16].hex(), int.from_bytes(cell[24:29], "big")) for cell in cells] == [
            ("01" + f"{5001:06x}" + SRC + DST, 7)
        ]
        assert (await client.read_counter("drops"))[:, 0].sum() - before == 5
        # And what stands in the tables is what was written
        assert set(await client.read_table()) == set(entries)


async def test_a_real_table_s_limit_is_answered_update_by_update(namespace: Namespace, sock: Path) -> None:
    namespace.tor(*options(sock), "--limit", "endpoint=3")
    async with await load(f"unix:{sock}") as client:
        updates = [
            Update.insert(TableEntry("endpoint", {"vni": 1, "mac": mac}, "to_port", {"port": 1, "vid": 2}))
            for mac in range(5)
        ]
        failures = await client.write(updates)
        assert [(each.index, each.code.name) for each in failures] == [
            (3, "RESOURCE_EXHAUSTED"),
            (4, "RESOURCE_EXHAUSTED"),
        ]
        assert len(await client.read_table("endpoint")) == 3


async def test_registers_and_counters_are_written_through(namespace: Namespace, sock: Path) -> None:
    namespace.tor(*options(sock))
    async with await load(f"unix:{sock}") as client:
        request = messages.WriteRequest(device_id=1, election_id=uint128(1))
        for _ in range(2):
            request.updates.add(type=messages.Update.MODIFY)
        cell = request.updates[0].entity.register_entry
        cell.register_id, cell.data.bitstring = INFO.registers["stage2"].id, b"\xab\xcd"
        cell.index.index = 16383
        count = request.updates[1].entity.counter_entry
        count.counter_id, count.index.index = INFO.counters["drops"].id, 15
        count.data.packet_count, count.data.byte_count = 3, 2**40
        await client._rpc().write(request)
        cells = await client.read_register("stage2")
        assert cells[16383].tobytes() == bytes(30) + b"\xab\xcd"
        assert not cells[:16383].any()
        assert (await client.read_counter("drops"))[15].tolist() == [3, 2**40]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_it_and_with_empty_leaves_nothing_behind(
    namespace: Namespace, sock: Path, number: signal.Signals
) -> None:
    process = namespace.tor(*options(sock), "--empty")
    client = await load(f"unix:{sock}")
    assert "bpf" in namespace.filters("p1")
    process.send_signal(number)
    status, log = ended(process)
    assert status == 0, log
    assert [json.loads(line)["event"] for line in log.splitlines()][-2:] == ["stopping", "stopped"]
    assert namespace.filters("p1") == namespace.filters("p2") == ""
    assert not there(sock)
    assert "broke" in await client.wait_demoted() or "closed" in await client.wait_demoted()
    await client.close()


def test_a_second_switch_on_the_same_socket_is_refused(namespace: Namespace, sock: Path) -> None:
    namespace.tor("--listen", f"unix:{sock}", "--port", "1=p1")
    status, errors = ended(namespace.start("--listen", f"unix:{sock}", "--port", "1=p2"))
    assert (status, "is in use: another switch listens there" in errors) == (1, True), errors
    assert sock.exists()


def test_a_second_switch_on_the_same_address_is_refused(namespace: Namespace, sock: Path) -> None:
    namespace.run("ip", "link", "set", "lo", "up")
    namespace.tor("--listen", "127.0.0.1:9559", "--port", "1=p1")
    status, errors = ended(namespace.start("--listen", "127.0.0.1:9559", "--port", "1=p2"))
    assert (status, "cannot listen on 127.0.0.1:9559: it is in use" in errors) == (1, True), errors


def test_a_second_switch_on_the_same_interface_is_refused(namespace: Namespace, sock: Path) -> None:
    namespace.tor(*options(sock))
    status, errors = ended(namespace.start("--listen", f"unix:{sock}2", "--port", "1=p2"))
    assert (status, "interface p2 is a port of another ezpath-tor" in errors) == (1, True), errors
    assert not Path(f"{sock}2").exists()


def test_a_file_that_is_no_socket_is_left_alone(namespace: Namespace, sock: Path) -> None:
    sock.write_text("precious")
    status, errors = ended(namespace.start(*options(sock)))
    assert (status, "is there and is no socket" in errors) == (1, True), errors
    assert sock.read_text() == "precious"


ASK = """
import asyncio, sys
from pathlib import Path
from ezpath.tls import TlsFiles
from p4rt import Client
async def ask():
    async with Client(sys.argv[1], 1, tls=TlsFiles("--p4runtime", *map(Path, sys.argv[2:]))) as client:
        print("version", await client.capabilities())
asyncio.run(ask())
"""


async def test_with_certificates_it_speaks_tls_over_tcp_and_asks_controllers_for_theirs(
    namespace: Namespace, sock: Path, tmp_path: Path
) -> None:
    # Given what `ezpath trust init` makes
    trust = Store(tmp_path / "trust")
    trust.make(plan_of(), datetime.datetime.now(datetime.UTC))
    mine, theirs = trust.directory / "switches" / "tor1", trust.directory / "users" / "switch-writer"
    shown = [f"--tls-{option}={mine / file}" for option, file in (("ca", CA), ("certificate", CERT), ("key", KEY))]
    namespace.run("ip", "link", "set", "lo", "up")
    namespace.tor("--listen", "127.0.0.1:9559", *options(sock), *shown)
    assert namespace.said[-1]["tls"] is True

    def ask(*files: str) -> subprocess.CompletedProcess[str]:
        command = ["ip", "netns", "exec", namespace.name, sys.executable, "-c", ASK, "127.0.0.1:9559"]
        command += [str(theirs / file) for file in files]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    # Then who has a certificate is let in over TCP, and who has none is not, nor who does not even speak TLS
    assert ask(CA, CERT, KEY).stdout == "version 1.3.0\n"
    assert "it asks for a certificate, and we show none" in ask(CA).stderr
    assert "it speaks TLS, and we do not" in ask().stderr
    # And the unix socket is as it was, for whoever may open it
    async with Client(f"unix:{sock}", 1) as client:
        assert await client.capabilities() == "1.3.0"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--listen", "{sock}", "--port", "1=nope"], 1, "no network interface nope (port 1)"),
        (["--listen", "unix:/no/such/dir/x.sock", "--port", "1=p1"], 1, "there is no directory /no/such/dir"),
        (["--listen", "tor1", "--port", "1=p1"], 2, "is neither unix:PATH nor HOST:PORT"),
        (["--listen", "127.0.0.1:99999", "--port", "1=p1"], 2, "is neither unix:PATH nor HOST:PORT"),
        (["--listen", "{sock}", "--port", "p1"], 2, "'p1' is not NUMBER=INTERFACE, as in 1=eth1"),
        (["--listen", "{sock}", "--port", "x=p1"], 2, "is not NUMBER=INTERFACE"),
        (["--listen", "{sock}", "--port", "511=p1"], 2, "a port number is at most 510"),
        (["--listen", "{sock}", "--port", "1=p1", "--port", "1=p2"], 2, "port 1 is given twice: p1 and p2"),
        (["--listen", "{sock}", "--port", "1=p1", "--port", "2=p1"], 2, "interface p1 is given for two ports"),
        (["--listen", "{sock}", "--port", "1=p1", "--limit", "endpoint"], 2, "is not TABLE=ENTRIES"),
        (["--listen", "{sock}", "--port", "1=p1", "--device-id", "0"], 2, "--device-id"),
        (["--listen", "{sock}"], 2, "Missing option '--port'"),
        (["--listen", "{sock}", "--port", "1=p1", "--tls-ca", "ca.pem"], 2, "give all three"),
        (
            ["--listen", "{sock}", "--port", "1=p1", "--tls-ca=x.pem", "--tls-certificate=x.pem", "--tls-key=x.pem"],
            1,
            "x.pem is no certificate to check others by, PEM: No such file or directory",
        ),
    ],
)
def test_what_cannot_work_is_said_and_the_status_tells_who_is_at_fault(
    namespace: Namespace, sock: Path, arguments: list[str], status: int, message: str
) -> None:
    found, errors = ended(namespace.start(*[each.replace("{sock}", f"unix:{sock}") for each in arguments]))
    assert (found, message in " ".join(errors.split())) == (status, True), errors
    assert not sock.exists()


def test_without_clang_or_root_it_says_what_to_do(namespace: Namespace, sock: Path) -> None:
    bare = {"PATH": "/nonexistent"}
    command = [str(TOR), "--device-id", "1", "--listen", f"unix:{sock}", "--port", "1=lo"]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert (done.returncode, "clang is not on PATH: install it" in done.stderr) == (1, True), done.stderr


async def test_with_die_with_parent_it_goes_when_its_starter_does(namespace: Namespace, sock: Path) -> None:
    # Given a switch started by a process that is then killed
    arguments = [str(TOR), "--device-id", "1", *options(sock), "--die-with-parent", "--empty"]
    code = f"import subprocess; subprocess.Popen({arguments!r}).wait()"
    parent = namespace.start_command(sys.executable, "-c", code)
    client = await _connected(sock)
    await client.become_primary(1)
    await client.set_pipeline(INFO, CONFIG, cookie=1)
    parent.kill()
    # Then it takes its socket away and its program off the ports
    wait_until(lambda: not sock.exists() and namespace.filters("p1") == "")
    await client.close()


async def _connected(sock: Path) -> Client:
    """A client of a switch that is still starting."""
    client = Client(f"unix:{sock}", 1)
    async with asyncio.timeout(20):
        while True:
            try:
                await client.connect()
            except P4RuntimeError:
                await asyncio.sleep(0.1)
            else:
                return client
