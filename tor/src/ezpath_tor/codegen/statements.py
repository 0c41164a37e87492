"""Actions and the statements in them."""

from __future__ import annotations

from ezpath_tor.bmv2.language import (
    Assign,
    AssignHeader,
    Count,
    Exit,
    FieldRef,
    HashInto,
    HeaderChoice,
    HeaderValue,
    MarkToDrop,
    Nothing,
    RegisterRead,
    RegisterWrite,
    SetInvalid,
    SetValid,
    Shift,
    Source,
    Statement,
)
from ezpath_tor.bmv2.model import Action, Program
from ezpath_tor.codegen.bounds import parts_of
from ezpath_tor.codegen.expressions import Expressions
from ezpath_tor.codegen.hashes import hash_function
from ezpath_tor.codegen.names import c_name, declaration, field_path, global_name, header_path, valid_path
from ezpath_tor.codegen.writer import Writer
from ezpath_tor.layout import limbs_of, params_struct
from ezpath_tor.plane import Unsupported

DROP_PORT = 511
NO_ACTION = 0xFFFFFFFF
"""What ran where a table without a default action misses. Not an action's id."""


def action_name(program: Program, action: Action) -> str:
    """The C function of an action."""
    return global_name(program.action_label(action))


def action_constant(program: Program, action: Action) -> str:
    """The C constant that says which action ran."""
    return f"RAN_{action_name(program, action)}"


def write_constants(out: Writer, program: Program) -> None:
    """One number for each action, as entries hold it."""
    with out.block("enum action", tail="};"):
        for action in program.actions.values():
            out.line(f"{action_constant(program, action)} = {action.id},")
        out.line(f"RAN_NOTHING = {NO_ACTION:#x},")
    out.line()


def write_params(out: Writer, program: Program, action: Action) -> None:
    """The struct of an action's parameters, where it has any."""
    if not action.params:
        return
    struct = f"struct {action_name(program, action)}_params"
    with out.block(struct, tail="};"):
        for param in action.params:
            out.line(declaration(c_name(param.name), param.width))
    out.line(f'_Static_assert(sizeof({struct}) == {params_struct(action).size}, "layout.py");')
    out.line()


def write_action(out: Writer, program: Program, action: Action) -> None:
    """One C function for one action."""
    name = action_name(program, action)
    out.comment(f"action {action.name}", action.source)
    params = f", const struct {name}_params *params" if action.params else ""
    with out.block(f"static __always_inline void {name}(struct state *s{params})"):
        known_valid: set[str] = set()
        for statement in action.body:
            write_statement(out, program, statement, known_valid)
            if isinstance(statement, Exit):
                break
    out.line()


def exits(action: Action) -> bool:
    return any(isinstance(statement, Exit) for statement in action.body)


def write_statement(out: Writer, program: Program, statement: Statement, known_valid: set[str]) -> None:
    """The C of one statement; ``known_valid`` are headers that were made valid above it."""
    expressions = Expressions(statement.source)
    source = statement.source
    match statement:
        case Assign():
            write_assign(out, program, expressions, statement, frozenset(known_valid))
        case AssignHeader(target, value):
            known_valid.discard(target)
            _write_assign_header(out, program, expressions, target, value, source)
        case SetValid(header):
            known_valid.add(header)
            with out.block(f"if (!{valid_path(header)})", source):
                out.line(f"clear(&{header_path(header)});")
                out.line(f"{valid_path(header)} = 1;")
        case SetInvalid(header):
            known_valid.discard(header)
            # All of it: the fields of a header that is not there read as zero.
            with out.block("", source):
                out.line(f"clear(&{header_path(header)});")
                out.line(f"{valid_path(header)} = 0;")
        case Shift(elements):
            known_valid.difference_update(elements)
            _write_shift(out, statement)
        case MarkToDrop():
            out.line(f"s->standard_metadata.egress_spec = {DROP_PORT};", source)
        case RegisterRead():
            _write_register_read(out, program, expressions, statement)
        case RegisterWrite():
            _write_register_write(out, program, expressions, statement)
        case Count(counter, index):
            out.line(f"count(&{global_name(counter)}, {expressions.value(index, 32)}, s->frame);", source)
        case HashInto():
            _write_hash(out, program, expressions, statement)
        case Exit():
            out.line("s->exited = 1;", source)
        case Nothing():
            pass


def write_assign(
    out: Writer, program: Program, expressions: Expressions, assign: Assign, known_valid: frozenset[str]
) -> None:
    """``target = value``; nothing happens where the target's header is not valid."""
    target, source = assign.target, assign.source
    guard = _guard(program, target, known_valid)
    if target.width <= 64:
        out.line(f"{guard}{field_path(target)} = {expressions.assigned(assign.value, target.width)};", source)
        return
    limbs = expressions.limbs(assign.value, target.width)
    _write_limbs(out, guard, field_path(target), limbs, assign, aliased=target in parts_of(assign.value))


