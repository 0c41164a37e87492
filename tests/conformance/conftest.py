"""The switches that the vectors run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from bmv2 import need_bmv2
from conformance.switches import TARGETS, Bmv2
from conformance.target import P4, Program, Target

CONFIGS = [path for path in (P4 / "ezpath.json", P4 / "ezpath.bmv2.json") if path.exists()]


@pytest.fixture(scope="module", params=CONFIGS, ids=lambda path: path.name)
def program(request: pytest.FixtureRequest) -> Program:
    return Program.read(request.param)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module", params=TARGETS)
def target(
    request: pytest.FixtureRequest,
    runner: asyncio.Runner,
    tmp_path_factory: pytest.TempPathFactory,
    needs: Callable[..., None],
) -> Iterator[Target]:
    """Started, without a program."""
    needs("ip", "clang", "sysctl", root=True)
    kind = TARGETS[request.param]
    if kind is Bmv2:
        need_bmv2()
    target = kind(runner, tmp_path_factory.mktemp(kind.name))
    target.start()
    yield target
    target.stop()


@pytest.fixture(scope="module")
def loaded(target: Target, program: Program) -> Target:
    """Started, with the program, tables empty."""
    target.load(program)
    return target
