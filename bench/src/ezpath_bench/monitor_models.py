"""Flow monitors packet by packet: EZPath's own, exactly as p4/ezpath/monitor.p4 has it, and others to compare it with.

A model's cells are rows of int64 and name flows by number; ``flow + 1`` stands in the cell, 0 in an empty one.
"""

from __future__ import annotations

import numpy as np

from ezpath_bench.monitor_trace import Integers, compiled

KEY, OCTETS, PACKETS, EPOCH, STRENGTH = range(5)
"""Columns of a cell. HashPipe has the first three, the single hash table the first four."""

KEY_BITS, OCTETS_BITS, PACKETS_BITS = 120, 48, 40
EZPATH_BITS = 256
"""Marker, key and both counters, epoch, strength."""
HASHPIPE_BITS = KEY_BITS + OCTETS_BITS + PACKETS_BITS
SINGLE_BITS = KEY_BITS + OCTETS_BITS + PACKETS_BITS + 16
"""And an epoch, to know who is idle."""

STAGES = 4
HASHPIPE_STAGES = 6
EPOCH_SHIFT = 20
MAX_STRENGTH = (1 << 24) - 1
MAX_AGE = 24


@compiled
def ezpath(cells: Integers, hashes: Integers, flows: Integers, octets: Integers, times_us: Integers) -> tuple[int, int]:
    """Feed packets to ``cells``, shape (stages, cells of a stage, 5). Packets and bytes that were not monitored."""
    stages, per_stage = cells.shape[0], cells.shape[1]
    bits = 0
    while 1 << bits < per_stage:
        bits += 1
    lost_packets = lost_octets = 0
    for packet in range(len(flows)):
        flow, size = flows[packet], octets[packet]
        weight, now = size & MAX_STRENGTH, times_us[packet] >> EPOCH_SHIFT & 0xFFFF
        step = hashes[flow] >> bits & per_stage - 1
        index = hashes[flow] & per_stage - 1
        found = False
        weakest, weakest_stage, weakest_index = 0, 0, 0
        for stage in range(stages):
            cell = cells[stage, index]
            age = now - cell[EPOCH] & 0xFFFF
            age = 0 if age & 0x8000 else min(age, MAX_AGE)
            strength = cell[STRENGTH] >> age | (1 if cell[KEY] else 0)
            if cell[KEY] == flow + 1:
                cell[OCTETS] = cell[OCTETS] + size & (1 << OCTETS_BITS) - 1
                cell[PACKETS] = cell[PACKETS] + 1 & (1 << PACKETS_BITS) - 1
                cell[STRENGTH] = min(strength + weight, MAX_STRENGTH)
                cell[EPOCH] = now
                found = True
                break
            if stage == 0 or strength < weakest:
                weakest, weakest_stage, weakest_index = strength, stage, index
            index = index + step & per_stage - 1
        if found:
            continue
        cell = cells[weakest_stage, weakest_index]
        cell[EPOCH] = now
        if weight >= weakest:
            cell[KEY], cell[OCTETS], cell[PACKETS], cell[STRENGTH] = flow + 1, size, 1, weight
        else:
            cell[STRENGTH] = weakest - weight
            lost_packets += 1
            lost_octets += size
    return lost_packets, lost_octets


@compiled
def place(crc: int, stage: int, per_stage: int) -> np.int64:
    """Cell of a stage for the models that are not EZPath's: mixed well, so that none suffers from its hash."""
    mixed = np.uint64(crc) + np.uint64(stage + 1) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return np.int64((mixed >> np.uint64(32)) * np.uint64(per_stage) >> np.uint64(32))


@compiled
def hashpipe(cells: Integers, hashes: Integers, flows: Integers, octets: Integers) -> None:
    """HashPipe (Sivaraman et al., SOSR 2017), by bytes. ``cells``: shape (stages, cells of a stage, 3).

    The first stage always takes the packet's flow in. Whom it pushes out goes on to the next stages: added where the
    same flow is, put where it is empty, exchanged where it is heavier than who is there. Who is carried past the last
    stage is forgotten.
    """
    stages, per_stage = cells.shape[0], cells.shape[1]
    for packet in range(len(flows)):
        key, size, count = flows[packet] + 1, octets[packet], 1
        for stage in range(stages):
            cell = cells[stage, place(hashes[key - 1], stage, per_stage)]
            if cell[KEY] == key:
                cell[OCTETS] += size
                cell[PACKETS] += count
                break
            if stage == 0 or cell[OCTETS] < size:
                pushed = cell[KEY], cell[OCTETS], cell[PACKETS]
                cell[KEY], cell[OCTETS], cell[PACKETS] = key, size, count
                key, size, count = pushed
                if key == 0:
                    break


@compiled
def single(
    cells: Integers, hashes: Integers, flows: Integers, octets: Integers, times_us: Integers, patience: int
) -> None:
    """A plain hash table, one place a flow. ``cells``: shape (1, cells, 4).

    Another flow's packet takes a cell over where its holder was silent for more than ``patience`` epochs; else it is
    not counted. A patience of -1: always.
    """
    per_stage = cells.shape[1]
    for packet in range(len(flows)):
        flow, now = flows[packet], times_us[packet] >> EPOCH_SHIFT & 0xFFFF
        cell = cells[0, place(hashes[flow], 0, per_stage)]
        if cell[KEY] == flow + 1:
            cell[OCTETS] += octets[packet]
            cell[PACKETS] += 1
            cell[EPOCH] = now
        elif cell[KEY] == 0 or (now - cell[EPOCH] & 0xFFFF) > patience:
            cell[KEY], cell[OCTETS], cell[PACKETS], cell[EPOCH] = flow + 1, octets[packet], 1, now
