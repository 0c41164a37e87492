"""The switches that there are: how each is started, and how each shows its monitor."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc.aio
import thriftpy2
from conformance.bursts import PORTS
from conformance.target import DEVICE_ID, ELECTION_ID, P4, Target
from ezpath_collector.thrift_port import ThriftPort
from ezpath_collector.words import Word, put_together, words_of
from ezpath_lab import bmv2
from p4rt.arbitration import uint128
from packet.rack import STAGES
from packet.wire import inside
from thriftpy2.protocol import TBinaryProtocolFactory, TMultiplexedProtocolFactory
from thriftpy2.rpc import client_context

from p4rt import RegisterCells, messages, service

_THRIFT_PORT = 9090  # in a network namespace of its own
_IDL: Any = thriftpy2.load(str(Path(__file__).with_name("bmv2_registers.thrift")), "bmv2_registers_thrift")


class SoftwareTor(Target):
    """``ezpath-tor`` as it is installed."""

    name = "software-tor"

    def command(self) -> list[str]:
        tor = str(Path(sys.executable).parent / "ezpath-tor")
        ports = [argument for number, interface in PORTS.items() for argument in ("--port", f"{number}={interface}")]
        return [tor, "--device-id", str(DEVICE_ID), "--listen", self.address, "--die-with-parent", "--empty", *ports]

    def clear_registers(self) -> None:
        self._runner.run(self._write_zeros())

    async def _write_zeros(self) -> None:
        zero, modify = messages.P4Data(bitstring=b"\0"), messages.Update.MODIFY
        cells = [messages.RegisterEntry(register_id=register.id, data=zero) for register in self.info.registers]
        updates = [messages.Update(type=modify, entity=messages.Entity(register_entry=all_of)) for all_of in cells]
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
        return bmv2.command(DEVICE_ID, PORTS.items(), _THRIFT_PORT, self.address)

    def clear_registers(self) -> None:
        # Not by loading the program again: of some hundred times that was done, BMv2 did not come back from one.
        protocol = TMultiplexedProtocolFactory(TBinaryProtocolFactory(), "standard")
        with (
            inside(self.namespace),
            client_context(_IDL.Standard, "127.0.0.1", _THRIFT_PORT, proto_factory=protocol) as thrift,
        ):
            for register in self.info.registers:
                thrift.bm_register_reset(0, register.name)

    def stages(self) -> Sequence[RegisterCells]:
        """As the collector reads them: from the Thrift port, a cell in words."""
        widths = {register.name: register.width for register in self.info.registers}
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
