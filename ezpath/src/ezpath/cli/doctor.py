"""`ezpath doctor`: what this machine, NATS and the hosts lack, each with its remedy."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from pathlib import Path

import click
from rich.text import Text

from ezpath.bus import Access
from ezpath.bus.probe import ROLL_CALL_S, probe
from ezpath.cli import targets
from ezpath.cli.checkup import Finding, Machine, Mtus, of_machine, of_mtus, of_nats, of_services
from ezpath.cli.common import CONNECT_S, EXIT_REFUSED, inventory_option, nats_option
from ezpath.cli.output import Column, Format, Listing, output_option
from ezpath.inventory import Host, Inventory
from ezpath.ovs import OvsError
from ezpath.ovs.jsonrpc import JsonRpc
from ezpath.telemetry import configure_logging
from ezpath.tls import TlsFiles
from ezpath.tlsoptions import tls_options

_STYLES = {"ok": "green", "note": "yellow", "wrong": "bold red"}
_HEADERS = Path("/usr/include/bpf/bpf_helpers.h")
OVSDB_S = 3.0

EXAMPLES = """\b
Examples:
  ezpath doctor                             this machine, and the NATS that EZPATH_NATS names
  ezpath doctor --inventory network.yaml    the MTUs of the hosts whose OVSDB answers from here as well
  ezpath doctor --json | jq -r 'select(.grade == "wrong") | .remedy'

Nothing is changed. A note is no mistake: it says what does not work here, where it may not have to.

\b
Exit status: 0 nothing is wrong, 1 something is, 2 wrong usage.
"""

LISTING: Listing[Finding] = Listing(
    (
        Column("CHECK", lambda each: each.what),
        Column("", lambda each: Text(each.grade, style=_STYLES[each.grade])),
        Column("FOUND", lambda each: each.said, fold=True),
        Column("REMEDY", lambda each: each.remedy, fold=True),
    ),
    asdict,
)


@click.command(epilog=EXAMPLES)
@nats_option
@inventory_option
@tls_options("ovs", "Open vSwitches", "addresses of the inventory that begin with ssl:")
@output_option
def doctor(nats: Access, inventory: Inventory | None, ovs: TlsFiles, output: Format) -> None:
    """Look for what is missing or wrong: kernel, clang, Open vSwitch, NATS, JetStream, clocks, MTUs."""
    configure_logging("error")
    findings = [*of_machine(machine()), *asyncio.run(_outside(nats, inventory, ovs))]
    LISTING.show(findings, output)
    sys.exit(EXIT_REFUSED if any(each.grade == "wrong" for each in findings) else 0)


def machine() -> Machine:
    """What is here."""
    return Machine(
        kernel=platform.release(),
        root=os.geteuid() == 0,
        clang=_version("clang"),
        bpf_headers=_HEADERS.exists(),
        ovs=_version("ovs-vswitchd"),
        ovs_datapath=_has_datapath(),
    )


def _version(program: str) -> str:
    """The first line of what it says of itself."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        return ""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout.partition("\n")[0].strip() or program


def _has_datapath() -> bool:
    if Path("/sys/module/openvswitch").exists():
        return True
    modules = Path("/lib/modules") / platform.release() / "modules.dep"
    try:
        return "/openvswitch.ko" in modules.read_text(errors="replace")
    except OSError:
        return False


async def _outside(nats: Access, inventory: Inventory | None, ovs: TlsFiles) -> list[Finding]:
    facts = await probe(nats, CONNECT_S + ROLL_CALL_S)
    found = list(of_nats(str(nats), facts.problem, facts.version, facts.jetstream, facts.ahead_s))
    found += of_services(targets.statuses(facts.services), facts.asked_at, facts.heard_at)
    if inventory is not None:
        found += [finding async for finding in _hosts(inventory.hosts.values(), inventory, ovs)]
    return found


async def _hosts(hosts: Iterable[Host], inventory: Inventory, ovs: TlsFiles) -> AsyncIterator[Finding]:
    for host in hosts:
        try:
            async with asyncio.timeout(OVSDB_S):
                found = await _mtus(host, inventory, ovs)
        except (OvsError, OSError, TimeoutError) as error:
            said = f"host {host.name}: {str(error) or 'no answer'}"
            yield Finding(
                "mtu", "note", said, "ask where its OVSDB can be reached, or see that ovsdb-server runs there"
            )
            continue
        for finding in of_mtus(found):
            yield finding


async def _mtus(host: Host, inventory: Inventory, ovs: TlsFiles) -> Mtus:
    rpc = await JsonRpc.connect(host.config.ovsdb, ovs)
    try:
        question = {"op": "select", "table": "Interface", "where": [], "columns": ["name", "mtu", "external_ids"]}
        (answer,) = await rpc.call("transact", "Open_vSwitch", question, timeout_s=OVSDB_S)
    finally:
        await rpc.close()
    by_name: dict[str, int] = {}
    for row in answer["rows"]:
        if isinstance(row["mtu"], int):  # an empty set where it is not known
            by_name[row["name"]] = row["mtu"]
            by_name |= {value: row["mtu"] for key, value in row["external_ids"][1] if key == "iface-id"}
    here = (endpoint.interface for endpoint in inventory.endpoints.values() if endpoint.host == host.name)
    endpoints = {name: by_name[name] for name in here if name in by_name}
    return Mtus(host.name, host.config.uplink, by_name.get(host.config.uplink), endpoints)
