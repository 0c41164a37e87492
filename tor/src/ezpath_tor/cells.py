"""Registers and indirect counters over P4Runtime: which cells a request means, and what it does to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import grpc
from p4rt.p4info import CounterInfo, P4Info, RegisterInfo

from ezpath_tor.faults import Fault, invalid, not_found
from ezpath_tor.plane import DataPlane
from p4rt import bytestrings, messages, wire

_INT64_MAX = (1 << 63) - 1


class Cells:
    """All registers and counters of the loaded program. Not thread safe."""

    def __init__(self, info: P4Info, plane: DataPlane) -> None:
        self._info = info
        self._plane = plane

    def write_register(self, kind: int, proto: messages.RegisterEntry) -> None:
        """One update. Raises :class:`Fault` or a ``PlaneError``."""
        register = self._register(proto.register_id)
        _modify_only(kind, f"register {register.alias}")
        indices = _indices(proto, register.size, f"register {register.alias}")
        form = proto.data.WhichOneof("data")
        if form != "bitstring":
            raise invalid(f"register {register.alias} holds bitstrings, not {form or 'nothing'}")
        try:
            value = bytestrings.decode(proto.data.bitstring, register.width)
        except bytestrings.OutOfRange as error:
            raise Fault(grpc.StatusCode.OUT_OF_RANGE, f"register {register.alias}: {error}") from error
        for index in indices:
            self._plane.write_register(register.name, index, value)

    def write_counter(self, kind: int, proto: messages.CounterEntry) -> None:
        """One update. Raises :class:`Fault` or a ``PlaneError``."""
        counter = self._counter(proto.counter_id)
        _modify_only(kind, f"counter {counter.alias}")
        indices = _indices(proto, counter.size, f"counter {counter.alias}")
        if not proto.HasField("data"):
            return  # the specification: the value stays as it is
        packets, octets = counts_of(proto.data, f"counter {counter.alias}")
        for index in indices:
            self._plane.write_counter(counter.name, index, packets, octets)

    def read_registers(self, proto: messages.RegisterEntry) -> Iterator[bytes]:
        """Serialized ReadResponses with the cells a ``RegisterEntry`` means; id 0 means all registers."""
        chosen = [self._register(proto.register_id)] if proto.register_id else self._info.registers
        for register in chosen:
            indices = _indices(proto, register.size, f"register {register.alias}")
            cells = self._plane.read_register(register.name)[indices.start : indices.stop]
            yield from wire.encode_register(register.id, cells, indices.start)

    def read_counters(self, proto: messages.CounterEntry) -> Iterator[bytes]:
        """Serialized entities with the cells a ``CounterEntry`` means; id 0 means all counters."""
        chosen = [self._counter(proto.counter_id)] if proto.counter_id else self._info.counters
        for counter in chosen:
            indices = _indices(proto, counter.size, f"counter {counter.alias}")
            counts = self._plane.read_counter(counter.name)
            for index in indices:
                entry = messages.CounterEntry(
                    counter_id=counter.id,
                    index=messages.Index(index=index),
                    data=counted(*counts[index]),
                )
                yield messages.Entity(counter_entry=entry).SerializeToString()

    def _register(self, register_id: int) -> RegisterInfo:
        register = self._info.registers.by_id.get(register_id)
        if register is None:
            raise not_found(f"the program has no register with id {register_id}")
        return register

    def _counter(self, counter_id: int) -> CounterInfo:
        counter = self._info.counters.by_id.get(counter_id)
        if counter is None:
            raise not_found(f"the program has no counter with id {counter_id}")
        return counter


def counted(packets: int, octets: int) -> messages.CounterData:
    """What a counter has counted, as messages have it."""
    return messages.CounterData(packet_count=min(int(packets), _INT64_MAX), byte_count=min(int(octets), _INT64_MAX))


def counts_of(data: messages.CounterData, what: str) -> tuple[int, int]:
    """Packets and bytes that a controller wants a counter to have. Raises :class:`Fault`."""
    if data.packet_count < 0 or data.byte_count < 0:
        raise invalid(f"{what}: a count is not negative")
    return data.packet_count, data.byte_count


def _modify_only(kind: int, what: str) -> None:
    if kind != messages.Update.MODIFY:
        raise invalid(f"cells of {what} are modified, not inserted or deleted")


def _indices(proto: messages.RegisterEntry | messages.CounterEntry, size: int, what: str) -> range:
    """The cells meant: one, or all where the index is left out."""
    if not proto.HasField("index"):
        return range(size)
    index = proto.index.index
    if index < 0:
        raise invalid(f"{what} has no cell {index}")
    if index >= size:
        raise Fault(grpc.StatusCode.OUT_OF_RANGE, f"{what} has {size} cells, so no cell {index}")
    return range(index, index + 1)


def frame(entities: Iterable[bytes], max_bytes: int = 512 << 10) -> Iterator[bytes]:
    """Serialized entities packed into serialized ReadResponses of at most about ``max_bytes``."""
    parts: list[bytes] = []
    size = 0
    for entity in entities:
        parts += (b"\x0a", wire.encode_varint(len(entity)), entity)
        size += len(entity) + 4
        if size >= max_bytes:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)
