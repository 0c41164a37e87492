"""What `ezpath doctor` makes of what it found: fine, worth a look, or wrong, each with its remedy. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ezpath.answers import ServiceStatus

Grade = Literal["ok", "note", "wrong"]
LEAST_KERNEL = (5, 13)
"""The software ToR's encapsulation needs bpf_skb_adjust_room with ENCAP_L2_ETH."""
LEAST_NATS = (2, 11)
"""Fenced writes are batches with conditions."""
MOST_SKEW_S = 1.0
"""Deadlines are told by one clock each, but logs, events and leases are read side by side."""
VXLAN_BYTES = 50
CLANG = "apt-get install clang libbpf-dev, or `make setup` as root"
OVS = "apt-get install openvswitch-switch, or `make setup` as root"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    grade: Grade
    said: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found on this machine; a program that is not there has no version."""

    kernel: str
    root: bool
    clang: str = ""
    bpf_headers: bool = False
    ovs: str = ""
    ovs_datapath: bool = False
    """The kernel has Open vSwitch's own."""


@dataclass(frozen=True, slots=True)
class Mtus:
    """Of one host, as its Open vSwitch tells: the uplink's, and its endpoints' by interface."""

    host: str
    uplink: str
    uplink_mtu: int | None
    endpoints: Mapping[str, int]


def numbers(version: str) -> tuple[int, ...]:
    """``6.1.0-18-amd64`` to (6, 1)."""
    parts = version.split("-")[0].split(".")[:2]
    return tuple(int(part) for part in parts if part.isdecimal())


def of_machine(found: Machine) -> Iterator[Finding]:
    wanted = ".".join(map(str, LEAST_KERNEL))
    if numbers(found.kernel) < LEAST_KERNEL:
        remedy = f"boot a kernel of {wanted} or newer where software ToRs run; a P4 switch needs none"
        yield Finding("kernel", "wrong", f"{found.kernel} is older than {wanted}: no software ToR runs on it", remedy)
    else:
        yield Finding("kernel", "ok", found.kernel)
    if found.root:
        yield Finding("root", "ok", "yes")
    else:
        yield Finding(
            "root", "note", "no: the lab, the software ToR and the host-writer need it", "run those with sudo"
        )
    if not found.clang:
        yield Finding("clang", "wrong", "not on PATH: the software ToR compiles its program with it", CLANG)
    elif not found.bpf_headers:
        yield Finding("clang", "wrong", f"{found.clang}, and libbpf's headers are missing", CLANG)
    else:
        yield Finding("clang", "ok", found.clang)
    if not found.ovs:
        yield Finding("ovs", "wrong", "ovs-vswitchd is not on PATH: no host's overlay runs here", OVS)
    elif not found.ovs_datapath:
        said = f"{found.ovs}; the kernel has no datapath of its own for it, so that it forwards in user space"
        yield Finding("ovs", "note", said, "boot a kernel with the module openvswitch for speed; all works without")
    else:
        yield Finding("ovs", "ok", found.ovs)


def of_nats(url: str, problem: str, version: str, jetstream: bool, ahead_s: float | None) -> Iterator[Finding]:
    if problem:
        remedy = "start nats-server -js, or give its address with --nats or EZPATH_NATS"
        yield Finding("nats", "wrong", f"{url} is not reachable: {problem}", remedy)
        return
    wanted = ".".join(map(str, LEAST_NATS))
    if numbers(version) < LEAST_NATS:
        yield Finding("nats", "wrong", f"{version} at {url} is older than {wanted}", f"install {wanted} or newer")
    else:
        yield Finding("nats", "ok", f"{version} at {url}")
    if not jetstream:
        remedy = "start nats-server with -js, or with a jetstream block in its configuration (and room on its disk)"
        yield Finding("jetstream", "wrong", f"{url} has none: decisions and sagas cannot be kept", remedy)
        return
    yield Finding("jetstream", "ok", "answers")
    if ahead_s is not None:
        yield _clock("NATS's clock", ahead_s)


def of_services(answers: Iterable[ServiceStatus], asked_at: float, heard_at: float) -> Iterator[Finding]:
    """Their clocks: an answer was given between the question and its arrival."""
    for answer in answers:
        ahead = answer.at - heard_at if answer.at > heard_at else min(0.0, answer.at - asked_at)
        yield _clock(f"{answer.service} {answer.instance}'s clock", ahead)


def _clock(whose: str, ahead_s: float) -> Finding:
    if abs(ahead_s) <= MOST_SKEW_S:
        return Finding("clock", "ok", f"{whose} is within {MOST_SKEW_S:g} s of this machine's")
    way = "ahead of" if ahead_s > 0 else "behind"
    said = f"{whose} is {abs(ahead_s):.1f} s {way} this machine's"
    return Finding("clock", "wrong", said, "keep clocks with NTP (timedatectl set-ntp true) on both")


def of_mtus(found: Mtus) -> Iterator[Finding]:
    """An endpoint's frame and 50 bytes of VXLAN have to fit on the uplink."""
    if found.uplink_mtu is None:
        said = f"host {found.host}: no interface {found.uplink} in its Open vSwitch"
        yield Finding("mtu", "note", said, f"set hosts.{found.host}.uplink in the inventory")
        return
    large = {name: mtu for name, mtu in found.endpoints.items() if mtu + VXLAN_BYTES > found.uplink_mtu}
    if not large:
        yield Finding("mtu", "ok", f"host {found.host}: {found.uplink} has {found.uplink_mtu}")
    for name, mtu in large.items():
        least, most = mtu + VXLAN_BYTES, found.uplink_mtu - VXLAN_BYTES
        said = f"host {found.host}: {name} has {mtu}, {least} with VXLAN, and {found.uplink} takes {found.uplink_mtu}"
        remedy = f"ip link set {found.uplink} mtu {least}, or {most} inside the container"
        yield Finding("mtu", "wrong", said, remedy)
