"""The policy file: what may be in it, what is said of a mistake, and that a change needs no restart."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from decider_support import Network
from ezpath.inventory import Inventory, InventoryError
from ezpath.names import PairId
from ezpath_decider.policy import BudgetConfig, Policy, parse
from ezpath_decider.policyfile import PolicyFile
from ezpath_decider.rounds import SHOWN, flow_lines

DEFAULTS = Policy(settings={"enter_bps": 2e7}, budget=BudgetConfig(entries=64))

FULL = """
strategy: value
settings: {per: bytes, stickiness: 0.4, floor: 1000}
kinds: {batch: 0.5}
half_life_s: 20
retry_after_s: 5
moves_per_round: 100
budget:
  entries: 2000
  share: 0.5
  reserve: 100
  switches: {tor1: 500}
  tenants: {red: 300}
  headroom: 0.1
flows:
  always: [red.red-1.red-3]
  allow: ["red.*.*", "blue.*.*"]
  deny: ["*.*.red-5"]
"""


def test_given_a_full_file_then_all_of_it_is_there(inventory: Inventory) -> None:
    policy, _ = parse(FULL, "policy.yaml", DEFAULTS, inventory)
    rules, lists = policy.budget.rules(), policy.flows.lists()
    assert (policy.strategy, policy.settings["floor"], policy.kinds) == ("value", 1000, {"batch": 0.5})
    assert (rules.entries, rules.share, rules.reserve, rules.headroom) == (2000, 0.5, 100, 0.1)
    assert (rules.switches, rules.tenants) == ({"tor1": 500}, {"red": 300})
    assert (lists.always, lists.deny) == (("red.red-1.red-3",), ("*.*.red-5",))


def test_given_an_empty_file_then_it_is_as_the_command_line_says(inventory: Inventory) -> None:
    assert parse("", "policy.yaml", DEFAULTS, inventory)[0] == DEFAULTS


def test_given_a_part_then_the_rest_is_as_the_command_line_says(inventory: Inventory) -> None:
    policy, strategy = parse("settings: {exit_bps: 1e3}\nbudget: {share: 0.5}", "policy.yaml", DEFAULTS, inventory)
    assert strategy.keywords == {"enter_bps": 2e7, "exit_bps": 1000.0}  # type: ignore[attr-defined]
    assert (policy.budget.entries, policy.budget.share) == (64, 0.5)


def test_given_another_strategy_then_it_does_not_get_the_settings_of_the_first(inventory: Inventory) -> None:
    assert parse("strategy: value", "policy.yaml", DEFAULTS, inventory)[0].settings == {}


@pytest.mark.parametrize(
    "text, said",
    [
        ("strategy: best", "policy.yaml:1: strategy: no strategy is called 'best'. Give one of pinned, threshold"),
        ("retry_after_s: 1\nsettings: {loud: 1}", "policy.yaml:2: settings: strategy threshold has no setting 'loud'."),
        (
            "settings: {enter_bps: 1.0, exit_bps: 2.0}",
            "policy.yaml:1: settings: the strategy fails with ValueError: exit",
        ),
        ("budget: {entries: -1}", "policy.yaml:1: budget.entries: -1 is out of range. Give at least 0"),
        ("budget:\n  entries: '9'", "policy.yaml:2: budget.entries: is not a whole number. Write it in digits"),
        ("budget: {share: 1.5}", "policy.yaml:1: budget.share: 1.5 is out of range. Give at most 1"),
        (
            "budget:\n  tenants: {green: 5}",
            "policy.yaml:2: budget.tenants.green: green is not in the inventory. Give one",
        ),
        (
            "budget:\n  switches: {tor9: 5}",
            "budget.switches.tor9: tor9 is not in the inventory. Give one of tor1, tor2",
        ),
        ("flows: {deny: [red]}", "flows.deny.0: 'red' names no flows. Write tenant.endpoint.endpoint, with * and ?"),
        ("colour: blue", "policy.yaml:1: colour: is not known here. Remove it or correct its name"),
        ("strategy: value\nstrategy: topk", "policy.yaml:2: strategy: is given twice. Keep one of them"),
        ("[1, 2]", "policy.yaml:1: file: "),
        ("a: [", "policy.yaml:1: file: not YAML"),
        ("half_life_s: .nan", "half_life_s"),
    ],
)
def test_given_a_mistake_then_file_line_field_cause_and_remedy(inventory: Inventory, text: str, said: str) -> None:
    with pytest.raises(InventoryError) as refused:
        parse(text, "policy.yaml", DEFAULTS, inventory)
    assert said in str(refused.value)


class TestFile:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / "policy.yaml"

    def write(self, path: Path, text: str) -> None:
        before = path.stat().st_mtime_ns if path.exists() else 0
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(before + 10**9, before + 10**9))

    def test_given_a_change_then_it_is_read_again_once(self, path: Path, inventory: Inventory) -> None:
        self.write(path, "strategy: topk")
        file = PolicyFile(path, DEFAULTS)
        assert file.check(inventory) == [] and not file.reread(inventory)
        self.write(path, "strategy: value")
        assert file.reread(inventory) and file.policy.strategy == "value"
        assert not file.reread(inventory)

    def test_given_a_bad_change_then_it_is_said_once_and_the_one_before_holds_on(
        self, path: Path, inventory: Inventory
    ) -> None:
        self.write(path, "strategy: topk")
        file = PolicyFile(path, DEFAULTS)
        file.check(inventory)
        self.write(path, "strategy: best")
        with pytest.raises(InventoryError, match="no strategy is called 'best'"):
            file.reread(inventory)
        assert file.policy.strategy == "topk" and not file.reread(inventory)

    def test_given_a_file_that_goes_away_then_the_policy_stays_and_a_new_one_is_read(
        self, path: Path, inventory: Inventory
    ) -> None:
        self.write(path, "strategy: topk")
        file = PolicyFile(path, DEFAULTS)
        file.check(inventory)
        path.unlink()
        with pytest.raises(InventoryError, match="cannot be read"):
            file.reread(inventory)
        assert file.policy.strategy == "topk"
        self.write(path, "strategy: value")
        assert file.reread(inventory) and file.policy.strategy == "value"

    def test_given_no_file_then_the_command_line_is_checked(self, inventory: Inventory) -> None:
        (said,) = PolicyFile(None, Policy(strategy="best")).check(inventory)
        assert said.startswith("--strategy: no strategy is called 'best'")

    def test_given_a_file_that_is_not_there_then_its_name(self, path: Path, inventory: Inventory) -> None:
        (said,) = PolicyFile(path, DEFAULTS).check(inventory)
        assert said.startswith(f"{path}:0: file: cannot be read")


class TestFlowLines:
    def test_given_flows_then_the_busiest_first_and_where_each_is(self, inventory: Inventory) -> None:
        network = Network(inventory, "threshold")
        network.seconds(6, {"red.red-1.red-3": 6e6, "red.red-2.red-4": 2e6, "red.red-1.red-2": 0.0})
        one, other = flow_lines(network.last.candidates, network.world.sagas)
        assert (one.pair, one.where, one.phase, one.switches) == (
            "red.red-1.red-3",
            "switch",
            "active",
            ("tor1", "tor2"),
        )
        assert (other.pair, other.where, other.phase) == ("red.red-2.red-4", "overlay", None)
        assert one.rate_bps == pytest.approx(6e6, rel=1e-3) and one.packets_s == pytest.approx(750, rel=0.01)

    def test_given_a_silent_flow_on_the_switches_then_it_is_shown(self, inventory: Inventory) -> None:
        network = Network(inventory, "pinned")
        network.offload_by_hand("red.red-1.red-3")
        network.standing.learn(network.world.sagas, network.now)
        network.deaf = frozenset(inventory.switches)
        network.second({})
        (line,) = flow_lines(network.last.candidates, network.world.sagas)
        assert (line.pair, line.where, line.rate_bps) == (PairId("red.red-1.red-3"), "switch", 0)

    def test_given_more_flows_than_a_message_holds_then_the_busiest(self) -> None:
        import numpy as np
        from ezpath_decider.allowance import Allowance
        from ezpath_decider.engine import Engine
        from ezpath_decider.loading import load
        from ezpath_decider.pins import Pins
        from ezpath_decider.sim.network import Size, places

        directory, _ = places(Size(racks=13, tenants=1, spare=0.0), np.random.default_rng(1))
        engine = Engine(directory, load("pinned", {}), Allowance(directory), Pins(directory))
        # endpoint 0 and each of the others, the last the busiest
        rows = engine.series.rows_of(np.arange(1, SHOWN + 501, dtype=np.uint64), 0)
        engine.series.rows.octet_history[rows, 0] = np.arange(1, len(rows) + 1)
        lines = flow_lines(engine.candidates(1.0), {})
        assert len(lines) == SHOWN and lines[-1].rate_bps == 8 * 501
