"""What an operator sets: strategy, budgets, lists, in one YAML document.

Pure. Checked as the inventory is: whatever is wrong is named with its file, line, cause and remedy, all at once.
"""

from __future__ import annotations

from typing import Annotated, Any

import yaml
from ezpath.inventory import Inventory, InventoryError
from ezpath.inventory.lines import Lines
from ezpath.inventory.problems import Problem, field_name, problem_of
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ezpath_decider.allowance import Allowance, BudgetRules
from ezpath_decider.directory import directory_of
from ezpath_decider.engine import Engine
from ezpath_decider.loading import load
from ezpath_decider.pins import PATTERN, Lists, Pins
from ezpath_decider.strategy import Strategy, StrategyError

Setting = bool | int | float | str
Count = Annotated[int, Field(ge=0, strict=True)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]


def _pattern(text: str) -> str:
    if not PATTERN.fullmatch(text):
        raise ValueError(f"{text!r} names no flows. Write tenant.endpoint.endpoint, with * and ? where you like")
    return text


_BUDGET = BudgetRules()
Patterns = tuple[Annotated[str, AfterValidator(_pattern)], ...]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BudgetConfig(_Strict):
    """Entries on each ToR; see :class:`~ezpath_decider.allowance.BudgetRules`."""

    entries: Count = _BUDGET.entries
    share: Share = _BUDGET.share
    reserve: Count = _BUDGET.reserve
    switches: dict[str, Count] = {}
    tenants: dict[str, Count] = {}
    headroom: Share = _BUDGET.headroom

    def rules(self) -> BudgetRules:
        return BudgetRules(**self.model_dump())


class ListsConfig(_Strict):
    """Flows by name; see :class:`~ezpath_decider.pins.Lists`."""

    always: Patterns = ()
    allow: Patterns = ()
    deny: Patterns = ()

    def lists(self) -> Lists:
        return Lists(**self.model_dump())


class Policy(_Strict):
    """The file."""

    strategy: str = "threshold"
    settings: dict[str, Setting] = {}
    """Of the strategy."""
    budget: BudgetConfig = BudgetConfig()
    flows: ListsConfig = ListsConfig()
    kinds: dict[str, Weight] = {}
    """How much flows of an application's kind count; 1 for those not named."""
    half_life_s: Seconds = 30.0
    """The means that strategies go by forget half in so many seconds."""
    retry_after_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 30.0
    """A flow that was rolled back is left alone for so long, twice as long after the next time, and so on."""
    moves_per_round: Annotated[int, Field(ge=1, strict=True)] = 500

    def apply(self, engine: Engine, strategy: Strategy) -> None:
        """Let ``engine`` decide by this from now on. ``strategy`` is this policy's, loaded."""
        engine.strategy = strategy
        engine.allowance.rules = self.budget.rules()
        engine.pins = Pins(engine.directory, self.flows.lists(), engine.pins.paused)
        engine.retry_after_s, engine.moves_per_round = self.retry_after_s, self.moves_per_round
        engine.series.half_life_s = self.half_life_s
        engine.kinds = self.kinds


def parse(text: str, file: str, defaults: Policy, inventory: Inventory) -> tuple[Policy, Strategy]:
    """The policy in ``text``; what it does not say is as in ``defaults``. Raises :class:`InventoryError`."""
    try:
        lines, raw = Lines(yaml.compose(text, Loader=yaml.SafeLoader)), yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        cause = f"not YAML: {getattr(error, 'problem', error)}"
        raise InventoryError([Problem(file, mark.line + 1 if mark else 1, "file", cause, "Correct it there")]) from None
    raw = {} if raw is None else raw
    try:
        policy = Policy.model_validate(_over(defaults, raw))
    except ValidationError as error:
        raise InventoryError(
            [problem_of(dict(e), lines, file, Policy) for e in error.errors(include_url=False)]
        ) from None
    problems = [
        Problem(file, lines.of(where), field_name(where), *rest) for where, *rest in _unknown(policy, inventory)
    ]
    problems += [
        Problem(file, line, field_name(where), "is given twice", "Keep one of them")
        for where, line in lines.doubled_keys()
    ]
    if problems:
        raise InventoryError(problems)
    try:
        return policy, tried(policy, inventory)
    except StrategyError as error:
        cause, _, remedy = str(error).partition(". ")
        where = "strategy" if cause.startswith("no strategy") else "settings"
        raise InventoryError([Problem(file, lines.of((where,)), where, cause, remedy)]) from None


def tried(policy: Policy, inventory: Inventory) -> Strategy:
    """The policy's strategy, after it has decided about nobody. Raises :class:`StrategyError`."""
    strategy = load(policy.strategy, policy.settings)
    directory = directory_of(inventory)
    Engine(directory, strategy, Allowance(directory), Pins(directory)).trial()
    return strategy


def _over(defaults: Policy, raw: Any) -> Any:
    """``raw`` over ``defaults``. Settings are those of one strategy: another one begins with its own."""
    if not isinstance(raw, dict):
        return raw
    base = defaults.model_dump()
    if raw.get("strategy", defaults.strategy) != defaults.strategy:
        base["settings"] = {}
    for part in ("settings", "budget", "flows"):
        if isinstance(raw.get(part), dict):
            raw = {**raw, part: {**base[part], **raw[part]}}
    return {**base, **raw}


def _unknown(policy: Policy, inventory: Inventory) -> list[tuple[tuple[str, ...], str, str]]:
    """Names in the budget that nobody has."""
    budget = policy.budget
    named = (("switches", budget.switches, inventory.switches), ("tenants", budget.tenants, inventory.tenants))
    return [
        (("budget", kind, name), f"{name} is not in the inventory", f"Give one of {', '.join(known) or 'none'}")
        for kind, given, known in named
        for name in given
        if name not in known
    ]
