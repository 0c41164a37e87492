"""A loaded pipeline: p4info, what the controllers wrote, and the data plane behind it.

Everything here runs in the one thread that may touch the data plane, and knows nothing of gRPC but its codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import grpc
import structlog
from p4rt.p4info import P4Info, TableInfo, UnknownName
from p4rt.values import BadEntry

from ezpath_tor import program
from ezpath_tor.bmv2 import read_program
from ezpath_tor.bmv2.model import Program
from ezpath_tor.cells import Cells, frame
from ezpath_tor.direct import DirectCounters
from ezpath_tor.faults import Fault, invalid, unimplemented
from ezpath_tor.plane import DataPlane, Earlier, Malformed, PlaneError, TableFull, Unrealizable, Unsupported
from ezpath_tor.tables import Tables
from p4rt import messages

log = structlog.get_logger()
_KINDS = (messages.Update.INSERT, messages.Update.MODIFY, messages.Update.DELETE)
_COOKIE = b"cookie"


class UnknownLimit(Fault):
    """A limit for a table that the program does not have."""

    def __init__(self, message: str) -> None:
        super().__init__(grpc.StatusCode.INVALID_ARGUMENT, message)


class Pipeline:
    """One program on the data plane, from its load to the next one's. Not thread safe."""

    def __init__(
        self, info: P4Info, plane: DataPlane, tables: Tables, config: messages.ForwardingPipelineConfig
    ) -> None:
        self.info = info
        self.config = config
        """The ``ForwardingPipelineConfig`` it was loaded from."""
        self._plane = plane
        self._tables = tables
        self._cells = Cells(info, plane)
        self._hits = DirectCounters(plane, tables)

    @property
    def entries(self) -> int:
        """Table entries, without default ones."""
        return len(self._tables)

    def write(self, updates: Iterable[messages.Update]) -> list[Fault | None]:
        """Apply ``p4.v1.Update`` messages, each on its own: those that fail leave everything as it was."""
        return [self._attempt(update) for update in updates]

    def _attempt(self, update: messages.Update) -> Fault | None:
        try:
            self._write(update)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not take the batch along
            return fault_of(error)
        return None

    def _write(self, update: messages.Update) -> None:
        kind, entity = update.type, update.entity
        if kind not in _KINDS:
            raise invalid("an update has to say INSERT, MODIFY or DELETE")
        what = entity.WhichOneof("entity")
        if what == "table_entry":
            self._tables.write(kind, entity.table_entry)
        elif what == "register_entry":
            self._cells.write_register(kind, entity.register_entry)
        elif what == "counter_entry":
            self._cells.write_counter(kind, entity.counter_entry)
        elif what == "direct_counter_entry":
            self._hits.write(kind, entity.direct_counter_entry)
        else:
            raise _unknown(what)

    def read(self, wanted: messages.Entity) -> Iterator[bytes]:
        """Serialized ReadResponses with what a ``p4.v1.Entity`` used as a filter selects. Raises ``Fault``."""
        what = wanted.WhichOneof("entity")
        try:
            if what == "table_entry":
                yield from frame(self._tables.read(wanted.table_entry))
            elif what == "register_entry":
                yield from self._cells.read_registers(wanted.register_entry)
            elif what == "counter_entry":
                yield from frame(self._cells.read_counters(wanted.counter_entry))
            elif what == "direct_counter_entry":
                yield from frame(self._hits.read(wanted.direct_counter_entry))
            else:
                raise _unknown(what)
        except Exception as error:
            raise fault_of(error) from error

    def rename(self, config: messages.ForwardingPipelineConfig) -> None:
        """The same program under the cookie of ``config``."""
        self._plane.note(_COOKIE, config.cookie.SerializeToString() if config.HasField("cookie") else None)
        self.config.ClearField("cookie")
        if config.HasField("cookie"):
            self.config.cookie.CopyFrom(config.cookie)


def load(
    config: messages.ForwardingPipelineConfig,
    plane: DataPlane,
    limits: Mapping[str, int],
    notes: Mapping[bytes, bytes],
) -> Pipeline:
    """Put the program of a ``ForwardingPipelineConfig`` on the data plane.

    ``limits`` are entries by table name or alias; ``notes`` are kept with the program. Raises :class:`Fault`; then what
    ran before still runs.
    """
    info, tables = _prepared(config, plane, limits)
    notes = dict(notes)
    if config.HasField("cookie"):
        notes[_COOKIE] = config.cookie.SerializeToString()
    try:
        plane.load(config.p4_device_config, config.p4info.SerializeToString(), notes)
    except Exception as error:
        raise fault_of(error) from error
    return Pipeline(info, plane, tables, config)


def take_over(earlier: Earlier, plane: DataPlane, limits: Mapping[str, int]) -> Pipeline:
    """The pipeline of the program that the data plane goes on with. Raises :class:`Fault`."""
    config = messages.ForwardingPipelineConfig(p4_device_config=earlier.config)
    config.p4info.MergeFromString(earlier.memo)
    cookie = earlier.notes.get(_COOKIE)
    if cookie is not None:
        config.cookie.MergeFromString(cookie)
        config.cookie.SetInParent()
    info, tables = _prepared(config, plane, limits)
    try:
        tables.take_over(earlier.notes)
    except Exception as error:
        raise fault_of(error) from error
    return Pipeline(info, plane, tables, config)


def _prepared(
    config: messages.ForwardingPipelineConfig, plane: DataPlane, limits: Mapping[str, int]
) -> tuple[P4Info, Tables]:
    info, compiled = verify(config)
    sizes = {}
    for name, size in limits.items():
        try:
            sizes[info.tables[name].name] = size
        except UnknownName as error:
            raise UnknownLimit(f"this switch was started with a limit for table {name}: {error}") from error
    defaults, entries = program.default_actions(compiled), program.initial_entries(compiled)
    return info, Tables(info, plane, defaults, entries, sizes)


def verify(config: messages.ForwardingPipelineConfig) -> tuple[P4Info, Program]:
    """What can be said of a config before compiling it. Raises :class:`Fault`."""
    if not config.HasField("p4info"):
        raise invalid("the pipeline config has no p4info")
    if not config.p4_device_config:
        raise invalid("the pipeline config has no device config (BMv2 JSON)")
    try:
        info = P4Info(config.p4info)
    except ValueError as error:
        raise invalid(f"p4info: {error}") from error
    try:
        compiled = read_program(config.p4_device_config)
    except Exception as error:
        raise fault_of(error) from error
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
    if table.direct_others:
        raise unimplemented(f"a direct meter (of table {table.name}) is")


def _unknown(entity: str | None) -> Fault:
    return invalid("no entity is given") if entity is None else unimplemented(f"{entity} is")


def fault_of(error: Exception) -> Fault:
    """Whatever goes wrong, as a :class:`Fault`."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, BadEntry):
        return Fault(error.code, str(error))
    if isinstance(error, TableFull):
        return Fault(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
    if isinstance(error, Unsupported):
        return Fault(grpc.StatusCode.UNIMPLEMENTED, str(error))
    if isinstance(error, Malformed | Unrealizable):
        return invalid(str(error))
    if isinstance(error, PlaneError | OSError):
        return Fault(grpc.StatusCode.INTERNAL, f"the data plane failed: {error}")
    log.error("unexpected", exc_info=error)
    return Fault(grpc.StatusCode.INTERNAL, f"a bug: {error!r}; the switch's log has more")
