"""The switches that there are: how each is started, and how each shows its monitor."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import grpc.aio
from bmv2 import BINARY
from conformance.bursts import PORTS
from conformance.target import DEVICE_ID, DROPS, ELECTION_ID, P4, Target
from ezpath_collector.thrift_port import ThriftPort
from ezpath_collector.words import Word, put_together, words_of
from p4rt.arbitration import uint128
from packet.rack import STAGES
from packet.wire import inside

from p4rt import RegisterCells, messages, service

_THRIFT_PORT = 9090  # in a network namespace of its own


class SoftwareTor(Target):
    """``ezpath-tor`` as it is installed."""

    name = "software-tor"

    def command(self) -> list[str]:
        tor = str(Path(sys.executable).parent / "ezpath-tor")
        ports = [argument for number, interface in PORTS.items() for argument in ("--port", f"{number}={interface}")]
        return [tor, "--device-id", str(DEVICE_ID), "--listen", self.address, "--die-with-parent", "--empty", *ports]

    def forget(self) -> None:
        """Without compiling the program again."""
        self._runner.run(self._write_zeros())
        self._dropped = self.counter(DROPS)

    async def _write_zeros(self) -> None:
        assert self._program is not None
        info, modify = self._program.info, messages.Update.MODIFY
        zero, none = messages.P4Data(bitstring=b"\0"), messages.CounterData()
        registers = [messages.RegisterEntry(register_id=one.id, data=zero) for one in info.registers]
        counters = [messages.CounterEntry(counter_id=one.id, data=none) for one in info.counters]
        entities = [messages.Entity(register_entry=one) for one in registers]
        entities += [messages.Entity(counter_entry=one) for one in counters]
        updates = [messages.Update(type=modify, entity=entity) for entity in entities]
        request = messages.WriteRequest(device_id=DEVICE_ID, election_id=uint128(ELECTION_ID), updates=updates)
        async with grpc.aio.insecure_channel(self.address, options=service.CHANNEL_OPTIONS) as channel:
            await service.Stub(channel).write(request)

    def stages(self) -> Sequence[RegisterCells]:
        return [self._runner.run(self._client.read_register(name)) for name in STAGES]


class Bmv2(Target):
    """``simple_switch_grpc``, the reference."""

    name = "bmv2"
    # With them, its capture ring has slots for the largest segment there is: eight of them.
    segments = False
    build = P4 / "ezpath.bmv2.json"

    def command(self) -> list[str]:
        ports = [argument for number, interface in PORTS.items() for argument in ("-i", f"{number}@{interface}")]
        switch = [shutil.which(BINARY) or BINARY, "--no-p4", "--device-id", str(DEVICE_ID), *ports]
        return [*switch, "--thrift-port", str(_THRIFT_PORT), "--", "--grpc-server-addr", self.address]

    def stages(self) -> Sequence[RegisterCells]:
        """As the collector reads them: from the Thrift port, a cell in words."""
        assert self._program is not None
        widths = {register.name: register.width for register in self._program.info.registers}
        port = ThriftPort(f"thrift://127.0.0.1:{_THRIFT_PORT}", timeout_s=10)
        try:
            with inside(self.namespace):
                port.connect()
            return [self._stage(port, words_of(name, widths)) for name in STAGES]
        finally:
            port.close()

    @staticmethod
    def _stage(port: ThriftPort, words: Sequence[Word]) -> RegisterCells:
        columns = {word.name: port.read(word.name) for word in words}
        return put_together(words, columns, columns)


TARGETS: Mapping[str, type[Target]] = {target.name: target for target in (SoftwareTor, Bmv2)}
