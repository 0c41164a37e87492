"""From a program to readable C for tc eBPF.

The C has the program's own names and, beside each statement, the P4 line it comes from. What does not depend on the
program stands in ``runtime.h``.
"""

from __future__ import annotations

from ezpath_tor.bmv2.model import Program
from ezpath_tor.codegen.clock import microseconds
from ezpath_tor.codegen.control import PipelineWriter
from ezpath_tor.codegen.deparser import emitted_octets, write_deparser
from ezpath_tor.codegen.hashes import hash_function, write_calculation, write_checksums
from ezpath_tor.codegen.names import global_name
from ezpath_tor.codegen.parser import ParserWriter
from ezpath_tor.codegen.state import check_unique, write_reset, write_state
from ezpath_tor.codegen.statements import action_name, write_action, write_constants, write_params
from ezpath_tor.codegen.tables import layout_of, scratch_for_key, write_externs, write_table
from ezpath_tor.codegen.writer import Writer
from ezpath_tor.plane import Unsupported

PROGRAM_NAME = "p4_switch"
"""The BPF program's function."""

TAGGED_FRONT = 26
"""Bytes up to the EtherType behind three VLAN tags, which the runtime has to see whatever the parser reads."""


def generate(program: Program) -> str:
    """The C of ``program``. Raises :class:`~ezpath_tor.plane.Unsupported`."""
    _check_names(program)
    try:
        return _generate(program)
    except RecursionError:
        raise Unsupported("control flow or an expression nested as deep as this program's", program.name) from None


def _check_names(program: Program) -> None:
    names = [
        *(action_name(program, action) for action in program.actions.values()),
        *(global_name(name) for name in (*program.tables, *program.registers, *program.counters)),
        *(hash_function(calculation) for calculation in program.calculations.values()),
    ]
    check_unique("the program", names)


def _generate(program: Program) -> str:
    body = Writer()
    parser = ParserWriter(body, program)
    write_constants(body, program)
    for action in program.actions.values():
        write_params(body, program, action)
    write_externs(body, program)
    write_reset(body, program)
    parser.write()
    for calculation in program.calculations.values():
        write_calculation(body, program, calculation)
    write_checksums(body, program)
    for action in program.actions.values():
        write_action(body, program, action)
    for table in program.tables.values():
        write_table(body, program, table)
    PipelineWriter(body, program, program.ingress).write()
    if program.egress.start is not None:
        PipelineWriter(body, program, program.egress).write()
    write_deparser(body, program, parser.kept)
    _write_main(body, program)

    head = Writer()
    _write_head(head, program, parser)
    write_state(head, program)
    return head.text() + body.text()


def _write_head(out: Writer, program: Program, parser: ParserWriter) -> None:
    keys = [scratch_for_key(layout_of(program, table)) for table in program.tables.values()]
    out.comment(f"Generated from {program.name} by ezpath_tor.codegen. Beside each statement: its P4 line.")
    out.line()
    out.comment("Bytes of a frame that are read before the parser, in words of eight, and that the deparser can write.")
    out.line(f"#define IN_OCTETS {(max(parser.octets, TAGGED_FRONT) + 7) // 8 * 8}")
    out.line(f"#define OUT_OCTETS {emitted_octets(program, parser.kept) + TAGGED_FRONT}")
    out.comment("Keys of lpm and ternary tables.")
    out.line(f"#define SCRATCH_OCTETS {max(64, *keys, 0)}")
    out.line('#include "runtime.h"')
    out.line()


def _write_main(out: Writer, program: Program) -> None:
    for line in _MEMORY.strip("\n").split("\n"):
        out.line(line)
    out.line()
    out.line('SEC("tc")')
    with out.block(f"int {PROGRAM_NAME}(struct __sk_buff *skb)"):
        for line in _MAIN.strip("\n").split("\n"):
            out.line(line.replace("CLOCK", microseconds(program, "ingress_global_timestamp")))
        if program.egress.start is not None:
            for line in _EGRESS.strip("\n").split("\n"):
                out.line(line.replace("CLOCK", microseconds(program, "egress_global_timestamp")))
        for line in _END.strip("\n").split("\n"):
            out.line(line)
    out.line()
    out.line('char license_text[] SEC("license") = "Dual BSD/GPL";')


_MEMORY = """
#ifdef STATE_IN_MAP
#define ON_CPU struct state
#else
#define ON_CPU struct { struct frame frame; struct headers headers; }
#endif

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, ON_CPU);
} cpus SEC(".maps");

// A packet's state, all of it in this CPU's memory or what fits the stack there; NULL never in practice.
static __always_inline struct state *take_state(struct state *on_stack)
{
	u32 zero = 0;
	typeof(ON_CPU) *cpu = bpf_map_lookup_elem(&cpus, &zero);
#ifdef STATE_IN_MAP
	return cpu;
#else
	if (!cpu)
		return NULL;
	on_stack->frame = &cpu->frame;
	on_stack->headers = &cpu->headers;
	return on_stack;
#endif
}
"""

_MAIN = """
struct state on_stack, *s = take_state(&on_stack);
if (!s)
	return TC_ACT_SHOT;
reset(s);
s->standard_metadata.ingress_port = port_of(skb->ifindex);
if (!receive(skb, s->frame))
	return TC_ACT_SHOT;
s->standard_metadata.packet_length = s->frame->length;
s->standard_metadata.ingress_global_timestamp = CLOCK();
parse(s);
s->frame->packets = packets_in(skb, s->frame);
verify_checksums(s);
ingress(s);
if (s->standard_metadata.egress_spec == DROP_PORT)
	return TC_ACT_SHOT;
u32 port = s->standard_metadata.egress_spec;
"""

_EGRESS = """
s->exited = 0;
s->standard_metadata.egress_port = port;
s->standard_metadata.egress_spec = 0;
s->standard_metadata.egress_global_timestamp = CLOCK();
deparse(s);
s->standard_metadata.packet_length = s->frame->length - s->frame->replaced + s->frame->emitted;
egress(s);
if (s->standard_metadata.egress_spec == DROP_PORT)
	return TC_ACT_SHOT;
"""

_END = """
update_checksums(s);
if (!deparse(s))
	return lost(LOST_HEADERS);
return transmit(skb, s->frame, port);
"""
