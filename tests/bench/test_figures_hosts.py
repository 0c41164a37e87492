"""Hosts that are no guests: cells with networks and processes of their own, here or behind SSH."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from ezpath_bench.figures.cells.cell import Cell
from ezpath_bench.figures.cells.machines import machines_of
from ezpath_bench.figures.cells.site import why_not
from ezpath_lab.shell import LabError, run

pytestmark = pytest.mark.root

MACHINE = f"ezbench-machine-{os.getpid()}"
CARD = "uplink0"


@pytest.fixture(scope="module")
def machine() -> Iterator[str]:
    """A machine's network, with one card: nothing else of it has to be its own."""
    run("ip", "netns", "add", MACHINE)
    try:
        run("ip", "-n", MACHINE, "link", "add", CARD, "type", "veth", "peer", "name", "far0")
        yield MACHINE
    finally:
        run("ip", "netns", "del", MACHINE)


@pytest.fixture(scope="module")
def ssh(machine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[str]]:
    """Words that run what follows them there over SSH, through a real server."""
    folder = tmp_path_factory.mktemp("ssh")
    run("dropbearkey", "-t", "ed25519", "-f", str(folder / "host"))
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "id"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = folder / "server.sh"
    # With a home of its own: the user's is none of a test's business.
    script.write_text(f"""
mount -t tmpfs -o mode=700 tmpfs "$HOME" && mkdir -m 700 "$HOME/.ssh" && cat >"$HOME/.ssh/authorized_keys" <<END
{(folder / "id.pub").read_text()}END
exec dropbear -F -E -s -r {folder}/host -p 127.0.0.1:{port} -c 'ip netns exec {machine} sh -c "$SSH_ORIGINAL_COMMAND"'
""")
    config = folder / "config"
    config.write_text(f"""
Host machine
    HostName 127.0.0.1
    Port {port}
    User root
    IdentityFile {folder}/id
    IdentitiesOnly yes
    StrictHostKeyChecking no
    UserKnownHostsFile /dev/null
    LogLevel ERROR
""")
    text = f"ssh_config: {config}\nmachines:\n" + "  - {ssh: machine, uplink: uplink0, plain: plain0}\n" * 2
    machines = machines_of(text, "machines.yaml")
    words = ("ssh", *machines.options(str(folder)), machines.machines[0].ssh)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ("unshare", "--mount", "--propagation", "private", "sh", str(script)), stdout=log, stderr=log
        )
    try:
        wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "the SSH server listens")
        yield words
        subprocess.run([*words[:-1], "-O", "exit", words[-1]], capture_output=True, check=False)
    finally:
        server.terminate()
        server.wait(10)


def wait_for(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, f"not within 20 s: {what}"
        time.sleep(0.05)


@pytest.fixture(params=["here", "behind SSH"])
def cell(request: pytest.FixtureRequest, needs: Callable[..., None], machine: str) -> Iterator[Cell]:
    needs("ip", "nsenter", "ssh", "ssh-keygen", "dropbear", "dropbearkey", root=True)
    if request.param == "here":
        made = Cell("host1", {CARD: "vec0"}, machine)
    else:
        made = Cell("host1", {CARD: "vec0"}, reach=request.getfixturevalue("ssh"))
    with made:
        yield made


def cards(where: str) -> dict[str, str]:
    """Name to address."""
    return {link["ifname"]: link["address"] for link in json.loads(run("ip", "-n", where, "-json", "link"))}


def test_a_host_has_a_network_of_its_own_and_the_cards_that_were_lent_to_it(cell: Cell, machine: str) -> None:
    inside = {link["ifname"] for link in json.loads(cell.run("ip -json link"))}

    assert {"lo", "vec0"} <= inside
    assert CARD not in cards(machine)


def test_what_is_lent_goes_back_and_every_process_ends(cell: Cell, machine: str) -> None:
    address = json.loads(cell.run("ip -json link show vec0"))[0]["address"]
    cell.run("ip link set vec0 address 02:00:00:00:00:07; setsid sleep 321 >/dev/null 2>&1 &")
    [pid] = [int(word) for word in run("pgrep", "-f", "^sleep 321$").split()]

    cell.__exit__()

    assert cards(machine)[CARD] == address
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "a daemon ends with its host")
    cell.__enter__()  # for the fixture to leave


def test_a_script_that_fails_says_what_it_said_and_where(cell: Cell) -> None:
    with pytest.raises(LabError, match=r"host host1: exit status 3, said: 'no such bridge'"):
        cell.run("echo no such bridge; exit 3")
    with pytest.raises(LabError, match=r"no end within 0 s of: sleep 60"):
        cell.run("sleep 60", timeout_s=0.2)


def test_files_are_shared_and_scripts_run_side_by_side(cell: Cell, tmp_path: Path) -> None:
    file = tmp_path / "numbers.bin"
    file.write_bytes(bytes(range(256)))

    there = cell.share(file, "numbers.bin")
    waiting = cell.start("until [ -e /run/ezpath-bench/go ]; do sleep 0.05; done; echo gone")

    assert cell.run(f"od -An -tu1 {there}").split() == [str(number) for number in range(256)]
    cell.run("touch /run/ezpath-bench/go")
    assert waiting.result() == "gone\n"


def test_cpu_is_told_by_class(cell: Cell) -> None:
    before = cell.cpu_seconds()
    cell.run("timeout 0.4 sh -c 'while :; do :; done' || true")
    used = cell.cpu_seconds().since(before)

    assert used.programs > 0.1
    assert used.all == pytest.approx(used.programs + used.system + used.softirq)


def test_a_machine_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host machine\n    ProxyCommand false\n")

    with pytest.raises(LabError, match="host host2 is not to be had"), ExitStack() as stack:
        stack.enter_context(Cell("host2", {}, reach=("ssh", "-F", str(config), "-o", "BatchMode=yes", "machine")))


def test_a_card_that_is_not_there_is_named_and_what_was_lent_before_goes_back(machine: str) -> None:
    with pytest.raises(LabError, match="nosuch0"), ExitStack() as stack:
        stack.enter_context(Cell("host3", {CARD: "vec0", "nosuch0": "vec2"}, machine))

    assert CARD in cards(machine)


def test_namespaces_without_the_kernels_open_vswitch_are_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "openvswitch").mkdir()

    assert why_not(tmp_path) == ""
    if not Path("/sys/module/openvswitch").exists():
        assert "no openvswitch module" in why_not()
        assert "--hosts guests" in why_not()
