"""The lookup in a ternary table: under each mask in turn, until nothing better can come.

``tuples.py`` says what is in the maps. The masks are there twice, and the table's version says by its last bit which
list counts: the control side fills the other one and then counts the version up. A lookup during which the version
changed is done again, so that a packet sees the table as it was at one moment.
"""

from __future__ import annotations

from ezpath_tor.bmv2.model import Table
from ezpath_tor.codegen.names import global_name
from ezpath_tor.codegen.writer import Writer
from ezpath_tor.layout import TableLayout
from ezpath_tor.tuples import mask_size, masks_room

TRIES = 64
"""A write takes longer than a lookup, so that a second try is rare and a third never seen."""


def masks_map(table: Table) -> str:
    return f"{global_name(table.name)}__masks"


def version_map(table: Table) -> str:
    return f"{global_name(table.name)}__version"


def write_masks(out: Writer, layout: TableLayout) -> None:
    """The two lists of masks, and the version that says which counts."""
    table, name = layout.table, global_name(layout.table.name)
    with out.block(f"struct {name}_mask", tail="};"):
        out.line("u64 best;  // priority of an entry under this mask; 0: the end of the list")
        out.line(f"u64 words[{layout.key_size // 8}];")
    out.line(f'_Static_assert(sizeof(struct {name}_mask) == {mask_size(layout)}, "tuples.py");')
    for map_name, size, value in (
        (masks_map(table), 2 * masks_room(table), f"struct {name}_mask"),
        (version_map(table), 1, "u64"),
    ):
        with out.block("struct", tail=f'}} {map_name} SEC(".maps");'):
            out.line("__uint(type, BPF_MAP_TYPE_ARRAY);")
            out.line("__uint(map_flags, BPF_F_MMAPABLE);")
            out.line(f"__uint(max_entries, {size});")
            out.line("__type(key, u32);")
            out.line(f"__type(value, {value});")


def write_search(out: Writer, layout: TableLayout) -> None:
    """``search_TABLE()``, for the key that stands in the scratch memory."""
    table, name, words = layout.table, global_name(layout.table.name), layout.key_size // 8
    room = masks_room(table)
    with out.block(f"struct {name}_search", tail="};"):
        out.line(f"u64 *key;  // {words} words, and room for as many under a mask")
        out.line("volatile u64 *version;")
        out.line(f"struct {name}_entry *entry;")
        out.line("u64 best;  // its priority")
        out.line("u64 seen;  // the version at the start")
        out.line("u32 start;  // the turn that this try began with")
    out.line()
    # By the turn and no counter of its own: the verifier would follow a counter through all its values.
    with out.block(f"static long {name}_under_mask(u32 turn, struct {name}_search *search)"):
        out.line("u32 at = turn - search->start;")
        out.line(f"u32 index = (search->seen & 1) * {room} + at;")
        out.line(f"struct {name}_mask *mask = bpf_map_lookup_elem(&{masks_map(table)}, &index);")
        with out.block(f"if (!mask || at >= {room} || search->best >= mask->best)"):
            out.comment("None that is left can be better.")
            out.line("u64 now = *search->version;")
            out.line("if (now == search->seen)")
            out.line("\treturn 1;")
            out.line("search->seen = now;")
            out.line("search->start = turn + 1;")
            out.line("search->best = 0;")
            out.line("search->entry = NULL;")
            out.line("return 0;")
        out.line("u64 *key = search->key;")
        for word in range(words):
            out.line(f"key[{words + word}] = key[{word}] & mask->words[{word}];")
        out.line(f"struct {name}_entry *entry = bpf_map_lookup_elem(&{name}, key + {words});")
        with out.block("if (entry && entry->priority > search->best)"):
            out.line("search->best = entry->priority;")
            out.line("search->entry = entry;")
        out.line("return 0;")
    out.line()
    with out.block(f"static __always_inline struct {name}_entry *search_{name}(struct state *s)"):
        out.line("u32 zero = 0;")
        out.line(f"u64 *version = bpf_map_lookup_elem(&{version_map(table)}, &zero);")
        out.line("if (!version)")
        out.line("\treturn NULL;")
        out.line(f"struct {name}_search search = {{ .key = (u64 *)s->frame->scratch, .version = version }};")
        out.line("search.seen = *search.version;")
        out.line(f"bpf_loop({TRIES * (room + 1)}, {name}_under_mask, &search, 0);")
        out.line("return search.entry;")
    out.line()
