"""``ezpath-lab``: the lab's command line. Whatever way a command ends, it says so and cleans up behind itself."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import yaml
from ezpath.inventory import parse

from ezpath_lab import guide, lab, state
from ezpath_lab.bmv2 import Bmv2
from ezpath_lab.chaos.command import chaos
from ezpath_lab.ending import complaining, stage, stoppable, take_down
from ezpath_lab.lab import SERVICES, Lab
from ezpath_lab.net import existing
from ezpath_lab.screen import Screen
from ezpath_lab.shell import LabError
from ezpath_lab.software_tor import SoftwareTor
from ezpath_lab.story import LIMITS, Plan, Story
from ezpath_lab.topology import inventory_document, two_racks
from ezpath_lab.tors import Kind
from ezpath_lab.trust import Trust

EXIT_FAILED = 1
RECORDING = "decisions.rec"
"""What the decider heard and decided, for ``ezpath sim --replay``."""


_EXAMPLES = """\b
Examples:
  ezpath-lab run                    the whole story, then everything is taken down
  ezpath-lab run --keep             … and left running, with the commands to look around
  ezpath-lab run --tor bmv2         the whole story with BMv2 for ToRs
  ezpath-lab run --trust            the same, and everybody has to show who he is, over TLS
  ezpath-lab up; ezpath-lab status  racks and services, no story
  ezpath-lab chaos --minutes 2      break everything, seeded, while tunnels move
  ezpath-lab down                   remove everything, also what a killed run left
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@click.option(
    "--state",
    "directory",
    default=Path(".lab"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where the lab keeps its state, sockets, logs and summary.",
)
@click.pass_context
def main(context: click.Context, directory: Path) -> None:
    """Two racks in network namespaces on this machine, and EZPath's main job shown on them."""
    context.obj = directory


KINDS: Mapping[str, Kind] = {"software": SoftwareTor(), "bmv2": Bmv2()}
_tor = click.option(
    "--tor",
    default="software",
    show_default=True,
    type=click.Choice(list(KINDS)),
    help="The ToRs: EZPath's own software ToR, or BMv2's simple_switch_grpc, which has to be on PATH.",
)
_trust = click.option(
    "--trust",
    is_flag=True,
    help="Everybody shows who he is: NATS, P4Runtime, OVSDB and OpenFlow over TLS, with keys of `ezpath trust`.",
)
_p4_dir = click.option(
    "--p4-dir",
    envvar="EZPATH_P4_DIR",
    default=Path("p4"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="Where the compiled P4 programs are. [env: EZPATH_P4_DIR]",
)


@main.command()
@click.option("--keep", is_flag=True, help="Leave everything running at the end, and say how to look around.")
@click.option(
    "--services",
    default="spawn",
    show_default=True,
    type=click.Choice(["spawn", "external"]),
    help="external: NATS and EZPath's services are run by somebody else, with the inventory in the state directory.",
)
@click.option(
    "--nats", envvar="EZPATH_NATS", default="", metavar="URL", help="With --services external. [env: EZPATH_NATS]"
)
@click.option(
    "--seconds", default=5.0, show_default=True, type=click.FloatRange(2, 600), help="Of steady offloaded traffic."
)
@_tor
@_trust
@click.option(
    "--keys",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="With --services external: --trust, with what `ezpath-lab keys DIR` made.",
)
@_p4_dir
@click.pass_obj
def run(
    directory: Path,
    keep: bool,
    services: str,
    nats: str,
    seconds: float,
    tor: str,
    trust: bool,
    keys: Path | None,
    p4_dir: Path,
) -> None:
    """Bring the lab up, show the main job, take it down. Exit status: 0 all as it should be, 1 not, 130 Ctrl-C."""
    if (services == "external") != bool(nats):
        raise click.UsageError("--nats goes with --services external, and that with --nats")
    if services == "external" and tor == "bmv2":
        raise click.UsageError("--tor bmv2 goes with --services spawn: its programs are in the lab's own directory")
    place = _keys(directory, trust, keys, services, tor)
    screen = Screen()
    began = time.monotonic()
    with stoppable(), stage(directory, screen, KINDS[tor], trust=place) as stand:
        screen.act(f"Setting up two racks, ToRs: {tor}")
        if stand.trust is not None:
            screen.say(f"everybody shows who he is, over TLS: keys and certificates in {stand.trust.directory}")
        stand.state.nats = nats
        options = service_options(stand, stand.up(p4_dir, limits=LIMITS))
        recording = (*options["decider"], "--record", str(directory / RECORDING))
        story = Story(stand, Plan(services, seconds), screen, {**options, "decider": recording})
        story.results.setup_s = time.monotonic() - began
        story.results.datapath = stand.state.datapath
        screen.say(f"{len(stand.topology.namespaces)} namespaces, OVS datapath {stand.state.datapath}")
        passed = tell(story, screen, began)
        if keep:
            if services == "spawn":
                start_services(stand, screen, options)
            click.echo(guide.look_around(stand))
        else:
            take_down(stand, screen)
    sys.exit(0 if passed else EXIT_FAILED)


def _keys(directory: Path, trust: bool, keys: Path | None, services: str, tor: str) -> Path | None:
    """Where keys and certificates are, or are made; nowhere without trust."""
    if not trust and keys is None:
        return None
    if tor == "bmv2":
        raise click.UsageError("--trust goes with --tor software: BMv2 is reached over a socket")
    if (services == "external") != (keys is not None):
        raise click.UsageError(
            "--keys goes with --services external, where `ezpath-lab keys` made them before NATS began"
        )
    return keys or directory.resolve() / "trust"


@main.command()
@click.argument("place", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option("--server", "servers", multiple=True, metavar="NAME", help="A name by which NATS is reached; repeatable.")
@click.option("--listen", default="0.0.0.0:4222", show_default=True, metavar="ADDRESS:PORT", help="nats-server's.")
@click.option("--store", default="", metavar="DIR", help="Where nats-server stores what it keeps.")
@click.option("--owner", type=int, metavar="UID", help="Whose the files are to be, all but the authority's.")
def keys(place: Path, servers: tuple[str, ...], listen: str, store: str, owner: int | None) -> None:
    """Make in DIR what everybody of a lab shows who he is by, for NATS and services that somebody else runs."""
    topology = two_racks()
    trust = Trust(topology, place)
    document = inventory_document(topology, Path("/nowhere"))
    trust.describe(document)
    with complaining():
        trust.make(parse(yaml.safe_dump(document)), servers=servers, listen=listen, store=store)
        if owner is not None:
            trust.hand_over(owner)


def tell(story: Story, screen: Screen, began: float) -> bool:
    """Tell the story, show and write the summary. Returns whether all was as it should be."""
    failure = ""
    try:
        story.tell()
    except LabError as error:
        failure = str(error)
        screen.warn(failure)
    results = story.results
    results.total_s = time.monotonic() - began
    passed = results.passed and not failure
    body = results.summary() | {"passed": passed, "failure": failure}
    (story.lab.state.directory / "summary.json").write_text(json.dumps(body, indent=1) + "\n")
    screen.summary(results)
    failed = [check.name for check in results.checks if not check.ok]
    for name in failed:
        screen.warn(f"FAILED: {name}")
    screen.act(
        "All as it should be." if passed else f"Not as it should be: {failure or f'{len(failed)} checks failed'}"
    )
    return passed


@main.command()
@click.option("--services/--no-services", default=True, show_default=True, help="NATS and EZPath's services too.")
@_tor
@_trust
@_p4_dir
@click.pass_obj
def up(directory: Path, services: bool, tor: str, trust: bool, p4_dir: Path) -> None:
    """Bring the lab up and leave it running: racks, ToRs, overlay, and EZPath's services."""
    place = _keys(directory, trust, None, "spawn", tor)
    screen = Screen()
    with stoppable(), stage(directory, screen, KINDS[tor], trust=place) as stand:
        options = service_options(stand, stand.up(p4_dir))
        stand.let_services_start()
        if services:
            screen.say(f"nats-server at {stand.start_bus()}")
            start_services(stand, screen, options)
        click.echo(guide.look_around(stand))


def service_options(stand: Lab, p4_dir: Path) -> Mapping[str, Sequence[str]]:
    """What services of the lab are told besides what all are told."""
    return {
        "switch-writer": ("--p4-dir", str(p4_dir)),
        "decider": ("--enter-bps", str(stand.kind.pace.enter_bps)),
    }


def start_services(stand: Lab, screen: Screen, options: Mapping[str, Sequence[str]]) -> None:
    """Start those of EZPath's services that do not run."""
    for service in SERVICES:
        if stand.processes.named(service) is None:
            stand.start_service(service, *options.get(service, ()))
            screen.say(f"{service} ready")


@main.command()
@click.pass_obj
def down(directory: Path) -> None:
    """Remove everything a lab left: processes, namespaces, sockets. Idempotent."""
    topology = two_racks()
    with stoppable(), complaining(), lab.alone(topology.prefix):
        killed = lab.remove(directory, topology)
    click.echo("No lab is up." + (f" Had to be killed: {', '.join(killed)}." if killed else ""))


@main.command()
@click.pass_obj
def status(directory: Path) -> None:
    """What of a lab is up. Exit status 0 if all of it is, 1 if not."""
    topology = two_racks()
    found = state.load(directory.resolve())
    present = set(existing(topology.prefix)) & set(topology.namespaces)
    click.echo(f"namespaces: {len(present)} of {len(topology.namespaces)}")
    records = found.processes if found else []
    for record in records:
        click.echo(f"{record.name:<16} pid {record.pid:<8} {'running' if state.alive(record) else 'gone'}")
    if found and found.nats:
        click.echo(f"NATS: {found.nats}")
    complete = bool(records) and all(map(state.alive, records)) and len(present) == len(topology.namespaces)
    sys.exit(0 if complete else EXIT_FAILED)


main.add_command(chaos)


if __name__ == "__main__":
    main()
