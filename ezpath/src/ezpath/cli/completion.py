"""`ezpath completion`: what a shell has to be told to complete this command's names and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

EXAMPLES = """\b
Examples:
  eval "$(ezpath completion bash)"                                   now; in ~/.bashrc: from now on (bash 4.4 or newer)
  eval "$(ezpath completion zsh)"                                    in ~/.zshrc, behind compinit
  ezpath completion fish > ~/.config/fish/completions/ezpath.fish

Names of tenants, endpoints, hosts, switches and pairs are completed from the inventory that EZPATH_INVENTORY or
--inventory names.

\b
Exit status: 0 printed, 2 wrong usage.
"""


@click.command(epilog=EXAMPLES)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes `ezpath` in SHELL."""
    kind = get_completion_class(shell)
    assert kind is not None
    root = ctx.find_root()
    # not source(), which refuses where the bash on PATH is old, whoever's shell this is for
    script = kind(root.command, {}, "ezpath", "_EZPATH_COMPLETE")
    click.echo(script.source_template % script.source_vars())
