"""Where NATS is, as it is given on a command line: a server, or several of one cluster. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import click

_SECRET = re.compile(r"^([a-z]+://)?[^/@]*@")
SCHEMES = ("nats", "tls", "ws", "wss")


def checked(_: click.Context, param: click.Parameter, value: str) -> str:
    """For ``click.option(…, callback=checked)``: a URL that can be one, or what is wrong with it."""
    problem = problem_with(value)
    if problem:
        raise click.BadParameter(f"{shown(value)!r} {problem}, such as nats://10.0.0.5:4222", param=param)
    return value


def shown(urls: str) -> str:
    """For logs and for people: without the user, the password or the token that may be in it."""
    return ",".join(_SECRET.sub(r"\1***@", url) for url in servers(urls))


def servers(urls: str) -> list[str]:
    """Each of those that are given with commas between: any one of them will do."""
    return [url.strip() for url in urls.split(",")]


def problem_with(urls: str) -> str:
    """What is wrong and what to give instead; empty where nothing is."""
    given = servers(urls)
    for url in given:
        if problem := _problem_with_one(url):
            return problem if len(given) == 1 else f"has {shown(url)!r}, which {problem}"
    return ""


def _problem_with_one(url: str) -> str:
    if "://" not in url:
        # as nats-py takes it
        url = f"nats://{url}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has no port from 1 to 65535: give nats://HOST:PORT"
    if parts.scheme not in SCHEMES:
        return f"begins with {parts.scheme}://, where NATS speaks {', '.join(SCHEMES)}: give nats://HOST:PORT"
    if not parts.hostname or " " in parts.hostname:
        return "names no host: give nats://HOST:PORT"
    return "has port 0: give nats://HOST:PORT" if port == 0 else ""
