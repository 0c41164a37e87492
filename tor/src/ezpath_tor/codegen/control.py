"""Pipelines: the graph of tables and conditionals as nested C, as it stood in P4.

The compiler has made ``if``, ``switch`` and ``apply`` into a graph. Where the ways from a node meet again is its
immediate post-dominator; what lies before it becomes the branches, it itself follows them. Where the compiler has
tied branches together in a way that no nesting can say, a ``goto`` does.
"""

from __future__ import annotations

from collections.abc import Mapping

from ezpath_tor.bmv2.model import Conditional, Node, Pipeline, Program, Table
from ezpath_tor.codegen.expressions import Expressions
from ezpath_tor.codegen.names import c_name
from ezpath_tor.codegen.tables import may_exit
from ezpath_tor.codegen.writer import Writer, quote
from ezpath_tor.plane import Unsupported


class PipelineWriter:
    """Writes ``ingress()`` or ``egress()``."""

    def __init__(self, out: Writer, program: Program, pipeline: Pipeline) -> None:
        self._out = out
        self._program = program
        self._pipeline = pipeline
        self._meets = meeting_points(pipeline)
        self._written: set[str] = set()
        self._labels: set[str] = set()

    def write(self) -> None:
        """Raises :class:`Unsupported` where the graph has a loop."""
        self._labels = self._goto_targets()
        self._written = set()
        with self._out.block(f"static __always_inline void {self._pipeline.name}(struct state *s)"):
            self._until(self._pipeline.start, None)
        self._out.line()

    def _goto_targets(self) -> set[str]:
        """Nodes that more than one place leads to: found by writing it all once for nothing."""
        rehearsal = PipelineWriter.__new__(PipelineWriter)
        rehearsal.__dict__.update(self.__dict__, _out=Writer(), _written=set(), _labels=set())
        rehearsal._until(self._pipeline.start, None)
        return rehearsal._labels

    def _until(self, name: str | None, stop: str | None) -> None:
        """Writes from node ``name`` up to, not including, ``stop``."""
        while name is not None and name != stop:
            if name in self._written:
                self._labels.add(name)
                self._out.line(f"goto {c_name(name)};")
                return
            self._written.add(name)
            if name in self._labels:
                self._out.label(c_name(name))
            node = self._pipeline.nodes[name]
            meet = self._meets[name]
            if isinstance(node, Conditional):
                self._conditional(node, meet)
            else:
                self._table(node, meet)
            name = meet
        if name is None and stop is not None:
            # The pipeline ends here although more text follows.
            self._out.line("return;")

    def _conditional(self, node: Conditional, meet: str | None) -> None:
        condition = Expressions(node.source).truth(node.condition)
        self._out.comment(quote(node.source), node.source)
        if node.then == meet and node.otherwise == meet:
            return
        if node.then == meet:
            with self._out.block(f"if (!({condition}))"):
                self._until(node.otherwise, meet)
            return
        tail = "}" if node.otherwise == meet else "} else {"
        with self._out.block(f"if ({condition})", tail=tail):
            self._until(node.then, meet)
        if node.otherwise != meet:
            with self._out.rest():
                self._until(node.otherwise, meet)

    def _table(self, node: Table, meet: str | None) -> None:
        out = self._out
        branches = any(successor != meet for successor in node.successors())
        with out.block("", node.source):
            out.line("bool hit;")
            out.line(f"u32 ran = apply_{c_name(node.name)}(s, &hit);")
            if may_exit(self._program, node):
                out.line("if (s->exited)")
                out.line("\treturn;")
            if branches and node.by_hit:
                self._after_hit_or_miss(node, meet)
            elif branches:
                self._after_action(node, meet)
            out.line("(void)hit, (void)ran;")

    def _after_hit_or_miss(self, node: Table, meet: str | None) -> None:
        for test, successor in (("hit", node.next_hit), ("!hit", node.next_miss)):
            if successor != meet:
                with self._out.block(f"if ({test})"):
                    self._until(successor, meet)

    def _after_action(self, node: Table, meet: str | None) -> None:
        by_successor: dict[str | None, list[int]] = {}
        for action, successor in node.next_by_action.items():
            by_successor.setdefault(successor, []).append(action)
        for successor, actions in by_successor.items():
            if successor == meet:
                continue
            names = ", ".join(self._program.actions[action].name for action in actions)
            test = " || ".join(f"ran == {action}" for action in actions)
            with self._out.block(f"if ({test})"):
                self._out.comment(f"after {names}")
                self._until(successor, meet)


def meeting_points(pipeline: Pipeline) -> dict[str, str | None]:
    """For each node, the first node that all ways from it lead through; None is the pipeline's end."""
    order = _topological(pipeline)
    after: dict[str | None, list[str | None]] = {None: [None]}
    """For each node, all nodes that every way from it leads through, the nearest first, itself included."""
    for name in reversed(order):
        chains = [after[successor] for successor in pipeline.nodes[name].successors()]
        common = [node for node in chains[0] if all(node in chain for chain in chains[1:])]
        after[name] = [name, *common]
    return {name: after[name][1] for name in order}


def _topological(pipeline: Pipeline) -> list[str]:
    """Nodes that can be reached, each before its successors."""
    finished: list[str] = []
    done: set[str] = set()
    nodes: Mapping[str, Node] = pipeline.nodes

    def visit(name: str | None, path: frozenset[str]) -> None:
        if name is None or name in done:
            return
        if name in path:
            raise Unsupported(f"a loop through {name} in {pipeline.name}", str(nodes[name].source))
        for successor in nodes[name].successors():
            visit(successor, path | {name})
        done.add(name)
        finished.append(name)

    visit(pipeline.start, frozenset())
    return finished[::-1]
