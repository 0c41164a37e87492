"""Options that say which events or pairs somebody wants to see, as values for the commands that look on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar, cast

import click
from click.shell_completion import CompletionItem

from ezpath.catalogue import KINDS, SAMPLE_KIND, channels_of
from ezpath.cli.common import inventory_option
from ezpath.cli.completing import ENDPOINTS, HOSTS, PAIRS, SWITCHES, TENANTS
from ezpath.cli.filters import Filter
from ezpath.cli.moments import Moment, duration_s, moment
from ezpath.cli.watching import Wanted
from ezpath.inventory import Inventory
from ezpath.names import canonical

KEPT = tuple(kind for kind in KINDS if any(channel.kept == "stream" for channel in channels_of([kind])))
_NOT = "not_"
_F = TypeVar("_F", bound=Callable[..., Any])


def duration(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    """``90s``, ``10m``, ``1h30m``, ``1d`` to seconds."""
    if value is None:
        return None
    seconds = duration_s(value)
    if seconds is None:
        raise click.BadParameter(f"{value!r} is no duration: give a number and s, m, h or d, such as 10m", ctx, param)
    return seconds


def a_moment(ctx: click.Context, param: click.Parameter, value: str | None) -> Moment | None:
    try:
        return None if value is None else moment(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


class _Kinds(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A kind of event; several with commas between."""

    name = "kind"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        names = tuple(value.split(","))
        if unknown := [name for name in names if name not in KINDS]:
            self.fail(f"{unknown[0]!r} is no kind of event. There are: {', '.join(KINDS)}", param, ctx)
        return names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(kind) for kind in KINDS if kind.startswith(incomplete)]


def _named(flag: str, parameter: str, only: str, but: str, **more: Any) -> Callable[[_F], _F]:
    """`--FLAG`, and `--not-FLAG`, which leaves out what that would show."""

    def decorate(command: _F) -> _F:
        more.setdefault("metavar", "NAME[,NAME…]")
        command = click.option(f"--not-{flag}", f"{_NOT}{parameter}", multiple=True, help=but, **more)(command)
        return click.option(f"--{flag}", parameter, multiple=True, help=only, **more)(command)

    return decorate


def _split(given: Iterable[str]) -> tuple[str, ...]:
    """Several names may stand with commas between, too: none has one in it."""
    return tuple(name for each in given for name in each.split(","))


def place_options(command: _F) -> _F:
    """`--tenant`, `--endpoint`, `--host`, `--switch`, each with a `--not-…`, and `--inventory`.

    The command gets a :class:`Filter` ``wanted``.
    """

    @inventory_option
    @_named("tenant", "tenants", "Only this tenant; repeatable.", "All but this tenant; repeatable.", **TENANTS)
    @_named("endpoint", "endpoints", "Only its pairs; repeatable.", "All but its pairs; repeatable.", **ENDPOINTS)
    @_named("host", "hosts", "Only pairs on this host; repeatable.", "All but those; repeatable.", **HOSTS)
    @_named("switch", "switches", "Only pairs behind this ToR; repeatable.", "All but those; repeatable.", **SWITCHES)
    @functools.wraps(command)
    def with_filter(*args: Any, inventory: Inventory | None, **given: Any) -> Any:
        places = ("tenants", "endpoints", "hosts", "switches")
        tenants, endpoints, hosts, switches = (_split(given.pop(name)) for name in places)
        wanted = Filter(tenants, hosts, switches, inventory, endpoints)
        wanted.leave_out(**{name: _split(given.pop(_NOT + name)) for name in places})
        return command(*args, wanted=wanted, **given)

    return cast(_F, with_filter)


def event_options(usual: Sequence[str], last: int | None) -> Callable[[_F], _F]:
    """Those of :func:`place_options`, and which kinds and sagas, from when to when; the command gets ``wanted``.

    Without `--kind` the ``usual`` ones, without `--last` and `--since` the ``last`` ones.
    """
    begins = f" [default: {last}]" if last else ""

    def decorate(command: _F) -> _F:
        @place_options
        @_named(
            "kind", "kinds", "Only these; repeatable.", "All but these; repeatable.",
            type=_Kinds(), metavar="KIND[,KIND…]",
        )  # fmt: skip
        @click.option(
            "--all", "everything", is_flag=True, help="Whatever is kept: commands, reports, dead letters too."
        )
        @click.option("--samples", is_flag=True, help="What the collectors read from the switches as well.")
        @_named(
            "saga", "sagas", "Only this saga, or this pair's; repeatable.", "All but those; repeatable.",
            metavar="SAGA|PAIR[,…]", **PAIRS,
        )  # fmt: skip
        @click.option("--last", type=click.IntRange(min=0), metavar="N", help=f"Begin N events back.{begins}")
        @click.option(
            "--since", callback=a_moment, metavar="WHEN", help="Begin there: 90s, 1h30m ago, 03:10, 2026-11-28T03:10."
        )
        @click.option("--until", callback=a_moment, metavar="WHEN", help="End there, and do not go on.")
        @functools.wraps(command)
        def with_wanted(
            *args: Any,
            wanted: Filter,
            kinds: tuple[tuple[str, ...], ...],
            not_kinds: tuple[tuple[str, ...], ...],
            everything: bool,
            samples: bool,
            sagas: tuple[str, ...],
            not_sagas: tuple[str, ...],
            last: int | None,
            since: Moment | None,
            until: Moment | None,
            **rest: Any,
        ) -> Any:
            named, never = {kind for each in kinds for kind in each}, {kind for each in not_kinds for kind in each}
            chosen = named | set(KEPT if everything else () if named else usual) | ({SAMPLE_KIND} if samples else set())
            if not chosen - never:
                raise click.UsageError("--not-kind leaves no kind of event: give others with --kind, or --all")
            wanted.kinds, wanted.sagas = chosen - never, [canonical(name) for name in _split(sagas)]
            wanted.leave_out(kinds=never, sagas=[canonical(name) for name in _split(not_sagas)])
            whole = last is None and since is None and until is None
            asked = Wanted(
                wanted,
                sorted(wanted.kinds),
                first_last if whole else last,
                since,
                until,
                usual=not (named or everything or samples),
                whole=whole,
            )
            return command(*args, wanted=asked, **rest)

        return cast(_F, with_wanted)

    first_last = last
    return decorate
