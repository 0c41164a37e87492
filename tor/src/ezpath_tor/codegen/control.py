"""Pipelines: the graph of tables and conditionals as nested C, as it stood in P4.

The compiler has made ``if``, ``switch`` and ``apply`` into a graph. Where the ways from a node meet again is its
immediate post-dominator; what lies before it becomes the branches, it itself follows them. Where the compiler has
tied branches together in a way that no nesting can say, a ``goto`` does.
"""

from __future__ import annotations

from collections.abc import Mapping

from ezpath_tor.bmv2.model import Conditional, Node, Pipeline, Program, Table
from ezpath_tor.codegen.expressions import Expressions
from ezpath_tor.codegen.names import c_name, global_name
from ezpath_tor.codegen.statements import action_constant
from ezpath_tor.codegen.tables import is_plain_call, may_exit, write_plain_call
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
        """``if``, with a chain of ``else if`` where the P4 has one."""
        out = self._out
        if node.then == meet and node.otherwise == meet:
            return
        head = "if"
        while True:
            negated = node.then == meet
            condition = Expressions(node.source).truth(node.condition)
            test = f"!({condition})" if negated else condition
            out.open(f"{head} ({test}) {{", node.source, quote(node.source))
            self._until(node.otherwise if negated else node.then, meet)
            rest = meet if negated else node.otherwise
            following = self._pipeline.nodes.get(rest) if rest is not None else None
            if rest == meet or not self._continues(following, meet):
                break
            assert isinstance(following, Conditional)
            self._written.add(following.name)
            node, head = following, "} else if"
            out.close()
        if rest != meet:
            out.close()
            out.open("} else {")
            self._until(rest, meet)
        out.close("}")

    def _continues(self, node: Node | None, meet: str | None) -> bool:
        """The node can stand behind ``else`` without a block of its own."""
        return (
            isinstance(node, Conditional)
            and node.name not in self._written
            and node.name not in self._labels
            and self._meets[node.name] == meet
            and not node.then == node.otherwise == meet
        )

    def _table(self, node: Table, meet: str | None) -> None:
        out = self._out
        branches = any(successor != meet for successor in node.successors())
        if is_plain_call(node):
            write_plain_call(out, self._program, node, node.source)
            if may_exit(self._program, node):
                out.line("if (s->exited)")
                out.line("\treturn;")
            if branches:
                self._until(self._only_successor(node), meet)
            return
        call = f"apply_{global_name(node.name)}(s)"
        if not may_exit(self._program, node):
            self._after(node, call, meet, branches=branches)
            return
        with out.block("", node.source):
            out.line(f"{'bool hit' if node.by_hit else 'u32 ran'} = {call};")
            out.line("if (s->exited)")
            out.line("\treturn;")
            self._after(node, "hit" if node.by_hit else "ran", meet, branches=branches)

    def _after(self, node: Table, result: str, meet: str | None, *, branches: bool) -> None:
        """Where control goes; ``result`` is C that says whether the table hit, or which action ran."""
        if not branches:
            self._out.line(f"{result};" if "(" in result else f"(void){result};", node.source)
        elif node.by_hit:
            self._after_hit_or_miss(node, result, meet)
        else:
            self._after_action(node, result, meet)

    def _only_successor(self, node: Table) -> str | None:
        assert node.default is not None, "a plain call calls something"
        if node.by_hit:
            return node.next_miss
        return node.next_by_action[node.default.action]

    def _after_hit_or_miss(self, node: Table, result: str, meet: str | None) -> None:
        out = self._out
        first, second = node.next_hit, node.next_miss
        negated = first == meet
        out.open(f"if ({'!' if negated else ''}{result}) {{", node.source)
        self._until(second if negated else first, meet)
        if not negated and second != meet:
            out.close()
            out.open("} else {")
            self._until(second, meet)
        out.close("}")

    def _after_action(self, node: Table, result: str, meet: str | None) -> None:
        out = self._out
        by_successor: dict[str | None, list[str]] = {}
        for action, successor in node.next_by_action.items():
            constant = action_constant(self._program, self._program.actions[action])
            by_successor.setdefault(successor, []).append(constant)
        if node.default is None:
            by_successor.setdefault(node.next_default, []).append("RAN_NOTHING")
        with out.block(f"switch ({result})", node.source):
            for successor, constants in by_successor.items():
                if successor == meet:
                    continue
                for constant in constants[:-1]:
                    out.line(f"case {constant}:")
                out.open(f"case {constants[-1]}: {{")
                self._until(successor, meet)
                out.line("break;")
                out.close("}")


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
