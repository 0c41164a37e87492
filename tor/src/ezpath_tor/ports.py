"""The interfaces behind the P4 port numbers: which are there, and the program on those that are.

Interfaces come and go while the switch runs. :meth:`Ports.refresh` compares what is with what ought to be, so it does
not matter how many changes it is called for, or whether word of one was lost.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from ezpath_tor.bpf import BpfProgram, check, map_delete, map_lookup, map_update, u32
from ezpath_tor.hook import TcHook
from ezpath_tor.links import link, reaches_other_namespace, set_promiscuous
from ezpath_tor.plane import PlaneError
from ezpath_tor.saved import Notes, notes_of

MAX_PORT = 510
"""511 is v1model's drop port."""

PORT_SLOTS = 1024
"""As in runtime.h."""

_NOTE = b"port "
_NOTED = struct.Struct("=I??")

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Place:
    """A program's place on the interface of one port."""

    hook: TcHook
    made_promiscuous: bool = False

    def note(self, port: int, notes: Notes) -> None:
        """What has to be taken back in the end, also by another process."""
        packed = _NOTED.pack(self.hook.ifindex, self.hook.made_qdisc, self.made_promiscuous)
        notes.put(_key(port), packed + self.hook.name.encode())

    def attach(self, port: int, program: BpfProgram) -> None:
        """Run the program here. Raises :class:`PlaneError`."""
        notes = notes_of(program)
        self.hook.prepare()
        present = link(self.hook.name)
        if not self.made_promiscuous and present is not None and not present.promiscuous:
            # The interface's own flag: a membership would end with the process, and the program goes on.
            self.made_promiscuous = True
            self.note(port, notes)
            set_promiscuous(self.hook.ifindex, True)
        self.note(port, notes)
        self.hook.attach(program.program_fd)

    def clear(self) -> None:
        """As it was before us. Raises :class:`PlaneError`; an interface that is gone is fine."""
        self.hook.detach()
        if self.made_promiscuous:
            set_promiscuous(self.hook.ifindex, False)
        self.made_promiscuous = False


