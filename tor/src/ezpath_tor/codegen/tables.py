"""Tables, registers and counters as BPF maps, and the lookups in exact and lpm tables."""

from __future__ import annotations

from ezpath_tor.bmv2.language import Binary, Const, Expr, Field, Source, ValidRef
from ezpath_tor.bmv2.model import Call, KeyField, Program, Table
from ezpath_tor.codegen.expressions import Expressions, const_text
from ezpath_tor.codegen.names import c_name, declaration, field_path, global_name
from ezpath_tor.codegen.statements import action_constant, action_name, exits
from ezpath_tor.codegen.ternary import write_masks, write_search
from ezpath_tor.codegen.wire import Piece, pieces_of, store_octets, whole_octets
from ezpath_tor.codegen.writer import Writer
from ezpath_tor.layout import ANY_MASK, TableLayout, limbs_of
from ezpath_tor.tuples import rules_room


def layout_of(program: Program, table: Table) -> TableLayout:
    return TableLayout(table, tuple(program.actions[action] for action in table.actions))


def has_map(table: Table) -> bool:
    """Keyless tables have no entries."""
    return bool(table.keys)


def has_default_map(table: Table) -> bool:
    """The default action can be changed at run time; else it is a plain call."""
    return not table.default_is_const


def default_map(table: Table) -> str:
    return f"{global_name(table.name)}__default"


def hits_map(table: Table) -> str:
    """The cells of the table's direct counter."""
    return f"{global_name(table.name)}__hits"


def scratch_for_key(layout: TableLayout) -> int:
    """Bytes of scratch memory that a lookup needs."""
    if layout.table.ternary:
        return 2 * layout.key_size  # as it is, and under a mask
    return layout.key_size if layout.table.lpm else 0


def write_externs(out: Writer, program: Program) -> None:
    """Registers and counters: arrays that the control side maps into its memory."""
    for register in program.registers.values():
        limbs = limbs_of(register.width)
        with out.block("struct", register.source, tail=f'}} {global_name(register.name)} SEC(".maps");'):
            _array(out, register.size)
            value = "u64" if limbs == 1 else f"u64[{limbs}]"
            out.line(f"__type(value, {value});")
    for counter in program.counters.values():
        _write_cells(out, global_name(counter.name), counter.size, counter.source)
    out.line()


def _write_cells(out: Writer, name: str, size: int, source: Source) -> None:
    with out.block("struct", source, tail=f'}} {name} SEC(".maps");'):
        _array(out, size)
        out.line("__type(value, struct counter_cell);")


def _array(out: Writer, size: int) -> None:
    out.line("__uint(type, BPF_MAP_TYPE_ARRAY);")
    out.line("__uint(map_flags, BPF_F_MMAPABLE);")
    out.line(f"__uint(max_entries, {size});")
    out.line("__type(key, u32);")


def is_plain_call(table: Table) -> bool:
    """Not a table at all: how p4c writes a statement between tables."""
    return not has_map(table) and not has_default_map(table)


def write_table(out: Writer, program: Program, table: Table) -> None:
    """The table's structs and maps, and the function that applies it: did it hit, or which action ran."""
    if is_plain_call(table):
        return
    layout = layout_of(program, table)
    name = global_name(table.name)
    out.comment(f"table {table.name}", table.source)
    _write_entry_struct(out, program, layout)
    if has_map(table):
        _write_key_struct(out, layout)
        _write_map(out, table)
        if table.hit_counter is not None:
            _write_cells(out, hits_map(table), max(1, table.max_size), table.source)
        if table.ternary:
            write_masks(out, layout)
            write_search(out, layout)
    if has_default_map(table):
        # A hash of one entry and not an array: replacing an entry is atomic.
        with out.block("struct", tail=f'}} {default_map(table)} SEC(".maps");'):
            out.line("__uint(type, BPF_MAP_TYPE_HASH);")
            out.line("__uint(max_entries, 1);")
            out.line("__type(key, u32);")
            out.line(f"__type(value, struct {name}_entry);")
    out.line()
    result = "bool" if table.by_hit else "u32"
    with out.block(f"static __always_inline {result} apply_{name}(struct state *s)", table.source):
        _write_lookup(out, program, layout)
        _write_switch(out, program, layout)
        out.line("return hit;" if table.by_hit else "return entry->action;")
    out.line()


def _write_entry_struct(out: Writer, program: Program, layout: TableLayout) -> None:
    entry = f"struct {global_name(layout.table.name)}_entry"
    with out.block(entry, tail="};"):
        for word in layout.entry_head:
            out.line(f"u32 {word};")
        if any(action.params for action in layout.actions):
            with out.block("union", tail="};"):
                for action in layout.actions:
                    name = action_name(program, action)
                    if action.params:
                        out.line(f"struct {name}_params {name};")
    out.line(f'_Static_assert(sizeof({entry}) == {layout.entry_size}, "layout.py");')


def _write_key_struct(out: Writer, layout: TableLayout) -> None:
    key = f"struct {global_name(layout.table.name)}_key"
    # Whole 64-bit words, to put a mask over.
    tail = "} __attribute__((aligned(8)));" if layout.table.ternary else "};"
    with out.block(key, tail=tail):
        if layout.table.lpm:
            out.line("u32 prefix_len;")
            out.line(f"u8 octets[{layout.lpm_octets}];")
        else:
            if layout.table.ternary:
                out.line("u32 mask;  // its number")
            for position, field in enumerate(layout.table.keys):
                out.line(declaration(_key_name(position, field), field.width))
    out.line(f'_Static_assert(sizeof({key}) == {layout.key_size}, "layout.py");')


