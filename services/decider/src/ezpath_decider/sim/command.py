"""`ezpath sim`: what a strategy would do in a data centre that is not there, or with the traffic of a recording."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ezpath_decider.sim.run import Plan, Simulation

POLICIES = ("value", "topk", "plain-threshold", "static-topk", "first-come", "random")
ORACLES = ("oracle-5", "oracle-20", "oracle-60", "ideal")
"""None of the horizons is the best everywhere."""
TELL_EVERY_S = 10.0
EXAMPLES = """\b
Examples:
  ezpath sim                                           a small data centre, all policies; a minute
  ezpath sim --arrivals heavy --churn 0.003 --seed 7   bursts, and containers that come and go
  ezpath sim --policy value --set value.stickiness=1.2 --policy topk --policy oracle-20
  ezpath sim --hosts 10000 --containers 1000000 --racks 500 --seconds 60 --warm-up 30 --policy value --policy topk
  ezpath sim --out results                             PNG and SVG plots, and the numbers as JSON
  ezpath sim --traffic live.rec                        the traffic that a decider recorded with --record
  ezpath sim --replay live.rec                         the same decisions again? Exit status 1 where one differs

Policies: value, topk, threshold, pinned and every other installed strategy; random, first-come, static-topk and
plain-threshold to compare with; oracle-SECONDS, which knows what comes in so many seconds (the best of several counts);
ideal, what could be carried if moves took no time.
"""


def _settings(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """``value.stickiness=1.2`` → ``{"value": {"stickiness": 1.2}}``."""
    settings: dict[str, dict[str, Any]] = {}
    for text in given:
        name, _, value = text.partition("=")
        policy, _, setting = name.rpartition(".")
        if not (policy and setting and value):
            raise click.BadParameter(f"{text!r}: give STRATEGY.SETTING=VALUE, such as value.stickiness=1.2")
        try:
            settings.setdefault(policy, {})[setting] = json.loads(value)
        except json.JSONDecodeError:
            settings.setdefault(policy, {})[setting] = value
    return settings


COUNT = click.IntRange(min=1)
PART = click.FloatRange(0, 1)
SECONDS = click.FloatRange(min=0, min_open=True)


@click.command("sim", epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--racks", default=8, type=COUNT, help="With a ToR each.")
@click.option("--hosts", default=80, type=COUNT, help="In all racks together.")
@click.option("--containers", default=800, type=COUNT, help="On all hosts together.")
@click.option("--tenants", default=20, type=COUNT, help="Of very different sizes.")
@click.option("--seconds", default=120.0, type=SECONDS, help="To simulate.")
@click.option("--warm-up", default=30.0, type=click.FloatRange(min=0), help="Seconds at the start that do not count.")
@click.option("--interval", default=1.0, type=SECONDS, help="Seconds between polls, and between rounds.")
@click.option("--budget", default=0.05, type=PART, help="Of each ToR: part of the entries that all flows would need.")
@click.option("--arrivals", default="poisson", type=click.Choice(["poisson", "heavy"]), help="Of sessions.")
@click.option("--sessions", default=0.3, type=SECONDS, help="Begin each second, for each container.")
@click.option("--lasting", default=60.0, type=SECONDS, help="Mean of a session, seconds; the tail is heavy.")
@click.option("--unrest", default=0.3, type=click.FloatRange(0, 3), help="Standard deviation over mean within a flow.")
@click.option("--diurnal", default=0.5, type=PART, help="Part by which load rises and falls over a day.")
@click.option("--day", default=600.0, type=SECONDS, help="A day in seconds.")
@click.option("--churn", default=0.0003, type=PART, help="Part of the containers started anew elsewhere each second.")
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="NAME",
    help="Repeatable; see below. [default: all but pinned and threshold]",
    show_default=False,
)
@click.option("--set", "settings", multiple=True, callback=_settings, metavar="STRATEGY.SETTING=VALUE")
@click.option("--level", default=200.0, type=SECONDS, help="plain-threshold: packets a second.")
@click.option("--seed", default=1, help="The same seed gives the same data centre, traffic and result.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for plots and numbers.")
@click.option("--json", "as_json", is_flag=True, help="Numbers as JSON instead of a table.")
@click.option("--check", is_flag=True, help="Exit status 1 where `value` misses what it has to reach.")
@click.option("--traffic", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
@click.option("--replay", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
def command(**options: Any) -> None:
    """Simulate: the decider's own code over synthetic or recorded traffic, beside an oracle and naive policies.

    Memory and time grow with containers, policies and oracles' seconds.
    """
    from ezpath_decider.recording import RecordingError
    from ezpath_decider.strategy import StrategyError

    try:
        if options["replay"] is not None:
            _replay(options["replay"])
        else:
            _simulate(options)
    except (RecordingError, StrategyError, ValueError) as error:
        raise click.UsageError(str(error)) from None


def _simulate(options: dict[str, Any]) -> None:
    from ezpath_decider.sim import report
    from ezpath_decider.sim.run import Simulation

    plan = _plan(options)
    if plan.warm_up_s >= plan.seconds:
        raise click.UsageError(f"--warm-up {plan.warm_up_s:g} leaves nothing of --seconds {plan.seconds:g} to count")
    if options["out"] is not None:
        report.check_plots()
    began = time.monotonic()
    simulation = Simulation(plan, _recorded(options["traffic"]))
    _progress(simulation, plan.seconds, began)
    result = report.result(simulation, took_s=time.monotonic() - began)
    if options["as_json"]:
        click.echo(json.dumps(asdict(result), indent=2))
    else:
        report.show(result)
    if options["out"] is not None:
        for file in report.save(result, simulation.tallies, options["out"]):
            click.echo(f"written: {file}", err=True)
    if options["check"] and not result.met:
        raise SystemExit(1)


def _plan(options: dict[str, Any]) -> Plan:
    from ezpath_decider.sim.network import Size
    from ezpath_decider.sim.run import Plan
    from ezpath_decider.sim.traffic import Shape

    size = Size.of(options["racks"], options["hosts"], options["containers"], options["tenants"])
    shape = Shape(
        arrivals=options["arrivals"],
        sessions=options["sessions"],
        lasting_s=options["lasting"],
        unrest=options["unrest"],
        diurnal=options["diurnal"],
        day_s=options["day"],
        churn=options["churn"],
    )
    return Plan(
        size=size,
        shape=shape,
        policies=options["policies"] or (*POLICIES, *ORACLES),
        settings=options["settings"],
        seconds=options["seconds"],
        interval_s=options["interval"],
        budget=options["budget"],
        level_packets_s=options["level"],
        warm_up_s=options["warm_up"],
        seed=options["seed"],
    )


def _progress(simulation: Simulation, seconds: float, began: float) -> None:
    told = began
    for simulated in simulation.rounds():
        if time.monotonic() - told >= TELL_EVERY_S:
            told = time.monotonic()
            click.echo(f"{simulated:g} of {seconds:g} s simulated in {told - began:.0f} s", err=True)


def _recorded(file: Path | None) -> Any:
    if file is None:
        return None
    from ezpath_decider.sim.recorded import Recorded

    return Recorded(file.open("rb"))


def _replay(file: Path) -> None:
    """Say of each round that is not the same how it is not."""
    from ezpath_decider.recording import replay

    rounds = decisions = differing = 0
    with file.open("rb") as stream:
        for step in replay(stream):
            rounds, decisions = rounds + 1, decisions + len(step.live)
            if not step.same:
                differing += 1
                click.echo(f"at {step.now:.3f}: {step.difference()}")
    verdict = "all the same again" if not differing else f"{differing} rounds differ"
    click.echo(f"{rounds} rounds with {decisions} decisions: {verdict}")
    if differing:
        raise SystemExit(1)
