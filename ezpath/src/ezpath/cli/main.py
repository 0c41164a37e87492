"""`ezpath`: the commands together."""

from __future__ import annotations

import click

from ezpath.cli.check import check_config
from ezpath.cli.decide import offload, revert
from ezpath.cli.diff import diff
from ezpath.cli.flows import flows
from ezpath.cli.pause import pause, resume
from ezpath.cli.plugins import WithPlugins
from ezpath.cli.policy import policy
from ezpath.cli.status import status
from ezpath.cli.tail import tail
from ezpath.cli.why import why

EXAMPLES = """\b
Examples:
  ezpath flows --watch                  who talks, how much, carried by whom
  ezpath tail --tenant red              what is decided and done, as it happens
  ezpath status                         who runs, what is in sync, what is wrong
  ezpath diff                           what ought to be installed against what is
  ezpath check-config network.yaml      find mistakes before the services refuse them
  ezpath why red.red-1.red-3            why a flow is where it is
  ezpath pause --rack r1                the decider keeps its hands off; `ezpath resume --rack r1` lifts it
  ezpath policy set policy.yaml         another strategy or other budgets, without a restart
  ezpath sim                            what a strategy is worth, without a network
  ezpath offload red.red-1.red-3        by hand, and `ezpath revert` back

Settings may come from the environment: EZPATH_NATS, EZPATH_INVENTORY; NO_COLOR is honoured.
"""


@click.group(cls=WithPlugins, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="ezpath")
def main() -> None:
    """Watch EZPath move container tunnels between hosts and switches."""


for command in (tail, flows, status, diff, why, check_config, policy, pause, resume, offload, revert):
    main.add_command(command)
