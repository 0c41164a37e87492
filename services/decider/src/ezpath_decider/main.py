"""`ezpath-decider`: samples to decisions, decisions to sagas. Its options."""

from __future__ import annotations

from pathlib import Path

import click
from ezpath.inventory.sources import cannot_open
from ezpath.saga import Settings as SagaSettings
from ezpath.service import Settings, run, service_options
from ezpath.shards import MAX_SHARDS

from ezpath_decider.decider import GONE_AFTER_S, Decider
from ezpath_decider.policy import BudgetConfig, Policy, Setting
from ezpath_decider.policyfile import PolicyFile
from ezpath_decider.recorder import cannot_write

POSITIVE = click.FloatRange(min=0, min_open=True)
NOT_NEGATIVE = click.FloatRange(min=0)


@click.command(
    epilog="""\b
Examples:
  ezpath-decider --nats nats://127.0.0.1:4222 --inventory network.yaml --enter-bps 2e7
  ezpath-decider --inventory network.yaml --strategy value --budget 4096
  ezpath-decider --inventory network.yaml --policy policy.yaml    read again whenever it changes
  ezpath-decider --inventory network.yaml --strategy value --dry-run    beside the one in charge: what would it do?
"""
)
@service_options
@click.option(
    "--interval",
    default=1.0,
    type=POSITIVE,
    show_default=True,
    metavar="SECONDS",
    envvar="EZPATH_INTERVAL",
    help="Time between two rounds. [env: EZPATH_INTERVAL]",
)
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="EZPATH_POLICY",
    metavar="FILE",
    help="Strategy, budgets and lists, YAML; outdoes the options below. Changes need no restart. [env: EZPATH_POLICY]",
)
@click.option(
    "--strategy",
    default="threshold",
    show_default=True,
    metavar="NAME",
    envvar="EZPATH_STRATEGY",
    help="Who goes on the switches. [env: EZPATH_STRATEGY]",
)
@click.option(
    "--enter-bps",
    default=5e6,
    type=POSITIVE,
    show_default=True,
    metavar="BITS/S",
    envvar="EZPATH_ENTER_BPS",
    help="threshold: offload at this rate, of both directions. [env: EZPATH_ENTER_BPS]",
)
@click.option(
    "--enter-polls",
    default=3,
    type=click.IntRange(min=1, max=8),
    show_default=True,
    metavar="ROUNDS",
    envvar="EZPATH_ENTER_POLLS",
    help="… if it held for so many rounds in a row. [env: EZPATH_ENTER_POLLS]",
)
@click.option(
    "--exit-bps",
    default=1e6,
    type=POSITIVE,
    show_default=True,
    metavar="BITS/S",
    envvar="EZPATH_EXIT_BPS",
    help="Bring back below this rate. [env: EZPATH_EXIT_BPS]",
)
@click.option(
    "--idle-polls",
    default=5,
    type=click.IntRange(min=1, max=8),
    show_default=True,
    metavar="ROUNDS",
    envvar="EZPATH_IDLE_POLLS",
    help="… if it stayed there for so many rounds. [env: EZPATH_IDLE_POLLS]",
)
@click.option(
    "--budget",
    default=1024,
    type=click.IntRange(min=0),
    show_default=True,
    metavar="ENTRIES",
    envvar="EZPATH_BUDGET",
    help="How much of each ToR's tables EZPath may use. [env: EZPATH_BUDGET]",
)
@click.option(
    "--retry-after-s",
    default=30.0,
    type=NOT_NEGATIVE,
    show_default=True,
    metavar="SECONDS",
    envvar="EZPATH_RETRY_AFTER_S",
    help="Leave a pair alone that was rolled back; longer each time. [env: EZPATH_RETRY_AFTER_S]",
)
@click.option(
    "--step-timeout-s",
    default=10.0,
    type=POSITIVE,
    show_default=True,
    metavar="SECONDS",
    envvar="EZPATH_STEP_TIMEOUT_S",
    help="Undo a step not confirmed by then. [env: EZPATH_STEP_TIMEOUT_S]",
)
@click.option(
    "--gone-after-s",
    default=GONE_AFTER_S,
    type=NOT_NEGATIVE,
    show_default=True,
    metavar="SECONDS",
    envvar="EZPATH_GONE_AFTER_S",
    help="Bring back the pairs of a host that its writer cannot reach for so long. [env: EZPATH_GONE_AFTER_S]",
)
@click.option(
    "--drain-s",
    default=2.0,
    type=NOT_NEGATIVE,
    show_default=True,
    metavar="SECONDS",
    envvar="EZPATH_DRAIN_S",
    help="From the last sender's stop to the first removal. [env: EZPATH_DRAIN_S]",
)
@click.option(
    "--quarantine-s",
    default=30.0,
    type=NOT_NEGATIVE,
    show_default=True,
    metavar="SECONDS",
    envvar="EZPATH_QUARANTINE_S",
    help="Rest of a VLAN id between two tenants. [env: EZPATH_QUARANTINE_S]",
)
@click.option(
    "--under-way",
    default=1000,
    type=click.IntRange(min=1),
    show_default=True,
    metavar="OFFLOADS",
    envvar="EZPATH_UNDER_WAY",
    help="So many of a shard are on their way at a time; the busiest of those that wait are next. "
    "[env: EZPATH_UNDER_WAY]",
)
@click.option(
    "--shards",
    default=1,
    type=click.IntRange(min=1, max=MAX_SHARDS),
    show_default=True,
    envvar="EZPATH_SHARDS",
    help="Tenants are divided into so many parts, each led by one decider; the same for all. [env: EZPATH_SHARDS]",
)
@click.option(
    "--dry-run",
    is_flag=True,
    envvar="EZPATH_DRY_RUN",
    help="Decide and publish on ezpath.dryrun.>; write nothing. [env: EZPATH_DRY_RUN]",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    envvar="EZPATH_RECORD",
    help="Write down all that comes in and is decided, for `ezpath sim --replay FILE`. [env: EZPATH_RECORD]",
)
@click.option(
    "--share-flows",
    is_flag=True,
    envvar="EZPATH_SHARE_FLOWS",
    help="Share the counting with all deciders started so; the leader of shard 0 decides. [env: EZPATH_SHARE_FLOWS]",
)
def main(
    settings: Settings,
    interval: float,
    policy_file: Path | None,
    strategy: str,
    enter_bps: float,
    enter_polls: int,
    exit_bps: float,
    idle_polls: int,
    budget: int,
    retry_after_s: float,
    step_timeout_s: float,
    gone_after_s: float,
    drain_s: float,
    quarantine_s: float,
    under_way: int,
    shards: int,
    dry_run: bool,
    record: Path | None,
    share_flows: bool,
) -> None:
    """Decide which tunnels the switches carry, and see each change through."""
    if record is not None and share_flows:
        raise click.UsageError("--record writes down what one decider sees of all flows: give it without --share-flows")
    levels: dict[str, Setting] = {
        "enter_bps": enter_bps,
        "enter_polls": enter_polls,
        "exit_bps": exit_bps,
        "idle_polls": idle_polls,
    }
    defaults = Policy(
        strategy=strategy,
        settings=levels if strategy == "threshold" else {},
        budget=BudgetConfig(entries=budget),
        retry_after_s=retry_after_s,
    )
    if dry_run and share_flows:
        raise click.UsageError("--dry-run counts for itself: leave --share-flows out")
    policy = PolicyFile(policy_file, defaults)
    saga = SagaSettings(
        step_timeout_s=step_timeout_s, under_way_most=under_way, drain_s=drain_s, quarantine_s=quarantine_s
    )
    run(
        "decider",
        settings,
        lambda service: Decider(
            service, interval, policy, saga, shards, dry_run, record, share_flows, gone_after_s
        ).run(),
        check=lambda inventory: [*policy.check(inventory), *cannot_open(inventory.document), *cannot_write(record)],
    )


if __name__ == "__main__":
    main()
