"""`ezpath policy`: see the decider's policy, and put another one in its place while it runs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import click
import yaml

from ezpath.bus import Access, Bus
from ezpath.cli.common import EXIT_REFUSED, EXIT_USAGE, fail, nats_option, say_to_deciders, with_bus
from ezpath.cli.output import Format, for_people, output_option, show_document
from ezpath.controls import POLICY_KEY, PolicySet, policy_to_json
from ezpath.events import CONTROL_BUCKET

ANSWER_S = 3.0
IN_FORCE_S = 10.0
EPILOG = """\b
Example:
  {example}

\b
Exit status: 0 done, 1 refused (one mistake a line: file:line: field: cause. remedy) or no decider, 2 wrong usage,
3 NATS not reachable.
"""


@click.group(
    epilog="""\b
Examples:
  ezpath policy show
  ezpath policy set policy.yaml         checked by the decider first; in force at its next round
  ezpath policy reset                   back to the decider's file and options

\b
Exit status: 0 done, 1 refused (one mistake a line: file:line: field: cause. remedy) or no decider, 2 wrong usage,
3 NATS not reachable.
"""
)
def policy() -> None:
    """The decider's strategy, budgets and lists, without a restart."""


@policy.command(epilog=EPILOG.format(example="ezpath policy show > policy.yaml"))
@nats_option
@output_option
def show(nats: Access, output: Format) -> None:
    """Print the policy in force, and where it is from."""

    async def work(bus: Bus) -> None:
        answer = await _ask(bus, {}, nats)
        if not for_people(output):
            show_document({**answer, "policy": yaml.safe_load(answer["policy"])}, output)
        else:
            click.echo(f"# from {answer['source']}\n{answer['policy']}", nl=False)

    with_bus(nats, work)


@policy.command("set", epilog=EPILOG.format(example="ezpath policy set policy.yaml"))
@nats_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def set_(nats: Access, file: Path) -> None:
    """Put FILE in force, in place of the decider's own file and options. It outlives the decider."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}. Give a readable file of UTF-8 text", EXIT_USAGE)

    async def work(bus: Bus) -> None:
        answer = await _ask(bus, {"text": text, "file": str(file)}, nats)
        if problems := answer["problems"]:
            fail("\n".join(problems), EXIT_REFUSED)
        said = PolicySet(str(file), text, time.time())
        await say_to_deciders(bus, POLICY_KEY, policy_to_json(said))
        await _until_from(bus, nats, said)

    with_bus(nats, work)


@policy.command(epilog=EPILOG.format(example="ezpath policy reset"))
@nats_option
def reset(nats: Access) -> None:
    """Back to what the decider was started with."""

    async def work(bus: Bus) -> None:
        if await bus.kv_get(CONTROL_BUCKET, POLICY_KEY) is None:
            fail("No policy was set: the decider goes by its own. See `ezpath policy show`", EXIT_REFUSED)
        await bus.kv_delete(CONTROL_BUCKET, POLICY_KEY)
        click.echo("the decider goes by its own policy again")

    with_bus(nats, work)


async def _ask(bus: Bus, question: dict[str, Any], nats: Access) -> dict[str, Any]:
    answer = await bus.ask("policy", question, ANSWER_S)
    if answer is None:
        fail(f"No decider answers on {nats}: it is the decider that checks a policy. Start it", EXIT_REFUSED)
    return answer


async def _until_from(bus: Bus, nats: Access, said: PolicySet) -> None:
    asked_until = time.monotonic() + IN_FORCE_S
    while time.monotonic() < asked_until:
        if (await _ask(bus, {}, nats))["since"] == said.since:
            click.echo(f"{said.file} is in force")
            return
        await asyncio.sleep(0.1)
    fail(f"It is written, and not in force after {IN_FORCE_S:g} s: see the decider's log", EXIT_REFUSED)
