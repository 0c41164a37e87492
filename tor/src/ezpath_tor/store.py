"""A loaded pipeline: p4info, what the controllers wrote, and the data plane behind it.

Everything here runs in the one thread that may touch the data plane, and knows nothing of gRPC but its codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import grpc
from p4rt.entries import BadEntry
from p4rt.p4info import P4Info, UnknownName

from ezpath_tor import fit
from ezpath_tor.cells import Cells, frame
from ezpath_tor.faults import Fault, invalid, unimplemented
from ezpath_tor.plane import DataPlane, PlaneError, TableFull, Unsupported
from ezpath_tor.tables import Tables, unsupported_match

_KINDS = {1: "INSERT", 2: "MODIFY", 3: "DELETE"}


class Pipeline:
    """One program on the data plane, from its load to the next one's. Not thread safe."""

    def __init__(self, info: P4Info, tables: Tables, cells: Cells, config: Any) -> None:
        self.info = info
        self.config = config
        """The ``ForwardingPipelineConfig`` it was loaded from."""
        self._tables = tables
        self._cells = cells

    def write(self, update: Any) -> None:
        """Apply one ``p4.v1.Update``, or raise :class:`Fault` and leave everything as it was."""
        if update.type not in _KINDS:
            raise invalid("an update has to say INSERT, MODIFY or DELETE")
        entity = _entity(update.entity)
        value = getattr(update.entity, entity)
        try:
            if entity == "table_entry":
                self._tables.write(update.type, value)
            elif entity == "register_entry":
                self._cells.write_register(update.type, value)
            elif entity == "counter_entry":
                self._cells.write_counter(update.type, value)
            else:
                raise unimplemented(f"{entity} is")
        except (BadEntry, PlaneError, OSError) as error:
            raise _as_fault(error) from error

    def read(self, wanted: Any) -> Iterator[bytes]:
        """Serialized ReadResponses with what a ``p4.v1.Entity`` used as a filter selects. Raises ``Fault``."""
        entity = _entity(wanted)
        value = getattr(wanted, entity)
        try:
            if entity == "table_entry":
                yield from frame(self._tables.read(value))
            elif entity == "register_entry":
                yield from self._cells.read_registers(value)
            elif entity == "counter_entry":
                yield from frame(self._cells.read_counters(value))
            else:
                raise unimplemented(f"{entity} is")
        except (BadEntry, PlaneError, OSError) as error:
            raise _as_fault(error) from error


def load(config: Any, plane: DataPlane, limits: Mapping[str, int]) -> Pipeline:
    """Put the program of a ``ForwardingPipelineConfig`` on the data plane.

    ``limits`` are entries by table name or alias. Raises :class:`Fault`; then what ran before still runs.
    """
    info, program = verify(config)
    sizes = {}
    for name, size in limits.items():
        try:
            sizes[info.tables[name].name] = size
        except UnknownName as error:
            raise invalid(f"this switch was started with a limit for table {name}: {error}") from error
    defaults = fit.default_actions(program)
    try:
        plane.load(config.p4_device_config)
    except (PlaneError, OSError) as error:
        raise _as_fault(error) from error
    return Pipeline(info, Tables(info, plane, defaults, sizes), Cells(info, plane), config)


def verify(config: Any) -> tuple[P4Info, dict[str, Any]]:
    """What can be said of a config before compiling it. Raises :class:`Fault`."""
    if not config.HasField("p4info"):
        raise invalid("the pipeline config has no p4info")
    if not config.p4_device_config:
        raise invalid("the pipeline config has no device config (BMv2 JSON)")
    try:
        info = P4Info(config.p4info)
    except (ValueError, KeyError) as error:
        raise invalid(f"p4info: {error}") from error
    for table in info.tables:
        what = unsupported_match(table)
        if table.indirect:
            what = f"an action profile (implementation of table {table.name}) is"
        if what:
            raise unimplemented(what)
    for register in info.registers:
        if not register.width:
            raise unimplemented(f"register {register.name} of something else than bit<W> is")
    program = fit.parse(config.p4_device_config)
    fit.check_fit(info, program)
    return info, program


def _entity(proto: Any) -> str:
    kind: str | None = proto.WhichOneof("entity")
    if kind is None:
        raise invalid("no entity is given")
    return kind


def _as_fault(error: BadEntry | PlaneError | OSError) -> Fault:
    if isinstance(error, BadEntry):
        return Fault(error.code, str(error))
    if isinstance(error, TableFull):
        return Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
    if isinstance(error, Unsupported):
        return Fault(grpc.StatusCode.UNIMPLEMENTED, str(error))
    return Fault(grpc.StatusCode.INTERNAL, f"the data plane failed: {error}")