def _key_name(position: int, field: KeyField) -> str:
    return f"{c_name(field.name)}_{position}"


def _write_map(out: Writer, table: Table) -> None:
    with out.block("struct", table.source, tail=f'}} {global_name(table.name)} SEC(".maps");'):
        if table.lpm:
            out.line("__uint(type, BPF_MAP_TYPE_LPM_TRIE);")
            out.line("__uint(map_flags, BPF_F_NO_PREALLOC);")
        else:
            out.line("__uint(type, BPF_MAP_TYPE_HASH);")
        out.line(f"__uint(max_entries, {rules_room(table) if table.ternary else max(1, table.max_size)});")
        out.line(f"__type(key, struct {global_name(table.name)}_key);")
        out.line(f"__type(value, struct {global_name(table.name)}_entry);")


def _write_lookup(out: Writer, program: Program, layout: TableLayout) -> None:
    """The entry that matches, or the default one; a default action that cannot change is called at once."""
    table, name = layout.table, global_name(layout.table.name)
    out.line(f"struct {name}_entry *entry = NULL;")
    if has_map(table):
        _write_key(out, layout)
        found = f"search_{name}(s)" if table.ternary else f"bpf_map_lookup_elem(&{name}, key)"
        out.line(f"entry = {found};")
    if table.by_hit:
        out.line("bool hit = entry != NULL;")
    if table.hit_counter is not None:
        out.line("if (entry)")
        out.line(f"\tcount(&{hits_map(table)}, entry->cell, s->frame);")
    with out.block("if (!entry)"):
        if has_default_map(table):
            out.line("u32 zero = 0;")
            out.line(f"entry = bpf_map_lookup_elem(&{default_map(table)}, &zero);")
            out.line("if (!entry)")
            out.line(f"\treturn {'false' if table.by_hit else 'RAN_NOTHING'};")
        else:
            write_plain_call(out, program, table)
            constant = "RAN_NOTHING"
            if table.default is not None:
                constant = action_constant(program, program.actions[table.default.action])
            out.line(f"return {'false' if table.by_hit else constant};")


def _write_key(out: Writer, layout: TableLayout) -> None:
    table, name = layout.table, global_name(layout.table.name)
    if table.lpm:
        # Not on the stack: BPF does not store unaligned words there.
        out.line(f"struct {name}_key *key = (void *)s->frame->scratch;")
        out.line(f"key->prefix_len = {8 * layout.lpm_octets};")
        offset = 0
        for position in layout.lpm_order:
            field = table.keys[position]
            for piece_offset, octets, value in whole_octets(_key_pieces(field)):
                out.line(store_octets("key->octets", offset + piece_offset, octets, value))
            offset += (field.width + 7) // 8
        return
    if table.ternary:
        out.line(f"struct {name}_key *key = (void *)s->frame->scratch;")
    else:
        out.line(f"struct {name}_key key[1];")
    out.line("__builtin_memset(key, 0, sizeof(*key));")
    if table.ternary:
        out.line(f"key->mask = {ANY_MASK:#x};")
    for position, field in enumerate(table.keys):
        target = f"key->{_key_name(position, field)}"
        expressions = Expressions(table.source)
        if field.width <= 64:
            out.line(f"{target} = {expressions.value(_key_value(field), field.width)};")
        else:
            for limb, text in enumerate(expressions.limbs(_key_value(field), field.width)):
                out.line(f"{target}[{limb}] = {text};")


def _key_value(field: KeyField) -> Expr:
    return field.ref if field.mask is None else Binary("&", field.ref, Const(field.mask))


def _key_pieces(field: KeyField) -> list[Piece]:
    """An lpm field is left-aligned in its bytes, an exact one right-aligned."""
    if isinstance(field.ref, ValidRef):
        return [Piece(Expressions(Source()).value(field.ref, 8), 8)]
    pieces = pieces_of(Field(field.name, field.width), field_path(field.ref))
    if field.mask is not None:
        limbs = Expressions(Source()).limbs(_key_value(field), field.width)
        pieces = [Piece(f"({text})", piece.width) for piece, text in zip(pieces, reversed(limbs), strict=True)]
    padding = Piece("0", -field.width % 8)
    if not padding.width:
        return pieces
    return [*pieces, padding] if field.match == "lpm" else [padding, *pieces]


def _write_switch(out: Writer, program: Program, layout: TableLayout) -> None:
    with out.block("switch (entry->action)"):
        for action in layout.actions:
            name = action_name(program, action)
            params = f", &entry->{name}" if action.params else ""
            out.line(f"case {action_constant(program, action)}:")
            out.line(f"\t{name}(s{params});")
            out.line("\tbreak;")


def write_plain_call(out: Writer, program: Program, table: Table, source: Source | None = None) -> None:
    """The default action that cannot change."""
    if table.default is None:
        return
    action = program.actions[table.default.action]
    name = action_name(program, action)
    if not action.params:
        out.line(f"{name}(s);", source)
        return
    with out.block("", source):
        out.line(f"struct {name}_params params = {{ {_initialiser(program, table.default)} }};")
        out.line(f"{name}(s, &params);")


def _initialiser(program: Program, call: Call) -> str:
    parts = []
    expressions = Expressions(Source())
    for param, value in zip(program.actions[call.action].params, call.data, strict=True):
        if param.width <= 64:
            parts.append(const_text(value))
        else:
            parts.append("{ " + ", ".join(expressions.limbs(Const(value), param.width)) + " }")
    return ", ".join(parts)


def may_exit(program: Program, table: Table) -> bool:
    return any(exits(program.actions[action]) for action in table.actions)
