"""The whole system with trust on: every service has its own key, may do its own work, and all of it is done."""

from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from contract.conftest import free_port
from contract.ovs_machine import OvsMachine
from contract.services_rig import OPTIONS, PAIR, Services, running
from ezpath.tls import TlsFiles
from ezpath.trust.store import CA, CERT, KEY, Store
from p4rt.tls import server_credentials
from tor_server import ServerOnly
from trust_rig import Guarded, guarded, plan_of

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]


@pytest_asyncio.fixture
async def services(tmp_path: Path, make_machine: Callable[[], OvsMachine]) -> AsyncIterator[Services]:
    """NATS with keys and TLS, the ToR and the hosts over TCP with TLS: all by what `ezpath trust` made."""
    with guarded(tmp_path, plan_of(switches=("tor1",))) as nats:
        tor = ServerOnly(tmp_path)
        tor.address, tor.credentials = (
            f"127.0.0.1:{free_port()}",
            server_credentials(*files(nats, "switches/tor1"), print),
        )
        tor.tls = TlsFiles("--p4runtime", *files(nats, "users/switch-writer"))

        def prepare(services: Services) -> None:
            ovsdb, openflow = {}, {}
            for host, machine in (("h1", services.h1), ("h2", services.h2)):
                nats.store.make(
                    replace(nats.plan, hosts={host: (machine.address,)}),
                    datetime.datetime.now(datetime.UTC),
                    renew=True,
                )
                ca, certificate, key = files(nats, f"hosts/{host}")
                openflow[host] = machine.listen("ssl", (key, certificate, ca))
                ovsdb[host] = openflow[host].pop("ovsdb")
            services.describe(ovsdb, openflow)
            services.shown = lambda who: ["--trust", str(nats.store.directory / "users" / who)]

        async with running(tmp_path, nats.url, make_machine, prepare=prepare, tor=tor) as services:
            yield services


def files(nats: Guarded, whose: str) -> tuple[Path, Path, Path]:
    directory = nats.store.directory / whose
    return directory / CA, directory / CERT, directory / KEY


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
    # And all of it went over TLS
    assert services.described.count('"ssl:') == 6 and "unix:" not in services.described
    # And nobody was told on the way that it may not do something
    for name in OPTIONS:
        assert "not allowed" not in services.log(name), services.log(name)


async def test_a_service_that_does_not_believe_a_switch_or_a_host_says_why_in_one_line(
    services: Services, tmp_path: Path
) -> None:
    # Given who believes an authority of his own making instead of the site's
    others = Store(tmp_path / "others")
    others.make(plan_of(), datetime.datetime.now(datetime.UTC))
    ca = str(others.directory / "ca" / CERT)
    wrong = {"collector": "--p4runtime-ca", "switch-writer": "--p4runtime-ca", "host-writer": "--ovs-ca"}
    for name, option in wrong.items():
        services.end(name)
        services.spawn(name, *OPTIONS[name], option, ca)
    # Then each says so, names the file, and says what to do
    for name, option in wrong.items():
        said = f"{option} {ca} did not sign the certificate that it shows"

        def lines(name: str = name, said: str = said) -> list[str]:
            return [line for line in services.log(name).splitlines() if said in line]

        await services.until(lambda lines=lines: lines(), f"{name} says {said!r}", 60)  # type: ignore[misc]
        reason = json.loads(lines()[0])["reason"]
        assert "ive the ca.pem of the authority that did" in reason, reason


async def test_who_only_looks_on_decides_nothing(services: Services) -> None:
    for command in (("offload", PAIR, "--no-wait"), ("pause", "--rack", "r1")):
        code, out, err = await services.ezpath(*command, user="viewer", inventory=command[0] == "offload")
        assert code != 0, (command, out)
        assert "permissions violation" in err.lower(), (command, err)
    code, out, _ = await services.ezpath("offloads")
    assert PAIR not in out
