"""Random frames for a table state: most are aimed at its entries, so that they get far; the others are just random."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterable, Iterator

from conformance.grammar import DEPTH, Grammar
from conformance.pools import MACS, PORT_NUMBERS
from packet.frames import ARP, IPV4
from packet.rack import PEER_VTEP, RED, ROUTER, VTEP

from p4rt import TableEntry


class Frames:
    """Port and frame, as many as wanted. The same seed and state, the same frames."""

    def __init__(self, source: random.Random, entries: Iterable[TableEntry]) -> None:
        self._random = source
        self._grammar = Grammar(source)
        self._entries: dict[str, list[TableEntry]] = {}
        for one in entries:
            if not one.default:
                self._entries.setdefault(one.table, []).append(one)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        kinds = (self._any, self._tenants, self._tunnelled, self._routed, self._arp)
        while True:
            (kind,) = self._random.choices(kinds, (20, 32, 26, 18, 4))
            port, frame = kind()
            yield port if port in PORT_NUMBERS else self._port(), self._grammar.damaged(frame)

    def _any(self) -> tuple[int, bytes]:
        return self._port(), self._grammar.ethernet(least_tags=self._random.choice((0, 0, 1)))

    def _tenants(self) -> tuple[int, bytes]:
        """Tagged, from where the tag is known, to where the tenant has somebody."""
        tag = self._one("tenant_tag")
        vni = tag.params.get("vni", 0) if tag else RED
        frame = self._grammar.ethernet(dst=self._container(vni))
        return _number(tag, "ingress_port"), self._grammar.tagged(frame, _number(tag, "vid"))

    def _tunnelled(self) -> tuple[int, bytes]:
        """VXLAN from an allowed source to a tunnel's end, for somebody there."""
        allowed, end, known = self._one("tunnel_source"), self._one("local_vtep"), self._one("endpoint")
        vni = _number(known, "vni") if known else RED
        inner = self._grammar.ethernet(DEPTH - 1, dst=self._container(vni))
        packet = self._grammar.ipv4(
            DEPTH,
            _address(_number(allowed, "vtep")) if allowed else PEER_VTEP,
            _address(_number(end, "vtep")) if end else VTEP,
            self._grammar.vxlan(inner, vni),
        )
        return _number(allowed, "ingress_port"), self._grammar.link(self._router(), IPV4, packet)

    def _routed(self) -> tuple[int, bytes]:
        """To the router, for somewhere it knows the way to."""
        route = self._one("route")
        prefix = route.match.get("prefix", (0, 0)) if route else (0, 0)
        assert isinstance(prefix, tuple)
        behind = self._random.getrandbits(32 - prefix[1]) if prefix[1] < 32 else 0
        packet = self._grammar.ipv4(DEPTH, dst=_address(prefix[0] | behind))
        return self._port(), self._grammar.link(self._router(), IPV4, packet)

    def _arp(self) -> tuple[int, bytes]:
        known = self._one("arp_responder")
        asked = _address(_number(known, "target_ip")) if known else None
        return _number(known, "ingress_port"), self._grammar.link(None, ARP, self._grammar.arp(asked))

    def _port(self) -> int:
        return self._random.choice(PORT_NUMBERS)

    def _router(self) -> str | int:
        known = self._one("router_mac")
        return _number(known, "mac") if known else ROUTER

    def _container(self, vni: int) -> str | int:
        here = [one for one in self._entries.get("endpoint", []) if one.match["vni"] == vni]
        return _number(self._random.choice(here), "mac") if here else self._random.choice(MACS)

    def _one(self, table: str) -> TableEntry | None:
        entries = self._entries.get(table)
        return self._random.choice(entries) if entries else None


def _number(entry: TableEntry | None, field: str) -> int:
    value = entry.match[field] if entry else 0
    assert isinstance(value, int)
    return value


def _address(value: int) -> str:
    return socket.inet_ntoa(value.to_bytes(4, "big"))
