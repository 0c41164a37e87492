"""`ezpath`: the commands together. Each is imported when it is needed: a shell that completes names waits for none."""

from __future__ import annotations

import io
import sys

import click

from ezpath.cli.plugins import WithPlugins

EXAMPLES = """\b
Examples:
  ezpath flows --watch                  who talks, how much, carried by whom
  ezpath top                            the same, tunnels, tables and events on one screen
  ezpath console                        … and in a browser, with the topology and plots
  ezpath tail --tenant red              what is decided and done, as it happens
  ezpath offloads                       what is on the switches, and on its way
  ezpath trace red.red-1.red-3          one offload, step by step
  ezpath status                         who runs, what is in sync, what is wrong
  ezpath doctor                         what this machine, NATS and the hosts lack, with the remedy
  ezpath why red.red-1.red-3            why a flow is where it is
  ezpath diff                           what ought to be installed against what is
  ezpath pause --rack r1                the decider keeps its hands off; `ezpath resume --rack r1` lifts it
  ezpath offload red.red-1.red-3        by hand, and `ezpath revert` back; `ezpath pin` keeps it there
  ezpath policy set policy.yaml         another strategy or other budgets, without a restart
  ezpath record capture.jsonl           for a colleague, who runs `ezpath tail --input capture.jsonl`
  ezpath check-config network.yaml      find mistakes before the services refuse them
  ezpath trust init DIR --inventory F   keys, certificates and permissions, made by one command
  ezpath sim                            what a strategy is worth, without a network
  eval "$(ezpath completion bash)"      names and options at the Tab key

\b
Exit status of all commands: 0 done, 1 asked, and the answer is no, 2 wrong usage, 3 NATS not reachable, 130 interrupted
before there was an answer.
Settings may come from the environment: EZPATH_NATS, EZPATH_INVENTORY; NO_COLOR is honoured.
"""

COMMANDS = {
    "check-config": "check:check_config",
    "completion": "completion:completion",
    "console": "console:console",
    "diff": "diff:diff",
    "doctor": "doctor:doctor",
    "flows": "flows:flows",
    "offload": "decide:offload",
    "offloads": "offloads:offloads",
    "pause": "pause:pause",
    "pin": "pin:pin",
    "policy": "policy:policy",
    "record": "record:record",
    "resume": "pause:resume",
    "revert": "decide:revert",
    "status": "status:status",
    "tail": "tail:tail",
    "trace": "trace:trace",
    "top": "top:top",
    "trust": "trust:trust",
    "unpin": "pin:unpin",
    "why": "why:why",
}
"""Name to module and attribute, in this package."""


@click.group(
    cls=WithPlugins, commands_at=COMMANDS, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(package_name="ezpath")
def main() -> None:
    """Watch EZPath move container tunnels between hosts and switches."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that is not UTF-8 shows a question mark for what it does not know.
            stream.reconfigure(errors="replace")
