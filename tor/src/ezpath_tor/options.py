"""What the options of ``ezpath-tor`` mean, and what is said where they mean nothing."""

from __future__ import annotations

import os

import click

from ezpath_tor.mtu import MtuRule
from ezpath_tor.ports import MAX_PORT


def ports_of(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[int, str]:
    """``--port``"""
    ports: dict[int, str] = {}
    for value in values:
        number, separator, interface = value.partition("=")
        if not separator or not interface or not number.isdecimal():
            raise click.BadParameter(f"{value!r} is not NUMBER=INTERFACE, as in 1=eth1")
        port = int(number)
        if port > MAX_PORT:
            raise click.BadParameter(f"{value!r}: a port number is at most {MAX_PORT}")
        if port in ports:
            raise click.BadParameter(f"port {port} is given twice: {ports[port]} and {interface}")
        if interface in ports.values():
            raise click.BadParameter(f"interface {interface} is given for two ports")
        ports[port] = interface
    return ports


def limits_of(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    """``--limit``"""
    limits: dict[str, int] = {}
    for value in values:
        table, separator, number = value.partition("=")
        if not separator or not table or not number.isdecimal() or int(number) == 0:
            raise click.BadParameter(f"{value!r} is not TABLE=ENTRIES, as in endpoint=100")
        limits[table] = int(number)
    return limits


def addresses_of(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """``--listen``"""
    for value in values:
        if value.startswith("unix:"):
            if len(os.fsencode(value.removeprefix("unix:"))) not in range(1, 108):
                raise click.BadParameter(f"{value!r}: a socket's path has 1 to 107 bytes")
            continue
        host, separator, port = value.rpartition(":")
        if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise click.BadParameter(f"{value!r} is neither unix:PATH nor HOST:PORT")
    return values


def min_mtus_of(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[MtuRule, ...]:
    """``--min-mtu``"""
    rules: dict[int, MtuRule] = {}
    for value in values:
        number, separator, least = value.partition("=")
        octets = least.removeprefix("+")
        if not separator or not number.isdecimal() or not octets.isdecimal() or int(octets) == 0:
            raise click.BadParameter(f"{value!r} is neither PORT=BYTES nor PORT=+BYTES, as in 10=1550 or 10=+50")
        if int(number) in rules:
            raise click.BadParameter(f"port {number} has two of them")
        rules[int(number)] = MtuRule(int(number), int(octets), above_others=least != octets)
    return tuple(rules.values())
