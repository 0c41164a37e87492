"""Which line of a YAML file a field is on, and which keys are given twice. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

Where = tuple[str | int, ...]
"""The way to a field: keys and positions in lists."""


class Lines:
    """Field path to line number, from the YAML tree."""

    def __init__(self, tree: yaml.Node | None) -> None:
        self._tree = tree

    def of(self, where: Where) -> int:
        """The line of the field, or of the nearest thing around it that exists. Lines count from 1."""
        node, line = self._tree, 1
        for part in where:
            found = _child(node, part)
            if found is None:
                break
            line, node = found
        return line

    def doubled_keys(self) -> Iterator[tuple[tuple[str, ...], int]]:
        """YAML lets the last of two equal keys win in silence; we do not."""
        stack: list[tuple[tuple[str, ...], yaml.Node]] = [((), self._tree)] if self._tree else []
        looked_at: set[int] = set()
        while stack:
            path, node = stack.pop()
            if id(node) in looked_at:
                continue  # an alias: it may stand in many places, or in itself
            looked_at.add(id(node))
            if isinstance(node, yaml.SequenceNode):
                stack.extend(((*path, str(index)), child) for index, child in enumerate(node.value))
            if not isinstance(node, yaml.MappingNode):
                continue
            seen: set[str] = set()
            for key, value in node.value:
                if key.value in seen:
                    yield (*path, key.value), key.start_mark.line + 1
                seen.add(key.value)
                stack.append(((*path, str(key.value)), value))


def _child(node: yaml.Node | None, part: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part].start_mark.line + 1, node.value[part]
    return None
