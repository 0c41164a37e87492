"""The eBPF cache in front of a guest's overlay (see oncache.c): how it is put there, and taken away again. Pure."""

from __future__ import annotations

from ezpath_bench.figures.guests.plan import Side

KIND = "oncache"
"""The container whose overlay is cached, and the mode."""
_HOOKS = (
    (f"v-{KIND}", "ingress", "from_container"),
    ("vec0", "egress", "to_wire"),
    ("vec0", "ingress", "from_wire"),
    (f"v-{KIND}", "egress", "to_container"),
)


def attached(side: Side, compiled: str) -> str:
    """Script: an empty cache, in front of all else. It is there while it is measured; no other mode pays for it."""
    lines = [f"bpftool prog loadall {compiled} {_pinned(side)}"]
    # a guest's uplink has it from the start: cable.c is there
    devices = dict.fromkeys(device for device, *_ in _HOOKS)
    lines += [f"tc qdisc add dev {device} clsact 2>/dev/null || true" for device in devices]
    for device, direction, program in _HOOKS:
        what = f"bpf da object-pinned {_pinned(side)}/{program}"
        lines.append(f"tc filter add dev {device} {direction} pref 1 handle 1 {what}")
    return "\n".join(lines)


def detached(side: Side) -> str:
    """Script: the overlay by itself again."""
    lines = [f"tc filter del dev {device} {direction} pref 1" for device, direction, _ in _HOOKS]
    return "\n".join([*lines, f"rm -r {_pinned(side)}"])


def _pinned(side: Side) -> str:
    """Where its programs are, in a file system that hosts of one kernel share."""
    return f"/sys/fs/bpf/ezpath-bench-{side.name}"
