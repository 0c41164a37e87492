"""The eBPF cache that the bench compares with: what the overlay does to a first frame, the cache does to the next."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable, Iterator
from ctypes import byref, sizeof
from pathlib import Path

import pytest
from ezpath_bench.figures.guests import oncache
from ezpath_tor.libbpf import OpenOpts, lib
from packet.frames import ARP, IPV4, checksum, ethernet, ipv4, udp, vxlan
from packet.in_memory import REDIRECT, Result, run_program

pytestmark = pytest.mark.root

VNI, LO, UNSPEC = 5001, 1, 0xFFFFFFFF
HERE, THERE = "02:00:05:00:03:01", "02:00:05:00:03:02"
UPLINK, ROUTER = "02:00:00:00:01:01", "02:00:00:00:02:01"
VTEP, PEER = "192.168.255.1", "192.168.255.2"

Run = Callable[[str, bytes], Result]


def inner(octets: int, to: str = THERE, source: str = HERE) -> bytes:
    return ethernet(to, source, IPV4, ipv4("10.52.0.1", "10.52.0.2", udp(1, 2, bytes(octets))))


def wrapped(frame: bytes, vni: int = VNI) -> bytes:
    return ethernet(ROUTER, UPLINK, IPV4, ipv4(VTEP, PEER, udp(50000, 4789, vxlan(vni, frame))))


@pytest.fixture(scope="module")
def compiled(needs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    needs("clang", root=True)
    made = tmp_path_factory.mktemp("oncache") / "oncache.o"
    source = Path(oncache.__file__).with_suffix(".c")
    include = ("-idirafter", f"/usr/include/{platform.machine()}-linux-gnu")
    options = ("-O2", "-g", "-target", "bpf", f"-DUPLINK={LO}", f"-DVNI={VNI}", *include)
    subprocess.run(["clang", *options, "-c", str(source), "-o", str(made)], check=True)
    return made.read_bytes()


@pytest.fixture
def run(compiled: bytes) -> Iterator[Run]:
    """A frame through one of an empty cache's programs."""
    options = OpenOpts(sz=sizeof(OpenOpts), object_name=b"oncache")
    opened = lib().bpf_object__open_mem(compiled, len(compiled), byref(options))
    assert opened and not lib().bpf_object__load(opened)

    def through(program: str, frame: bytes) -> Result:
        found = lib().bpf_object__find_program_by_name(opened, program.encode())
        return run_program(lib().bpf_program__fd(found), frame, LO)

    yield through
    lib().bpf_object__close(opened)


def test_a_first_frame_is_the_overlays(run: Run) -> None:
    assert run("from_container", inner(50)) == Result(UNSPEC, inner(50))
    assert run("from_wire", wrapped(inner(50))) == Result(UNSPEC, wrapped(inner(50)))


def test_what_the_overlay_put_around_a_frame_is_put_around_the_next(run: Run) -> None:
    assert run("to_wire", wrapped(inner(50))).verdict == UNSPEC, "the overlay's own frame goes on"

    sent = run("from_container", inner(700))

    expected = wrapped(inner(700))
    assert sent.verdict == REDIRECT
    assert sent.data[:16] == expected[:16], "addresses of Ethernet, version"
    assert sent.data[16:18] == expected[16:18], "the length is this frame's"
    assert sent.data[26:34] == expected[26:34], "both ends of the tunnel"
    assert checksum(sent.data[14:34]) == 0
    assert sent.data[36:40] == expected[36:40], "UDP's port and length"
    assert sent.data[42:] == expected[42:], "VXLAN and all of the frame"


def test_what_comes_in_for_a_container_goes_to_it_without_its_header(run: Run) -> None:
    run("to_container", inner(50, to=HERE, source=THERE))
    frame = inner(700, to=HERE, source=THERE)

    assert run("from_wire", wrapped(frame)) == Result(REDIRECT, frame)


def test_another_destination_and_another_tenant_are_the_overlays(run: Run) -> None:
    run("to_wire", wrapped(inner(50)))
    run("to_wire", wrapped(inner(50, to=ROUTER), vni=7))
    run("to_container", inner(50, to=HERE, source=THERE))

    assert run("from_container", inner(50, to=ROUTER)).verdict == UNSPEC
    assert run("from_wire", wrapped(inner(50, to=HERE, source=THERE), vni=7)).verdict == UNSPEC


def test_a_frame_that_cannot_be_grown_is_the_overlays(run: Run) -> None:
    run("to_wire", wrapped(inner(50)))
    arp = ethernet(THERE, HERE, ARP, bytes(46))

    assert run("from_container", arp) == Result(UNSPEC, arp)
