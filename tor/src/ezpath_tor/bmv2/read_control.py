"""Pipelines: tables, conditionals and the way from one to the next."""

from __future__ import annotations

from collections.abc import Mapping

from ezpath_tor.bmv2.document import Element, unique
from ezpath_tor.bmv2.model import Action, Conditional, KeyField, Node, Pipeline, Table
from ezpath_tor.bmv2.read_entry import read_call, read_entries
from ezpath_tor.bmv2.read_expr import Scope, read_expr
from ezpath_tor.bmv2.read_statement import ScopeAt

MATCH_KINDS = frozenset(["exact", "lpm", "ternary", "range"])
"""p4c writes ``optional`` as ``ternary``."""


def read_pipeline(
    pipeline: Element, actions: Mapping[int, Action], hits: Mapping[str, str], scope_at: ScopeAt
) -> Pipeline:
    """``ingress`` or ``egress`` with all its nodes."""
    for profile in pipeline.each("action_profiles"):
        kind = "action profile" if profile.get("selector") is None else "action selector"
        raise scope_at(profile).refuse(f"{kind} {profile['name'].text}")
    tables, conditionals = pipeline["tables"].elements, pipeline["conditionals"].elements
    names = {node["name"].text for node in unique([*tables, *conditionals], "name")}
    reader = _Reader(names, actions, hits, scope_at)
    nodes: dict[str, Node] = {table["name"].text: reader.table(table) for table in tables}
    for conditional in conditionals:
        nodes[conditional["name"].text] = reader.conditional(conditional)
    start = reader.next(pipeline, "init_table")
    return Pipeline(pipeline["name"].text, start, nodes, scope_at(pipeline).source)


class _Reader:
    """Reads the nodes of one pipeline; ``names`` are all of them, ``hits`` the direct counters by table."""

    def __init__(
        self, names: set[str], actions: Mapping[int, Action], hits: Mapping[str, str], scope_at: ScopeAt
    ) -> None:
        self._names = names
        self._actions = actions
        self._hits = hits
        self._scope_at = scope_at

    def next(self, element: Element, member: str) -> str | None:
        """The node that ``member`` names; None is the pipeline's end."""
        if element[member].is_null:
            return None
        return element[member].one_of(self._names.__contains__, "table or condition")

    def conditional(self, conditional: Element) -> Conditional:
        scope = self._scope_at(conditional)
        return Conditional(
            name=conditional["name"].text,
            condition=read_expr(conditional["expression"], scope),
            then=self.next(conditional, "true_next"),
            otherwise=self.next(conditional, "false_next"),
            source=scope.source,
        )

    def table(self, table: Element) -> Table:
        scope = self._scope_at(table)
        _refuse_unsupported(table, scope)
        keys = tuple(_key(key, scope) for key in table["key"])
        actions = [self._action(action) for action in table["action_ids"]]
        if sum(key.match == "lpm" for key in keys) > 1:
            raise scope.refuse(f"table {table['name'].text} with more than one lpm key")
        default = table.get("default_entry")
        following = table["next_tables"]
        by_hit = following.get("__HIT__") is not None or "__HIT__" in following.members
        entries = read_entries(table, keys, actions)
        return Table(
            name=table["name"].text,
            keys=keys,
            actions=tuple(action.id for action in actions),
            max_size=max(table["max_size"].number, len(entries)),
            default=read_call(default, actions) if default is not None else None,
            default_is_const=default is not None
            and default["action_const"].flag
            and default["action_entry_const"].flag,
            entries=entries,
            hit_counter=self._hits.get(table["name"].text),
            next_by_action={} if by_hit else {action.id: self.next(following, action.name) for action in actions},
            next_hit=self.next(following, "__HIT__") if by_hit else None,
            next_miss=self.next(following, "__MISS__") if by_hit else None,
            by_hit=by_hit,
            next_default=self.next(table, "base_default_next"),
            source=scope.source,
        )

    def _action(self, element: Element) -> Action:
        if element.number not in self._actions:
            raise element.malformed(f"the program has no action with id {element.number}")
        return self._actions[element.number]


def _refuse_unsupported(table: Element, scope: Scope) -> None:
    name = table["name"].text
    if table["type"].text != "simple":
        raise scope.refuse(f"table {name} of type {table['type'].text} (action profile or selector)")
    if table.get("direct_meters") is not None:
        raise scope.refuse(f"direct meter of table {name}")
    timeout = table.get("support_timeout")
    if timeout is not None and timeout.flag:
        raise scope.refuse(f"idle timeout of table {name}")


def _key(key: Element, scope: Scope) -> KeyField:
    kind = key["match_type"].text
    said = key.get("name")
    name = said.text if said is not None else ".".join(part.text for part in key["target"])
    if kind not in MATCH_KINDS:
        raise scope.refuse(f"{kind} match on {name}")
    ref = scope.field(key["target"])
    mask = key.get("mask")
    if mask is not None and kind != "exact":
        raise scope.refuse(f"{kind} match on {name} with a mask in the key")
    return KeyField(name, kind, ref, getattr(ref, "width", 1), None if mask is None else mask.hexadecimal)
