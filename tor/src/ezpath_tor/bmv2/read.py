"""From BMv2 JSON to :class:`~ezpath_tor.bmv2.model.Program`.

What the generator cannot turn into C is refused here, at load, with the construct's name and its P4 line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ezpath_tor.bmv2.language import Const, Field, FieldRef, Header, Param, Source
from ezpath_tor.bmv2.model import STANDARD_METADATA, Action, Calculation, Checksum, Counter, Program, Register
from ezpath_tor.bmv2.read_control import read_pipeline
from ezpath_tor.bmv2.read_expr import Scope, read_expr
from ezpath_tor.bmv2.read_parser import read_states
from ezpath_tor.bmv2.read_statement import read_statement
from ezpath_tor.bmv2.source import source_of
from ezpath_tor.plane import PlaneError, Unsupported

HASHES = frozenset(["crc32", "crc16", "csum16", "identity"])
MAX_FIELD_BITS = 2048

REFUSED_SECTIONS = {
    "header_stacks": "header stack",
    "header_unions": "header union",
    "header_union_stacks": "stack of header unions",
    "meter_arrays": "meter",
    "learn_lists": "digest",
    "parse_vsets": "parser value set",
    "extern_instances": "extern instance",
}
"""Sections of the JSON that have to be empty, and what their elements are called."""


def read_program(config: bytes) -> Program:
    """Read a compiled program.

    Raises :class:`Unsupported` for a construct outside the subset and :class:`PlaneError` for anything that is
    not BMv2 JSON of a v1model program.
    """
    try:
        document = json.loads(config)
        return _Reader(document).program()
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise PlaneError(
            f"the pipeline configuration is not BMv2 JSON as p4c-bm2-ss writes it ({error!r}); "
            "compile the program with p4c-bm2-ss"
        ) from error


class _Reader:
    def __init__(self, document: Mapping[str, Any]) -> None:
        self.json = document
        # Where p4c notes no line for an element, the program's file has to do.
        self._file = Source(document.get("program", ""))
        self.headers = self._headers()
        self.aliases = {
            (name.split(".", 1)[0], name.split(".", 1)[1]): (target[0], target[1])
            for name, target in document.get("field_aliases", [])
        }

    def program(self) -> Program:
        for section, construct in REFUSED_SECTIONS.items():
            for element in self.json.get(section, []):
                where = source_of(element, self._file)
                raise Unsupported(f"{construct} {element.get('name', '')}".rstrip(), str(where))
        if len(self.json["parsers"]) != 1 or len(self.json["deparsers"]) != 1:
            raise PlaneError("the program has not one parser and one deparser; v1model has exactly these")
        parser = self.json["parsers"][0]
        actions = {action["id"]: self._action(action) for action in self.json["actions"]}
        pipelines = {
            pipeline["name"]: read_pipeline(pipeline, actions, self._scope) for pipeline in self.json["pipelines"]
        }
        return Program(
            name=self.json.get("program", ""),
            headers=self.headers,
            errors=dict(self.json["errors"]),
            states=read_states(parser["parse_states"], self._scope),
            start=parser["init_state"],
            actions=actions,
            ingress=pipelines["ingress"],
            egress=pipelines["egress"],
            registers={register["name"]: _register(register) for register in self.json["register_arrays"]},
            counters={counter["name"]: _counter(counter) for counter in self.json["counter_arrays"]},
            calculations={calc["name"]: self._calculation(calc) for calc in self.json["calculations"]},
            checksums=tuple(self._checksum(checksum) for checksum in self.json["checksums"]),
            deparse_order=self._deparse_order(self.json["deparsers"][0]),
        )

    def _scope(self, source: Source, params: Sequence[Param] = ()) -> Scope:
        return Scope(self.headers, self.aliases, params, source)

    def _headers(self) -> dict[str, Header]:
        types = {header_type["name"]: header_type for header_type in self.json["header_types"]}
        headers = {}
        for header in self.json["headers"]:
            header_type = types[header["header_type"]]
            fields = _fields(header_type, source_of(header_type, self._file))
            headers[header["name"]] = Header(header["name"], header_type["name"], fields, header["metadata"])
        for header in headers.values():
            if not header.metadata and header.bits % 8:
                raise Unsupported(f"header {header.name} of {header.bits} bits, not whole bytes,", str(self._file))
        if STANDARD_METADATA not in headers:
            raise PlaneError("the program has no standard_metadata; compile for v1model")
        return headers

    def _action(self, action: Mapping[str, Any]) -> Action:
        source = source_of(action)
        params = tuple(
            Param(index, param["name"], param["bitwidth"]) for index, param in enumerate(action["runtime_data"])
        )
        body = tuple(
            read_statement(primitive, lambda where: self._scope(where, params), source)
            for primitive in action["primitives"]
        )
        return Action(action["id"], action["name"], params, body, source)

    def _calculation(self, calculation: Mapping[str, Any]) -> Calculation:
        source = source_of(calculation, self._first_use(calculation["name"]))
        algorithm = calculation["algo"]
        if algorithm not in HASHES:
            raise Unsupported(f"hash algorithm {algorithm}", str(source))
        scope = self._scope(source)
        inputs: list[FieldRef | Const] = []
        widths: list[int] = []
        for element in calculation["input"]:
            if element["type"] == "field":
                ref = scope.target(element)
                inputs.append(ref)
                widths.append(ref.width)
            elif element["type"] == "hexstr":
                inputs.append(Const(int(element["value"], 16)))
                widths.append(element["bitwidth"])
            else:
                raise scope.refuse(f"{element['type']} as input of a {algorithm} calculation")
        for field in (field for field in inputs if isinstance(field, FieldRef)):
            if algorithm != "csum16" and not self.headers[field.header].metadata:
                # BMv2 leaves an invalid header's fields out, which would make the length vary.
                raise scope.refuse(f"header field {field.header}.{field.field} as direct input of {algorithm}")
        return Calculation(calculation["name"], algorithm, tuple(inputs), tuple(widths), source)

    def _first_use(self, calculation: str) -> Source:
        """p4c notes no line for the calculation of a ``hash()``: the statement that uses it has one."""
        for action in self.json["actions"]:
            for primitive in action["primitives"]:
                if {"type": "calculation", "value": calculation} in primitive["parameters"]:
                    return source_of(primitive, self._file)
        return self._file

    def _checksum(self, checksum: Mapping[str, Any]) -> Checksum:
        source = source_of(checksum)
        scope = self._scope(source)
        if checksum["type"] != "generic":
            raise scope.refuse(f"checksum of type {checksum['type']}")
        condition = checksum.get("if_cond")
        return Checksum(
            target=scope.target({"type": "field", "value": checksum["target"]}),
            calculation=checksum["calculation"],
            condition=read_expr(condition, scope) if condition else None,
            verify=checksum["verify"],
            update=checksum["update"],
            source=source,
        )

    def _deparse_order(self, deparser: Mapping[str, Any]) -> tuple[str, ...]:
        for primitive in deparser.get("primitives", []):
            raise Unsupported(f"{primitive['op']} in the deparser", str(source_of(primitive)))
        return tuple(deparser["order"])


def _fields(header_type: Mapping[str, Any], source: Source) -> tuple[Field, ...]:
    fields = []
    for name, width, *signed in header_type["fields"]:
        full = f"{header_type['name']}.{name}"
        if width == "*":
            raise Unsupported(f"variable-length field {full}", str(source))
        if signed and signed[0]:
            raise Unsupported(f"signed field {full}", str(source))
        if width > MAX_FIELD_BITS:
            raise Unsupported(f"field {full} of {width} bits", str(source))
        fields.append(Field(name, width))
    return tuple(fields)


def _register(register: Mapping[str, Any]) -> Register:
    source = source_of(register)
    if register["bitwidth"] > MAX_FIELD_BITS:
        raise Unsupported(f"register {register['name']} of {register['bitwidth']} bits", str(source))
    return Register(register["name"], register["size"], register["bitwidth"], source)


def _counter(counter: Mapping[str, Any]) -> Counter:
    source = source_of(counter)
    if counter["is_direct"]:
        raise Unsupported(f"direct counter {counter['name']}", str(source))
    return Counter(counter["name"], counter["size"], source)
