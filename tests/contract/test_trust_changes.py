"""Keys and certificates are exchanged while everything runs."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from cli_process import ezpath
from ezpath.bus import Access, Bus
from ezpath.bus.errors import Refused
from ezpath.events import SwitchTables, TableUse
from ezpath.names import SwitchName
from trust_rig import Guarded, guarded, plan_of

pytestmark = pytest.mark.timeout(180)


def reload(nats: Guarded) -> None:
    """As `nats-server --signal reload` does."""
    assert nats.process is not None
    nats.process.send_signal(signal.SIGHUP)


async def connected_again(bus: Bus, before: int) -> None:
    async with asyncio.timeout(60):
        while bus.vitals.connections <= before:  # noqa: ASYNC110 - it tells nobody else
            await asyncio.sleep(0.05)


async def test_given_a_new_key_then_the_old_one_is_refused_and_its_owner_goes_on_without_a_restart(tmp_path: Path):
    with guarded(tmp_path, plan_of()) as nats:
        # given a service that is connected, and somebody who has a copy of its key
        bus = await Bus.connect(nats.access("decider"), "decider", wait_s=20)
        copy = Path(shutil.copy(str(nats.access("decider").credentials), tmp_path / "stolen"))
        stolen = replace(nats.access("decider"), credentials=copy)
        thief = await Bus.connect(stolen, "thief", wait_s=20)
        await thief.close()
        # when the key is exchanged
        before = bus.vitals.connections
        code, out, err = await ezpath("trust", "rotate", str(nats.store.directory), "decider")
        assert code == 0 and "new keys for decider" in out, err
        reload(nats)
        # then the service comes back with what its file says now, and does its work
        await connected_again(bus, before)
        await bus.publish(SwitchTables(SwitchName("tor1"), time.time(), (TableUse("endpoint", 100, 1),)))
        # and the copy is worth nothing
        with pytest.raises(Refused):
            await Bus.connect(stolen, "thief", wait_s=20)
        await bus.close()


async def test_given_renewed_certificates_then_everybody_goes_on(tmp_path: Path):
    with guarded(tmp_path, plan_of()) as nats:
        bus = await Bus.connect(nats.access("decider"), "decider", wait_s=20)
        old = nats.access("decider").certificate.read_bytes()
        # when all certificates are made anew
        code, out, err = await ezpath("trust", "renew", str(nats.store.directory), "--days", "400")
        assert code == 0 and "good until" in out, err
        assert nats.access("decider").certificate.read_bytes() != old
        reload(nats)
        # then who is connected stays so, and who comes shows and sees the new ones
        await bus.publish(SwitchTables(SwitchName("tor1"), time.time(), (TableUse("endpoint", 100, 1),)))
        another: Access = nats.access("viewer")
        viewer = await Bus.connect(another, "viewer", wait_s=20)
        await viewer.close()
        await bus.close()


async def test_a_user_that_nobody_has_is_refused_by_name(tmp_path: Path):
    with guarded(tmp_path, plan_of()) as nats:
        code, _, err = await ezpath("trust", "rotate", str(nats.store.directory), "host-writer-h9")
        assert code == 1 and "no user host-writer-h9. There are: collector" in err
