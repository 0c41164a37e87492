"""``ezpath-bench``: one subcommand a benchmark, each in a module of its own, loaded when it is called."""

from __future__ import annotations

from importlib import import_module

import click

BENCHMARKS = {
    "claims": "figures.claims_command",
    "collectors": "collectors.command",
    "control": "control",
    "dataplane": "dataplane.command",
    "decider": "decider",
    "figures": "figures.command",
    "monitor": "monitor",
    "saga": "saga.command",
}
"""Subcommand to the module whose ``command`` it is."""


class _OnDemand(click.Group):
    """Imports a benchmark when it is asked for: --help should not compile or load anything."""

    def list_commands(self, _: click.Context) -> list[str]:
        return sorted(BENCHMARKS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        if name not in BENCHMARKS:
            return None
        command: click.Command = import_module(f"ezpath_bench.{BENCHMARKS[name]}").command
        return command


@click.group(cls=_OnDemand, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure EZPath's parts side by side with what they are compared to."""
