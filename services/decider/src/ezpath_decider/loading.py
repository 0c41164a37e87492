"""Strategies by name: found among the installed entry points, bound to an operator's settings.

Anything wrong is said in one sentence with a remedy: a name nobody has, a setting that a strategy does not know.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from functools import partial
from importlib.metadata import entry_points
from typing import Any, cast, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ezpath_decider.strategy import Strategy, StrategyError

GROUP = "ezpath.strategies"
_EXPONENT = re.compile(r"\d+(\.\d+)?e[+-]?\d+", re.IGNORECASE)


def names() -> list[str]:
    """Those that are installed."""
    return sorted(entry_points(group=GROUP).names)


def load(name: str, settings: Mapping[str, Any]) -> Strategy:
    """The strategy ``name``, bound to ``settings``. Raises :class:`StrategyError`."""
    found = entry_points(group=GROUP, name=name)
    if not found:
        raise StrategyError(f"no strategy is called {name!r}. Give one of {', '.join(names())}, or install yours")
    try:
        function = next(iter(found)).load()
    except Exception as error:
        raise StrategyError(f"strategy {name} cannot be imported: {error}. Correct its module") from error
    return bind(name, function, settings)


def bind(name: str, function: Any, settings: Mapping[str, Any]) -> Strategy:
    """``function`` with ``settings``, each checked against its annotation. Raises :class:`StrategyError`."""
    known = {
        parameter.name: parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    hints = get_type_hints(function)
    checked: dict[str, Any] = {}
    for setting, given in settings.items():
        if setting not in known:
            raise StrategyError(
                f"strategy {name} has no setting {setting!r}. It knows {', '.join(known) or 'none at all'}"
            )
        checked[setting] = _checked(f"strategy {name}: {setting}", hints.get(setting, Any), given)
    missing = [
        each for each, parameter in known.items() if parameter.default is parameter.empty and each not in settings
    ]
    if missing:
        raise StrategyError(f"strategy {name} needs {', '.join(missing)}. Give it in its settings")
    return cast(Strategy, partial(function, **checked))


def _checked(what: str, hint: Any, given: Any) -> Any:
    if hint is float and isinstance(given, str) and _EXPONENT.fullmatch(given):
        given = float(given)  # YAML takes 5e6, without a point, for text
    try:
        # Whole numbers are good floats; text is no number, and yes is none either.
        return TypeAdapter(hint).validate_python(given, strict=True)
    except ValidationError as error:
        said = error.errors(include_url=False)[0]["msg"]
        raise StrategyError(f"{what} cannot be {given!r}: {said}. Correct the setting") from None
