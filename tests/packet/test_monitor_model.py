"""The benchmark's model of the flow monitor is the compiled P4 program's twin, and so is the build for BMv2.

Thousands of packets of few flows that share their candidate cells, over cells in every state: afterwards all cells
have to be the same, strengths and epochs included.
"""

from __future__ import annotations

import socket
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from ezpath_bench import monitor_models as models
from packet.frames import ARP, IPV4, arp, ethernet, ipv4, tagged, udp, vxlan
from packet.in_memory import REDIRECT, Result, run_program
from packet.monitor_cells import (
    EPOCH_US,
    OUTER,
    PER_STAGE,
    Cell,
    Key,
    clear_of_an_epochs_end,
    epoch_now,
    key_at,
    overlay,
    read,
    read_all,
    start_of_an_epoch,
    wait_for_the_next_epoch,
    write,
)
from packet.rack import (
    C1,
    C2,
    C3,
    CONFIG,
    DROPS,
    FABRIC,
    HOST1,
    HOST1_MAC,
    PEER_VTEP,
    PORTS,
    RED,
    RED_VID,
    ROUTER,
    SPINE_MAC,
    STAGES,
    VTEP,
    Rack,
)
from packet.wire import Wires, inside

pytestmark = pytest.mark.root

NARROW = CONFIG.with_name("ezpath.bmv2.json")
UNMONITORED = "EzIngress.monitor.unmonitored"
BURSTS, BURST = 4, 900
"""Bursts of packets, each in an epoch of its own."""


@dataclass
class Lab:
    """One build of the program with nothing in its monitor; frames go through it without a wire."""

    rack: Rack
    interfaces: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rack.start()
        with inside(self.rack.wires.switch):
            self.interfaces = {port: socket.if_nametoindex(name) for port, name in PORTS.items()}

    def run(self, frame: bytes, port: int = HOST1) -> Result:
        with inside(self.rack.wires.switch):
            return run_program(self.rack.plane.program_fd, frame, self.interfaces[port])


@pytest.fixture
def lab(needs: Callable[..., None]) -> Iterator[Callable[..., Lab]]:
    """Makes labs; all are gone afterwards."""
    needs("ip", "clang", "sysctl", root=True)
    wires: list[Wires] = []
    racks: list[Rack] = []

    def make(config: str = "ezpath.json") -> Lab:
        wires.append(Wires(PORTS, f"model{len(wires)}").__enter__())
        racks.append(Rack(wires[-1], CONFIG.with_name(config)))
        return Lab(racks[-1])

    yield make
    for rack in racks:
        rack.stop()
    for each in wires:
        each.__exit__()


def colliding_keys(random: np.random.Generator) -> list[Key]:
    """Flows that meet each other in one stage or another, some in all, and a few that meet nobody."""
    steps, salts = (0, 1, PER_STAGE - 1), (0, 3, 9, 12)
    close = [key_at(first, step, salt=salt) for first in (0, 1, 2) for step in steps for salt in salts]
    other_tenant = [key_at(first, 3, salt=salt, vni=8000) for first in (0, 1, 2) for salt in (0, 5)]
    far = [Key(*map(int, random.integers(1, 1 << 24, 3))) for _ in range(6)]
    return [*close, *other_tenant, *far]


def full_cell(key: Key) -> Cell:
    """As strong as can be nearly, counters about to wrap."""
    return Cell(key, (1 << 48) - 700, epoch_now(), (1 << 40) - 7, 0xFFFFF0)


def any_cell(random: np.random.Generator, number: int) -> Cell:
    """Of a flow that sends nothing: strong or weak, new, old, very old, or ahead of the clock."""
    strength = int(random.choice([0, 1, 60, 1500, 6000, 1 << 16, 0xFFFFFF]))
    age = int(random.choice([0, 0, 0, 1, 2, 5, 23, 24, 25, 300, 0x7FFF, 0x8000, 0xFFFF - 1000]))
    return Cell(Key(1, 2, number), 5_000_000, epoch_now(), 4000, strength).aged(age)


