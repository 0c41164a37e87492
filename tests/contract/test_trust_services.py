"""The whole system with trust on: every service has its own key, may do its own work, and all of it is done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from contract.ovs_machine import OvsMachine
from contract.services_rig import OPTIONS, PAIR, Services, running
from trust_rig import guarded, plan_of

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


@pytest_asyncio.fixture
async def services(tmp_path: Path, make_machine: Callable[[], OvsMachine]) -> AsyncIterator[Services]:
    with guarded(tmp_path, plan_of(switches=("tor1",))) as nats:

        def prepare(services: Services) -> None:
            services.shown = nats.shown

        async with running(tmp_path, nats.url, make_machine, prepare=prepare) as services:
            yield services


def never_refused(services: Services) -> None:
    for name in OPTIONS:
        assert "not allowed" not in services.log(name), services.log(name)


async def test_a_pair_goes_and_comes_back_and_everybody_looks_on(services: Services) -> None:
    # When an operator asks for it
    code, out, err = await services.ezpath("offload", PAIR, "--timeout", "60")
    # Then it is done, by services of which each may do nothing but its part
    assert code == 0, out + err
    assert len(await services.tor.entries("endpoint", "tenant_tag")) == 4
    code, out, err = await services.ezpath("diff", "--timeout", "20")
    assert (code, err) == (0, ""), out
    # And who only looks on sees all of it
    looks = (("status", "--timeout", "20"), ("offloads",), ("trace", PAIR), ("tail", "--no-follow"), ("diff",))
    for command in looks:
        code, out, err = await services.ezpath(*command, user="viewer", inventory=command[0] not in ("trace",))
        assert (code, err) == (0, ""), (command, out, err)
    # And an operator pauses, and has it back
    for command in (("pause", "--rack", "r1"), ("resume", "--rack", "r1"), ("revert", PAIR, "--timeout", "60")):
        code, out, err = await services.ezpath(*command, inventory=command[0] == "revert")
        assert code == 0, (command, out, err)
    assert len(await services.tor.entries("endpoint")) == 0
    # And nobody was told on the way that it may not do something
    for name in OPTIONS:
        assert "not allowed" not in services.log(name), services.log(name)


async def test_who_only_looks_on_decides_nothing(services: Services) -> None:
    for command in (("offload", PAIR, "--no-wait"), ("pause", "--rack", "r1")):
        code, out, err = await services.ezpath(*command, user="viewer", inventory=command[0] == "offload")
        assert code != 0, (command, out)
        assert "permissions violation" in err.lower(), (command, err)
    code, out, _ = await services.ezpath("offloads")
    assert PAIR not in out
