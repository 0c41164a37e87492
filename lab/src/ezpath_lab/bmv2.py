"""BMv2 as one of the lab's kinds of switches: ``simple_switch_grpc``, the reference for what is right.

It differs from the software ToR in five ways, and each has its place here: it runs the build of the program whose cells
its Thrift port can serve; a table is as large as its program says; its Thrift port needs a way out of the namespace;
its queues are short; and it is given copies of frames, so the kernel's router has to stop when it begins.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import thriftpy2
from thriftpy2.protocol import TBinaryProtocolFactory, TMultiplexedProtocolFactory
from thriftpy2.rpc import client_context
from thriftpy2.thrift import TException

from ezpath_lab.net import each
from ezpath_lab.processes import TOR, Processes, accepts
from ezpath_lab.shell import LabError
from ezpath_lab.topology import Topology, Tor, tor_socket
from ezpath_lab.tors import Limit, Prepared
from ezpath_lab.workload import SLOW

BINARY = "simple_switch_grpc"
PROGRAM = "ezpath.bmv2"
_ENDINGS = ("json", "p4info.txtpb")
_THRIFT_PORT = 9090
"""In the ToR's own namespace."""
_QUEUE_PACKETS = 2000
_SIMPLE_SWITCH: Any = thriftpy2.load(str(Path(__file__).with_name("simple_switch.thrift")), "simple_switch_thrift")


class Bmv2:
    """One ``simple_switch_grpc`` a rack."""

    says_full = "Error when adding match entry to target"
    pace = SLOW
    in_user_space = True

    def require(self) -> None:
        if shutil.which(BINARY) is None:
            raise LabError(
                f"{BINARY} is not on PATH, and there is no Debian package of it. Build BMv2 with P4Runtime "
                "(github.com/p4lang/behavioral-model, targets/simple_switch_grpc), or leave TOR=bmv2 out: the "
                "software ToR needs nothing"
            )

    def prepare(self, topology: Topology, p4_dir: Path, run_dir: Path, limits: Sequence[Limit]) -> Prepared:
        """A limited switch gets a program of its own, with a smaller table."""
        ours = run_dir / "p4"
        ours.mkdir()
        copy_program(p4_dir, PROGRAM, ours)
        switches = {}
        for tor in topology.tors:
            name = PROGRAM
            mine = [limit for limit in limits if limit.tor == tor.name]
            if mine:
                name = f"{PROGRAM}-{tor.name}"
                copy_program(p4_dir, PROGRAM, ours, name)
                shrink(ours / f"{name}.json", {limit.table: limit.entries for limit in mine})
            switches[tor.name] = {"program": name, "registers": f"thrift+unix:{_registers(run_dir, tor)}"}
        return Prepared(ours, switches)

    def command(self, topology: Topology, tor: Tor, run_dir: Path, limits: Sequence[Limit]) -> list[str]:
        address = f"unix:{tor_socket(run_dir, tor.name)}"
        return command(tor.device_id, topology.ports_of(tor.name), _THRIFT_PORT, address)

    def start_beside(self, topology: Topology, tor: Tor, run_dir: Path, processes: Processes) -> None:
        path = _registers(run_dir, tor)
        child = processes.start(
            f"{tor.name}-thrift",
            *(sys.executable, "-m", "ezpath_lab.relay", "--listen", str(path), "--port", str(_THRIFT_PORT)),
            rank=TOR,
            namespace=topology.namespace(tor.name),
        )
        processes.wait_ready(child, lambda: accepts(path), "listening")
        processes.wait_ready(child, lambda: _lengthen_queues(path), "in touch with BMv2's Thrift port")

    def take_over(self, topology: Topology) -> None:
        """Without addresses and forwarding, the kernel drops its copy of each frame."""
        each({topology.namespace(tor.name): _stop_routing(topology, tor) for tor in topology.tors})


def _stop_routing(topology: Topology, tor: Tor) -> str:
    flush = [f"ip address flush dev {interface}" for _, interface in topology.ports_of(tor.name)]
    return "; ".join(("echo 0 > /proc/sys/net/ipv4/ip_forward", *flush))


def _registers(run_dir: Path, tor: Tor) -> Path:
    """Where a ToR's Thrift port is reached."""
    return run_dir / f"{tor.name}.thrift"


def _lengthen_queues(thrift: Path) -> bool:
    """A port's queue holds 64 packets: a burst while BMv2 waits for its turn on a busy machine would overflow it.

    False while BMv2's Thrift port is not there yet.
    """
    try:
        with client_context(
            _SIMPLE_SWITCH.SimpleSwitch,
            unix_socket=str(thrift),
            proto_factory=TMultiplexedProtocolFactory(TBinaryProtocolFactory(), "simple_switch"),
        ) as switch:
            switch.set_all_egress_queue_depths(_QUEUE_PACKETS)
    except (TException, OSError):
        return False
    return True


def command(device_id: int, ports: Iterable[tuple[int, str]], thrift_port: int, address: str) -> list[str]:
    """What starts a switch without a program. ``ports``: number and interface; ``address``: of its P4Runtime server."""
    words = [BINARY, "--no-p4", "--device-id", str(device_id), "--thrift-port", str(thrift_port)]
    for number, interface in ports:
        words += ["-i", f"{number}@{interface}"]
    # Its default, a line or two for each step of each packet, would take most of its time.
    words += ["--log-console", "-L", "warn"]
    return [*words, "--", "--grpc-server-addr", address]


def copy_program(source: Path, name: str, target: Path, new_name: str = "") -> None:
    """The files of a compiled program. Raises :class:`LabError` where one is missing."""
    for ending in _ENDINGS:
        file = source / f"{name}.{ending}"
        if not file.is_file():
            raise LabError(f"{file} is not there, of the program built for BMv2. `make p4` compiles it")
        shutil.copyfile(file, target / f"{new_name or name}.{ending}")


def shrink(file: Path, limits: Mapping[str, int]) -> None:
    """Make tables of a compiled program smaller: table, by name or the end of it, to entries. Raises LabError."""
    program = json.loads(file.read_text())
    tables = [table for pipeline in program["pipelines"] for table in pipeline["tables"]]
    for wanted, entries in limits.items():
        found = [table for table in tables if f".{table['name']}".endswith(f".{wanted}")]
        if len(found) != 1:
            names = ", ".join(sorted(table["name"] for table in tables))
            raise LabError(f"{file.name} has no table {wanted}, or more than one. It has {names}")
        found[0]["max_size"] = entries
    file.write_text(json.dumps(program))
