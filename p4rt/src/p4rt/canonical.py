"""What the P4Runtime specification asks of matches and priorities, the same for who writes and who reads.

Each entry has one form: bits that do not count are zero, fields that do not care are left out, and a priority is given
exactly where more than one entry can match.
"""

from __future__ import annotations

from p4rt.p4info import MatchField, MatchKind, TableInfo


def pair_problem(field: MatchField, first: int, second: int) -> str:
    """What is wrong with the two numbers of an lpm, ternary or range field; empty where nothing is."""
    if field.kind is MatchKind.LPM:
        if not 0 <= second <= field.width:
            return f"prefix length {second} is not in 1..{field.width}"
        if first & ((1 << (field.width - second)) - 1):
            return f"{first:#x}/{second} has bits set behind its prefix"
    elif field.kind is MatchKind.TERNARY:
        if first & ~second:
            return f"value {first:#x} has bits outside its mask {second:#x}"
    elif first > second:
        return f"the range {first:#x}..{second:#x} is empty"
    return ""


_NOTHING = {
    MatchKind.LPM: "with prefix length 0",
    MatchKind.TERNARY: "with mask 0",
    MatchKind.RANGE: "as the whole range",
}


def does_not_care(field: MatchField, first: int, second: int) -> str:
    """How the two numbers of an lpm, ternary or range field match anything; empty where they do not."""
    everything = (0, (1 << field.width) - 1)
    nothing = (first, second) == everything if field.kind is MatchKind.RANGE else second == 0
    return _NOTHING[field.kind] if nothing else ""


def priority_problem(table: TableInfo, priority: int, *, default: bool = False) -> str:
    """What is wrong with the priority of an entry; empty where nothing is."""
    if default:
        return f"the default entry of table {table.alias} takes no priority" if priority else ""
    if not table.needs_priority:
        return f"table {table.alias} takes no priority: one entry at most can match" if priority else ""
    if priority > 0:
        return ""
    return (
        f"an entry of table {table.alias} needs a priority above 0: it has ternary, range or optional fields, "
        "and of the entries that match, the one with the highest number counts"
    )