class Ports:
    """All ports of the switch, in the network namespace of the calling thread. Not thread safe."""

    def __init__(self, ports: Mapping[int, str]) -> None:
        """``ports``: P4 port number to interface. Raises :class:`PlaneError` for a number outside 0-510 or an interface
        named twice.
        """
        for port in ports:
            if not 0 <= port <= MAX_PORT:
                raise PlaneError(f"port {port} is not a P4 port number; use 0-{MAX_PORT}")
        if len(set(ports.values())) != len(ports):
            raise PlaneError(f"an interface is given for two ports: {dict(ports)}")
        self.names = dict(ports)
        self._places: dict[int, _Place] = {}

    def running(self) -> set[int]:
        """Ids of the programs in our place on any of the interfaces, whoever put them there."""
        found = set()
        for name in self.names.values():
            present = link(name)
            if present is not None:
                found.add(TcHook(present.index, name).program_id())
        return {program_id for program_id in found if program_id is not None}

    def put(self, program: BpfProgram, before: BpfProgram | None) -> None:
        """Run the program on all ports that are there. Raises :class:`PlaneError`; then they run what ran before."""
        changed: list[int] = []
        try:
            for port, name in self.names.items():
                present = link(name)
                if present is None:
                    log.warning("port has no interface", port=port, interface=name)
                    self._places.pop(port, None)
                    continue
                changed.append(port)
                self._attach(port, present.index, program)
        except BaseException:
            for port in changed:
                self._put_back(port, before)
            raise

    def adopt(self, notes: Notes) -> None:
        """What an earlier process noted of its ports is ours now: to go on with, or to clear."""
        for port, (ifindex, made_qdisc, made_promiscuous, name) in _noted(notes).items():
            if ifindex:
                self._places[port] = _Place(TcHook(ifindex, name, made_qdisc=made_qdisc), made_promiscuous)

    def refresh(self, program: BpfProgram) -> None:
        """Let go of interfaces that are gone, and take in those that are there and do not run the program."""
        for port, place in list(self._places.items()):
            present = link(place.hook.name)
            if self.names.get(port) != place.hook.name or present is None or present.index != place.hook.ifindex:
                log.warning("port is gone", port=port, interface=place.hook.name)
                self._detach(port, program)
        for port, name in self.names.items():
            present = link(name)
            if present is None:
                continue
            hook = self._places[port].hook if port in self._places else None
            try:
                if hook is None or hook.program_id() != program.id:
                    self._attach(port, present.index, program)
                    log.info("port is there", port=port, interface=name)
                else:
                    self._set(port, present.index, program)
            except PlaneError as error:  # it may be gone again: then there is word of that, too
                log.error("port does not run the program", port=port, interface=name, reason=str(error))

    def clear(self) -> None:
        """All interfaces as they were before us. Raises the first :class:`PlaneError`, when all is done that can be."""
        places, self._places = [*self._places.values()], {}
        known = {place.hook.ifindex for place in places}
        for name in self.names.values():
            present = link(name)
            if present is not None and present.index not in known:
                places.append(_Place(TcHook(present.index, name)))  # of a switch that left no notes
        errors: list[PlaneError] = []
        for place in places:
            try:
                place.clear()
            except PlaneError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def leave(self) -> None:
        """Forget the interfaces, and leave the program on them."""
        self._places = {}

    def _attach(self, port: int, ifindex: int, program: BpfProgram) -> None:
        place = self._places.get(port)
        if place is None or place.hook.ifindex != ifindex:
            self._places[port] = place = _Place(TcHook(ifindex, self.names[port]))
        self._set(port, ifindex, program)
        place.attach(port, program)

    def _set(self, port: int, ifindex: int, program: BpfProgram) -> None:
        """Tell the program which interface it is, and how frames leave by it."""
        straight = u32(int(reaches_other_namespace(self.names[port])))
        for name, key, value in (
            ("port_by_interface", u32(ifindex), u32(port)),
            ("port_by_slot", u32(ifindex % PORT_SLOTS), u32(ifindex) + u32(port)),
            ("interface_by_port", u32(port), u32(ifindex) + straight),
        ):
            check(map_update(program.map_fd(name), key, value), f"note port {port}")

    def _detach(self, port: int, program: BpfProgram) -> None:
        """Frames for the port are lost from now on, and counted."""
        place = self._places.pop(port)
        check(map_update(program.map_fd("interface_by_port"), u32(port), bytes(8)), f"forget port {port}")
        ifindex = place.hook.ifindex
        map_delete(program.map_fd("port_by_interface"), u32(ifindex))
        slots, slot = program.map_fd("port_by_slot"), u32(ifindex % PORT_SLOTS)
        if map_lookup(slots, slot) == u32(ifindex) + u32(port):
            check(map_update(slots, slot, bytes(8)), f"forget port {port}")
        # A process after this one is to know that the port belongs here.
        noted = _NOTED.pack(0, False, False) + place.hook.name.encode()
        notes_of(program).put(_key(port), noted if self.names.get(port) == place.hook.name else None)
        try:
            place.clear()
        except PlaneError as error:
            log.error("port not put back as it was", port=port, reason=str(error))

    def _put_back(self, port: int, before: BpfProgram | None) -> None:
        """What ran on the port before; never an error of its own, for there is one already."""
        try:
            if before is not None:
                self._places[port].attach(port, before)
            else:
                self._places.pop(port).clear()
        except PlaneError as error:
            log.error("port not put back to the program before", port=port, reason=str(error))


def noted_names(notes: Notes) -> dict[int, str]:
    """Port number to interface, of all ports of the process that made the notes."""
    return {port: name for port, (*_, name) in _noted(notes).items()}


def _noted(notes: Notes) -> dict[int, tuple[int, bool, bool, str]]:
    """By port: interface (0: it is gone), whether qdisc and promiscuous flag are to be taken back, the name."""
    return {
        int(key.removeprefix(_NOTE)): (*_NOTED.unpack_from(value), value[_NOTED.size :].decode())
        for key, value in notes.all().items()
        if key.startswith(_NOTE)
    }


def _key(port: int) -> bytes:
    return _NOTE + str(port).encode()
