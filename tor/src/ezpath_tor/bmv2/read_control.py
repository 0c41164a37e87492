"""Pipelines: tables, conditionals and the way from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ezpath_tor.bmv2.language import Source
from ezpath_tor.bmv2.model import Action, Call, Conditional, ConstEntry, KeyField, Node, Pipeline, Table
from ezpath_tor.bmv2.read_expr import Scope, read_expr
from ezpath_tor.bmv2.source import source_of

ScopeAt = Callable[[Source], Scope]


def read_pipeline(pipeline: Mapping[str, Any], actions: Mapping[int, Action], scope_at: ScopeAt) -> Pipeline:
    """``ingress`` or ``egress`` with all its nodes."""
    source = source_of(pipeline)
    for profile in pipeline.get("action_profiles", []):
        raise scope_at(source_of(profile, source)).refuse(f"action profile {profile['name']}")
    nodes: dict[str, Node] = {}
    for table in pipeline["tables"]:
        nodes[table["name"]] = _table(table, actions, scope_at)
    for conditional in pipeline["conditionals"]:
        where = source_of(conditional, source)
        nodes[conditional["name"]] = Conditional(
            name=conditional["name"],
            condition=read_expr(conditional["expression"], scope_at(where)),
            then=conditional["true_next"],
            otherwise=conditional["false_next"],
            source=where,
        )
    return Pipeline(pipeline["name"], pipeline["init_table"], nodes, source)


def _table(table: Mapping[str, Any], actions: Mapping[int, Action], scope_at: ScopeAt) -> Table:
    source = source_of(table)
    scope = scope_at(source)
    name = table["name"]
    _refuse_unsupported(table, scope)
    next_tables = table["next_tables"]
    by_hit = "__HIT__" in next_tables
    default = table.get("default_entry")
    entries = table.get("entries")
    keys = tuple(_key(key, scope) for key in table["key"])
    if sum(key.match == "lpm" for key in keys) > 1:
        raise scope.refuse(f"table {name} with more than one lpm key")
    return Table(
        name=name,
        keys=keys,
        actions=tuple(table["action_ids"]),
        max_size=len(entries) if entries is not None else table["max_size"],
        default=_call(default) if default else None,
        default_is_const=default is not None and default["action_const"] and default["action_entry_const"],
        const_entries=None if entries is None else tuple(_entry(entry, scope) for entry in entries),
        next_by_action={} if by_hit else {action: next_tables[actions[action].name] for action in table["action_ids"]},
        next_hit=next_tables.get("__HIT__"),
        next_miss=next_tables.get("__MISS__"),
        by_hit=by_hit,
        next_default=table["base_default_next"],
        source=source,
    )


def _refuse_unsupported(table: Mapping[str, Any], scope: Scope) -> None:
    name = table["name"]
    if table["type"] != "simple":
        raise scope.refuse(f"table {name} of type {table['type']} (action profile or selector)")
    if table.get("with_counters"):
        raise scope.refuse(f"direct counter of table {name}")
    if table.get("direct_meters"):
        raise scope.refuse(f"direct meter of table {name}")
    if table.get("support_timeout"):
        raise scope.refuse(f"idle timeout of table {name}")


def _key(key: Mapping[str, Any], scope: Scope) -> KeyField:
    if key["match_type"] not in ("exact", "lpm"):
        raise scope.refuse(f"{key['match_type']} match on {key['name']}")
    if key.get("mask") is not None:
        raise scope.refuse(f"static mask on {key['name']}")
    ref = scope.field(key["target"])
    return KeyField(key["name"], key["match_type"], ref, getattr(ref, "width", 1))


def _entry(entry: Mapping[str, Any], scope: Scope) -> ConstEntry:
    match = entry["match_key"]
    for part in match:
        if part["match_type"] not in ("exact", "lpm"):
            raise scope.refuse(f"{part['match_type']} match in a constant entry")
    return ConstEntry(
        values=tuple(int(part["key"], 16) for part in match),
        prefix_lens=tuple(part.get("prefix_length") for part in match),
        call=_call(entry["action_entry"]),
    )


def _call(entry: Mapping[str, Any]) -> Call:
    return Call(entry["action_id"], tuple(int(value, 16) for value in entry["action_data"]))
