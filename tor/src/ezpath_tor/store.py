"""A loaded pipeline: p4info, what the controllers wrote, and the data plane behind it.

Everything here runs in the one thread that may touch the data plane, and knows nothing of gRPC but its codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
import structlog
from p4rt.entries import BadEntry
from p4rt.p4info import P4Info, TableInfo, UnknownName

from ezpath_tor import program
from ezpath_tor.bmv2 import read_program
from ezpath_tor.bmv2.model import Program
from ezpath_tor.cells import Cells, frame
from ezpath_tor.faults import Fault, invalid, unimplemented
from ezpath_tor.plane import DataPlane, Malformed, PlaneError, TableFull, Unsupported
from ezpath_tor.tables import Tables
from p4rt import messages

log = structlog.get_logger()
_KINDS = (messages.Update.INSERT, messages.Update.MODIFY, messages.Update.DELETE)


class Pipeline:
    """One program on the data plane, from its load to the next one's. Not thread safe."""

    def __init__(self, info: P4Info, tables: Tables, cells: Cells, config: messages.ForwardingPipelineConfig) -> None:
        self.info = info
        self.config = config
        """The ``ForwardingPipelineConfig`` it was loaded from."""
        self._tables = tables
        self._cells = cells

    def write(self, update: messages.Update) -> None:
        """Apply one ``p4.v1.Update``, or raise :class:`Fault` and leave everything as it was."""
        if update.type not in _KINDS:
            raise invalid("an update has to say INSERT, MODIFY or DELETE")
        entity = _entity(update.entity)
        value = getattr(update.entity, entity)
        with _faults():
            if entity == "table_entry":
                self._tables.write(update.type, value)
            elif entity == "register_entry":
                self._cells.write_register(update.type, value)
            elif entity == "counter_entry":
                self._cells.write_counter(update.type, value)
            else:
                raise unimplemented(f"{entity} is")

    def read(self, wanted: messages.Entity) -> Iterator[bytes]:
        """Serialized ReadResponses with what a ``p4.v1.Entity`` used as a filter selects. Raises ``Fault``."""
        entity = _entity(wanted)
        value = getattr(wanted, entity)
        with _faults():
            if entity == "table_entry":
                yield from frame(self._tables.read(value))
            elif entity == "register_entry":
                yield from self._cells.read_registers(value)
            elif entity == "counter_entry":
                yield from frame(self._cells.read_counters(value))
            else:
                raise unimplemented(f"{entity} is")


def load(config: messages.ForwardingPipelineConfig, plane: DataPlane, limits: Mapping[str, int]) -> Pipeline:
    """Put the program of a ``ForwardingPipelineConfig`` on the data plane.

    ``limits`` are entries by table name or alias. Raises :class:`Fault`; then what ran before still runs.
    """
    info, compiled = verify(config)
    sizes = {}
    for name, size in limits.items():
        try:
            sizes[info.tables[name].name] = size
        except UnknownName as error:
            raise invalid(f"this switch was started with a limit for table {name}: {error}") from error
    with _faults():
        defaults, entries = program.default_actions(compiled), program.initial_entries(compiled)
        tables = Tables(info, plane, defaults, entries, sizes)
        plane.load(config.p4_device_config)
    return Pipeline(info, tables, Cells(info, plane), config)


def verify(config: messages.ForwardingPipelineConfig) -> tuple[P4Info, Program]:
    """What can be said of a config before compiling it. Raises :class:`Fault`."""
    if not config.HasField("p4info"):
        raise invalid("the pipeline config has no p4info")
    if not config.p4_device_config:
        raise invalid("the pipeline config has no device config (BMv2 JSON)")
    try:
        info = P4Info(config.p4info)
    except (ValueError, KeyError) as error:
        raise invalid(f"p4info: {error}") from error
    with _faults():
        compiled = read_program(config.p4_device_config)
    for table in info.tables:
        _check_supported(table)
    for register in info.registers:
        if not register.width:
            raise unimplemented(f"register {register.name} of something else than bit<W> is")
    program.check_fit(info, compiled)
    return info, compiled


def _check_supported(table: TableInfo) -> None:
    if table.indirect:
        raise unimplemented(f"an action profile (implementation of table {table.name}) is")
    if table.has_direct:
        raise unimplemented(f"a direct counter or meter (of table {table.name}) is")


def _entity(proto: messages.Entity) -> str:
    kind = proto.WhichOneof("entity")
    if kind is None:
        raise invalid("no entity is given")
    return kind


@contextmanager
def _faults() -> Iterator[None]:
    """Whatever goes wrong inside comes out as a :class:`Fault`."""
    try:
        yield
    except Fault:
        raise
    except BadEntry as error:
        raise Fault(error.code, str(error)) from error
    except TableFull as error:
        raise Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error)) from error
    except Unsupported as error:
        raise Fault(grpc.StatusCode.UNIMPLEMENTED, str(error)) from error
    except Malformed as error:
        raise invalid(str(error)) from error
    except (PlaneError, OSError) as error:
        raise Fault(grpc.StatusCode.INTERNAL, f"the data plane failed: {error}") from error
    except Exception as error:  # a bug met by one update must not take its batch along
        log.exception("unexpected")
        raise Fault(grpc.StatusCode.INTERNAL, f"a bug: {error!r}; the switch's log has more") from error