class Twin:
    """The model, its cells and flow numbers beside the switch's."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = list(keys)
        self.cells = np.zeros((models.STAGES, PER_STAGE, 5), np.int64)
        self.lost = np.zeros(2, np.int64)

    def put(self, stage: int, index: int, cell: Cell) -> None:
        assert cell.key is not None
        if cell.key not in self.keys:
            self.keys.append(cell.key)
        number = self.keys.index(cell.key) + 1
        self.cells[stage, index] = number, cell.octets, cell.packets, cell.epoch, cell.strength

    def send(self, flows: Sequence[int], octets: Sequence[int], epochs: Sequence[int]) -> None:
        crcs = np.array([zlib.crc32(key.packed) for key in self.keys], np.int64)
        times_us = np.array(epochs, np.int64) * EPOCH_US
        packets = (np.array(each, np.int64) for each in (flows, octets))
        self.lost += models.ezpath(self.cells, crcs, *packets, times_us)

    def expected(self) -> npt.NDArray[np.uint8]:
        """The cells as a switch has them."""
        out = np.zeros((models.STAGES, PER_STAGE, 32), np.uint8)
        for stage, index in zip(*np.nonzero(self.cells[:, :, models.KEY]), strict=True):
            number, octets, packets, epoch, strength = map(int, self.cells[stage, index])
            value = Cell(self.keys[number - 1], octets, epoch, packets, strength).value
            out[stage, index] = np.frombuffer(value.to_bytes(32, "big"), np.uint8)
        return out


def send_in_an_epoch(lab: Lab, key: Key, octets: int) -> int:
    """One packet of ``key``. The epoch in which the switch saw it."""
    before = epoch_now()
    assert lab.run(overlay(key, octets)).verdict == REDIRECT
    after = epoch_now()
    if before == after:
        return after
    # A new one began somewhere in between: the cell that the packet touched tells.
    touched = [read(lab.rack.plane, stage, index).epoch for stage, index in enumerate(key.places)]
    return after if after in touched else before


def assert_same(found: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8]) -> None:
    different = np.argwhere((found != expected).any(axis=2))
    lines = [
        f"stage {stage + 1}, cell {index}: {Cell.parse(found[stage, index].tobytes())}, "
        f"expected {Cell.parse(expected[stage, index].tobytes())}"
        for stage, index in different[:5]
    ]
    assert not lines, "\n".join(lines)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_model_and_the_program_hold_the_same_cells(lab: Callable[..., Lab], seed: int) -> None:
    # given candidates in every state, the same for both
    random = np.random.default_rng(seed)
    switch, keys = lab(), colliding_keys(random)
    twin = Twin(keys)
    places = sorted({(stage, index) for key in keys for stage, index in enumerate(key.places)})
    start_of_an_epoch()
    there_already = {(stage, key.places[stage]): key for stage, key in zip((0, 1, 2, 3) * 2, keys[::5], strict=False)}
    for number, (stage, index) in enumerate(places):
        if (stage, index) in there_already or random.random() < 0.7:
            key = there_already.get((stage, index))
            cell = full_cell(key) if key else any_cell(random, number)
            write(switch.rack.plane, stage, index, cell)
            twin.put(stage, index, cell)
    # when some flows send a lot, some little, and epochs pass
    share = random.permutation(1 / np.arange(1, len(keys) + 1) ** 1.2)
    for burst in range(BURSTS):
        if burst:
            wait_for_the_next_epoch()
        flows = random.choice(len(keys), BURST, p=share / share.sum()).tolist()
        octets = random.choice([60, 61, 300, 1400, 3000], BURST).tolist()
        epochs = [send_in_an_epoch(switch, keys[flow], size) for flow, size in zip(flows, octets, strict=True)]
        twin.send(flows, octets, epochs)
    # then all cells are the same, and so is what was not monitored
    assert_same(read_all(switch.rack.plane), twin.expected())
    packets, lost = map(int, twin.lost)
    assert packets > 100
    assert switch.rack.plane.read_counter(UNMONITORED).tolist() == [[packets, lost + packets * OUTER]]
    # and no flow is in two
    held = twin.cells[:, :, models.KEY]
    numbers, counts = np.unique(held[held > 0], return_counts=True)
    assert len(numbers) > 20 and counts.max() == 1


def narrow_cells(rack: Rack) -> npt.NDArray[np.uint8]:
    """As :func:`read_all` for the build for BMv2, where a cell is six registers."""
    return np.stack([np.hstack([rack.plane.read_register(f"{stage}_{part}") for part in "abcdef"]) for stage in STAGES])


def ordinary_frames() -> list[tuple[int, bytes]]:
    """Frames with the port that each comes in by: into the tunnel, out of it, across the rack, routed, dropped."""
    packet = ipv4("10.0.0.1", "10.0.0.3", udp(1, 2, bytes(100)))
    inside_out = ethernet(C1, C3, IPV4, packet)
    asked = arp(1, HOST1_MAC, "0.0.0.0", "00:00:00:00:00:00", "10.1.1.0")
    return [
        (HOST1, tagged(ethernet(C3, C1, IPV4, packet), RED_VID)),
        (HOST1, tagged(ethernet(C2, C1, IPV4, packet), RED_VID)),
        (HOST1, tagged(ethernet(C3, C1, IPV4, packet), 4000)),
        (FABRIC, ethernet(ROUTER, SPINE_MAC, IPV4, ipv4(PEER_VTEP, VTEP, udp(5, 4789, vxlan(RED, inside_out))))),
        (FABRIC, ethernet(ROUTER, SPINE_MAC, IPV4, ipv4("10.9.9.9", VTEP, udp(5, 4789, vxlan(RED, inside_out))))),
        (HOST1, ethernet(ROUTER, HOST1_MAC, IPV4, ipv4("10.1.1.1", "10.1.2.1", b"routed", options=b"\x94\x04\0\0"))),
        (HOST1, ethernet("ff:ff:ff:ff:ff:ff", HOST1_MAC, ARP, asked)),
    ]


def test_both_builds_hold_the_same_cells_and_send_the_same_frames(lab: Callable[..., Lab]) -> None:
    # given both builds, and packets of flows that fight for cells, with ordinary ones between
    random = np.random.default_rng(3)
    wide, narrow = lab(), lab(NARROW.name)
    keys, ordinary = colliding_keys(random), ordinary_frames()
    frames = [
        (HOST1, overlay(keys[flow], int(random.choice([60, 700, 1400]))))
        for flow in random.integers(len(keys), size=900)
    ]
    for index in range(0, len(frames), 50):
        frames.insert(index, ordinary[index // 50 % len(ordinary)])
    # when both see them, each frame in the same epoch
    results = []
    for port, frame in frames:
        clear_of_an_epochs_end()
        results.append((wide.run(frame, port), narrow.run(frame, port)))
    # then they did the same with each
    assert all(one == other for one, other in results)
    assert len({one.verdict for one, _ in results}) == 2, "some are dropped, some are not"
    # and hold and count the same
    assert_same(narrow_cells(narrow.rack), read_all(wide.rack.plane))
    assert (read_all(wide.rack.plane)[:, :, 0] == 1).sum() > 20
    for counter in (UNMONITORED, DROPS):
        counted = [one.rack.plane.read_counter(counter) for one in (wide, narrow)]
        assert np.array_equal(*counted) and counted[0].any(), counter