def _guard(program: Program, target: FieldRef, known_valid: frozenset[str]) -> str:
    header = program.headers[target.header]
    if header.metadata or target.header in known_valid:
        return ""
    return f"if ({valid_path(target.header)}) "


def _write_limbs(out: Writer, guard: str, path: str, limbs: list[str], assign: Assign, *, aliased: bool) -> None:
    with out.block(guard.rstrip(), assign.source):
        if aliased:
            for index, limb in enumerate(limbs):
                out.line(f"u64 limb{index} = {limb};")
            limbs = [f"limb{index}" for index in range(len(limbs))]
        for index, limb in enumerate(limbs):
            out.line(f"{path}[{index}] = {limb};")


def _write_assign_header(
    out: Writer, program: Program, expressions: Expressions, target: str, value: HeaderValue, source: Source
) -> None:
    if isinstance(value, HeaderChoice):
        with out.block(f"if ({expressions.truth(value.condition)})", source):
            _write_assign_header(out, program, expressions, target, value.then, source)
        with out.block("else"):
            _write_assign_header(out, program, expressions, target, value.otherwise, source)
    elif program.headers[target].type_name != program.headers[value].type_name:
        raise Unsupported("assignment between headers of different types", str(source))
    elif target != value:
        # An invalid header is all zero, so that a copy of it is invalid and zero as well.
        with out.block("", source):
            out.line(f"{header_path(target)} = {header_path(value)};")
            out.line(f"{valid_path(target)} = {valid_path(value)};")


def _write_shift(out: Writer, statement: Shift) -> None:
    """What moves in from outside is not valid."""
    elements, by = statement.elements, statement.by
    places = range(len(elements))
    for place in reversed(places) if by > 0 else places:
        target, source = elements[place], place - by
        with out.block("", statement.source):
            if 0 <= source < len(elements):
                out.line(f"{header_path(target)} = {header_path(elements[source])};")
                out.line(f"{valid_path(target)} = {valid_path(elements[source])};")
            else:
                out.line(f"clear(&{header_path(target)});")
                out.line(f"{valid_path(target)} = 0;")


def _write_register_read(out: Writer, program: Program, expressions: Expressions, statement: RegisterRead) -> None:
    register = program.registers[statement.register]
    target = statement.target
    guard = _guard(program, target, frozenset())
    with out.block("", statement.source):
        out.line(f"u32 index = {expressions.value(statement.index, 32)};")
        out.line(f"u64 *cell = bpf_map_lookup_elem(&{global_name(register.name)}, &index);")
        if target.width <= 64:
            value = _truncated("*cell", min(register.width, 64), target.width)
            out.line(f"{guard}{field_path(target)} = cell ? {value} : 0;")
            return
        for limb in range(limbs_of(target.width)):
            value = f"cell ? cell[{limb}] : 0" if limb < limbs_of(register.width) else "0"
            out.line(f"{guard}{field_path(target)}[{limb}] = {value};")


def _truncated(text: str, have: int, want: int) -> str:
    return text if have <= want else f"{text} & {(1 << want) - 1:#x}ull"


def _write_register_write(out: Writer, program: Program, expressions: Expressions, statement: RegisterWrite) -> None:
    register = program.registers[statement.register]
    with out.block("", statement.source):
        out.line(f"u32 index = {expressions.value(statement.index, 32)};")
        out.line(f"u64 *cell = bpf_map_lookup_elem(&{global_name(register.name)}, &index);")
        with out.block("if (cell)"):
            for index, limb in enumerate(expressions.limbs(statement.value, register.width)):
                out.line(f"cell[{index}] = {limb};")


def _write_hash(out: Writer, program: Program, expressions: Expressions, statement: HashInto) -> None:
    target = statement.target
    if target.width > 64:
        raise Unsupported(f"hash into a field of {target.width} bits", str(statement.source))
    calculation = program.calculations[statement.calculation]
    base = expressions.value(statement.base, 64)
    modulus = expressions.value(statement.modulus, 64)
    guard = _guard(program, target, frozenset())
    with out.block("", statement.source):
        out.line(f"u64 hash = {hash_function(calculation)}(s);")
        out.line(f"u64 result = {base} + modulo(hash, {modulus});")
        value = "result" if target.width in (8, 16, 32, 64) else f"result & {(1 << target.width) - 1:#x}ull"
        out.line(f"{guard}{field_path(target)} = {value};")
