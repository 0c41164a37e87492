"""From BMv2 JSON to :class:`~ezpath_tor.bmv2.model.Program`.

What the generator cannot turn into C is refused here, at load, with the construct's name and its P4 line.
"""

from __future__ import annotations

from collections.abc import Mapping

from ezpath_tor.bmv2.document import Element, parse, unique
from ezpath_tor.bmv2.language import Param
from ezpath_tor.bmv2.model import STANDARD_METADATA, Action, Program
from ezpath_tor.bmv2.read_control import read_pipeline
from ezpath_tor.bmv2.read_declarations import (
    read_aliases,
    read_calculation,
    read_checksum,
    read_counter,
    read_headers,
    read_hit_counters,
    read_register,
    read_stacks,
)
from ezpath_tor.bmv2.read_expr import Names, Scope
from ezpath_tor.bmv2.read_parser import read_states
from ezpath_tor.bmv2.read_statement import read_statement
from ezpath_tor.bmv2.source import Places
from ezpath_tor.plane import Unsupported

REFUSED_SECTIONS = {
    "header_union_stacks": "stack of header unions",
    "header_unions": "header union",
    "header_union_types": "header union",
    "meter_arrays": "meter",
    "learn_lists": "digest",
    "parse_vsets": "parser value set",
    "extern_instances": "extern instance",
}
"""Sections of the JSON that have to be empty, and what their elements are called."""

TOO_SHORT = "PacketTooShort"
"""The error of a packet that ends before its headers do."""


def read_program(config: bytes) -> Program:
    """Read a compiled program.

    Raises :class:`Unsupported` for a construct outside the subset and :class:`~ezpath_tor.plane.Malformed` for
    anything that is not BMv2 JSON of a v1model program.
    """
    return _Reader(parse(config)).program()


class _Reader:
    def __init__(self, document: Element) -> None:
        self._json = document
        self._places = Places(document)
        self._refuse_sections()
        arrays = {
            kind: frozenset(array["name"].text for array in unique(document[section].elements, "name"))
            for kind, section in (
                ("register_array", "register_arrays"),
                ("counter_array", "counter_arrays"),
                ("calculation", "calculations"),
            )
        }
        headers = read_headers(document, self._places)
        self._names = Names(headers, read_stacks(document, headers), read_aliases(document), arrays)

    def program(self) -> Program:
        json, places = self._json, self._places
        (parser,), (deparser,) = json["parsers"].exactly(1), json["deparsers"].exactly(1)
        actions = {action["id"].number: self._action(action) for action in unique(json["actions"].elements, "id")}
        hits = read_hit_counters(json)
        pipelines = {
            pipeline["name"].text: read_pipeline(pipeline, actions, hits, self._scope)
            for pipeline in unique(json["pipelines"].elements, "name")
        }
        for name in ("ingress", "egress"):
            if name not in pipelines:
                raise json["pipelines"].malformed(f"there is no pipeline {name}")
        states = read_states(parser["parse_states"], self._scope)
        registers = [read_register(register, places) for register in json["register_arrays"]]
        counters = [read_counter(counter, places) for counter in json["counter_arrays"]]
        calculations = [read_calculation(one, self._names, places) for one in json["calculations"]]
        return Program(
            name=places.program,
            headers=self._names.headers,
            stacks=self._names.stacks,
            errors=self._errors(),
            states=states,
            start=parser["init_state"].one_of(states.__contains__, "parser state"),
            actions=actions,
            ingress=pipelines["ingress"],
            egress=pipelines["egress"],
            registers={register.name: register for register in registers},
            counters={counter.name: counter for counter in counters if counter is not None},
            calculations={calculation.name: calculation for calculation in calculations},
            checksums=tuple(read_checksum(checksum, self._scope(checksum)) for checksum in json["checksums"]),
            deparse_order=self._deparse_order(deparser),
        )

    def _refuse_sections(self) -> None:
        for section, construct in REFUSED_SECTIONS.items():
            for element in self._json.each(section):
                said = element.get("name")
                name = said.text if said is not None else ""
                direct = element.get("is_direct")
                if direct is not None and direct.flag:
                    construct = f"direct {construct}"
                where = self._places.of(element, uses_of=name)
                raise Unsupported(construct if name in ("", construct) else f"{construct} {name}", str(where))

    def _scope(self, element: Element) -> Scope:
        said = element.get("name")
        return Scope(self._names, self._places.of(element, name=said.text if said is not None else ""))

    def _action(self, action: Element) -> Action:
        params = tuple(
            Param(index, param["name"].text, param["bitwidth"].number)
            for index, param in enumerate(action["runtime_data"])
        )
        unique(action["runtime_data"].elements, "name")
        source = self._places.of(action, name=f"action {action['name'].text}")

        def scope_at(primitive: Element) -> Scope:
            return Scope(self._names, self._places.of(primitive, source), params)

        body = tuple(read_statement(primitive, scope_at) for primitive in action["primitives"])
        return Action(action["id"].number, action["name"].text, params, body, source)

    def _errors(self) -> Mapping[str, int]:
        pairs = [pair.exactly(2) for pair in self._json["errors"]]
        errors = {name.text: number.number for name, number in pairs}
        if TOO_SHORT not in errors:
            raise self._json["errors"].malformed(f"there is no error {TOO_SHORT}; compile for v1model")
        return errors

    def _deparse_order(self, deparser: Element) -> tuple[str, ...]:
        for primitive in deparser.each("primitives"):
            raise Unsupported(f"{primitive['op'].text} in the deparser", str(self._places.of(primitive)))
        order = [name.one_of(self._names.headers.__contains__, "header") for name in deparser["order"]]
        for name, element in zip(order, deparser["order"], strict=True):
            if self._names.headers[name].metadata or name == STANDARD_METADATA:
                raise element.malformed(f"{name} is metadata, and no header of packets")
        return tuple(order)
