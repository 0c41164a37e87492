"""A host's Open vSwitch over TCP, with TLS on OVSDB and OpenFlow: real daemons, and certificates of `ezpath trust`."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from contract.ovs_machine import OvsMachine
from contract.test_host_writer_host import RED_RECEIVE, RED_SEND, inventory_of
from ezpath.inventory import Host
from ezpath.names import HostName
from ezpath.ovs import OpenFlowBridge, Ovsdb, OvsUnreachable, OvsUntrusted
from ezpath.ovs.reach import NO_TLS
from ezpath.ovs.sslstream import show
from ezpath.tls import TlsFiles
from ezpath.trust.store import CA, CERT, KEY, Store
from ezpath_host_writer.book import entries_of
from ezpath_host_writer.cleanup import clean_up
from ezpath_host_writer.host import HostOvs
from ezpath_host_writer.reaching import daemon_of, reach_of
from ovs.stream import Stream
from trust_rig import plan_of

pytest_plugins = ["contract.ovs_fixture"]
pytestmark = pytest.mark.root

NOW = datetime.datetime.now(datetime.UTC)


@dataclass
class Distant:
    """A machine that listens over TLS, and who may talk to it."""

    machine: OvsMachine
    remotes: dict[str, str]
    store: Store
    others: Store

    def host(self, **changed: str) -> Host:
        """As an inventory names it; ``changed`` remotes are other ones."""
        remotes = self.remotes | changed
        host = inventory_of(self.machine).hosts[HostName("h1")]
        openflow = {bridge: remotes[bridge] for bridge in ("br-int", "br-phy")}
        return replace(host, config=host.config.model_copy(update={"ovsdb": remotes["ovsdb"], "openflow": openflow}))

    def writer(self, store: Store | None = None) -> TlsFiles:
        directory = (store or self.store).directory / "users" / "host-writer"
        return TlsFiles("--ovs", directory / CA, directory / CERT, directory / KEY)

    def shows(self, store: Store, host: str = "h1") -> None:
        """From now on, another certificate."""
        directory = store.directory / "hosts" / host
        self.machine.vsctl("set-ssl", *(str(directory / name) for name in (KEY, CERT, CA)))


@pytest.fixture
def distant(make_machine: Callable[[], OvsMachine], tmp_path: Path) -> Distant:
    machine = make_machine()
    stores = Store(tmp_path / "trust"), Store(tmp_path / "others")
    at = machine.address
    for store in stores:
        store.make(replace(plan_of(), hosts={"h1": (at,), "h2": ()}), NOW)
    directory = stores[0].directory / "hosts" / "h1"
    remotes = machine.listen("ssl", [directory / name for name in (KEY, CERT, CA)])
    return Distant(machine, remotes, *stores)


async def connect(distant: Distant, tls: TlsFiles, host: Host | None = None) -> HostOvs:
    endpoints = [each for each in inventory_of(distant.machine).endpoints.values() if each.host == "h1"]
    return await HostOvs.connect(host or distant.host(), endpoints, 7, tls)


async def test_a_host_is_written_and_cleaned_over_tls_as_over_its_sockets(distant: Distant) -> None:
    # Given a host of which nothing but TCP ports can be reached
    distant.machine.plug("br-int", "red1")
    ovs = await connect(distant, distant.writer())
    try:
        # When rules come the long way and the quick way, then they are there, and read back
        assert await ovs.apply([RED_SEND]) > 0
        assert await ovs.advance(entries_of([RED_SEND, RED_RECEIVE])) == 2
        assert await ovs.apply([RED_SEND, RED_RECEIVE]) == 0
        assert len(distant.machine.ours("br-int")) + len(distant.machine.ours("br-phy")) > 4
        ovs.changed.clear()
        # And what changes in the database is heard
        distant.machine.plug("br-int", "blue1")
        async with asyncio.timeout(10):
            await ovs.changed.wait()
        # When ovs-vswitchd ends, then that is noticed, and it is found again
        lost = asyncio.create_task(ovs.until_lost())
        distant.machine.kill("ovs-vswitchd")
        async with asyncio.timeout(10):
            assert await lost == "ovs-vswitchd has ended"
        distant.machine.start_vswitchd()
    finally:
        await ovs.close()
    # And all of it goes again
    assert await clean_up([distant.host()], distant.writer()) == []
    assert distant.machine.ours("br-int") == [] and "ezp-" not in distant.machine.vsctl("show")


async def refused(distant: Distant, tls: TlsFiles, host: Host | None = None) -> str:
    with pytest.raises(OvsUntrusted) as caught:
        await connect(distant, tls, host)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_who_is_not_to_be_trusted_is_refused_and_why_is_said_in_a_line(distant: Distant, tmp_path: Path) -> None:
    ours, alien = distant.writer(), distant.writer(distant.others)
    at = distant.remotes["ovsdb"]
    # A host of another authority
    said = await refused(distant, alien)
    assert said.startswith(f"{at}: --ovs-ca {alien.ca} did not sign the certificate that it shows (")
    assert said.endswith("). Give the ca.pem of the authority that did")
    # A writer of another authority
    said = await refused(distant, replace(alien, ca=ours.ca))
    assert f"{at}: it does not take --ovs-certificate {alien.certificate} (" in said
    assert "signed by the authority that it trusts" in said
    # A writer that shows none
    said = await refused(distant, TlsFiles("--ovs", ours.ca))
    assert f"{at}: it asks for a certificate, and we show none" in said
    # One that does not even know that it is TLS; one that knows, and has no files
    plain = distant.host(ovsdb=at.replace("ssl", "tcp"))
    assert "it speaks TLS, and we do not" in await refused(distant, NO_TLS, plain)
    assert f"{at}: that is TLS, and --ovs-ca is not given. Give --ovs-ca" in await refused(distant, NO_TLS)
    # A certificate of ours that is over: it is not even shown
    old = Store(tmp_path / "old")
    for name in (CERT, KEY):
        (old.directory / "ca").mkdir(parents=True, exist_ok=True)
        (old.directory / "ca" / name).write_bytes((distant.store.directory / "ca" / name).read_bytes())
    old.make(replace(plan_of(), hosts={"h1": (distant.machine.address,)}, days=1), NOW - datetime.timedelta(days=400))
    assert f"--ovs-certificate {distant.writer(old).certificate}: expired on" in await refused(
        distant, distant.writer(old)
    )
    # One of the host's that is over, and one that is another host's
    distant.shows(old)
    await shown_anew(distant, "its certificate has expired")
    distant.shows(distant.store, host="h2")
    await shown_anew(distant, "its certificate is for another name")
    # Which the package that keeps the database in step would not have noticed by itself
    show(ours)
    error, _ = await asyncio.to_thread(lambda: Stream.open_block(Stream.open(at), 5000))
    assert error != 0


async def shown_anew(distant: Distant, words: str) -> None:
    """ovsdb-server takes a moment to show another certificate."""
    said = ""
    async with asyncio.timeout(10):
        while words not in said:
            try:
                said = await refused(distant, distant.writer())
            except OvsUnreachable as error:
                said = str(error)


async def test_openflow_is_refused_as_ovsdb_is(distant: Distant) -> None:
    # Given a host whose OVSDB is over a socket, and whose bridges speak TLS only
    host = distant.host(ovsdb=distant.machine.remote)
    away = replace(reach_of(host, distant.writer(distant.others)), run_dir=None)
    at = distant.remotes["br-int"]
    with pytest.raises(OvsUntrusted, match=rf"bridge br-int: {at}: --ovs-ca .* did not sign"):
        await daemon_of("br-int", away)
    with pytest.raises(OvsUntrusted, match=r"it asks for a certificate, and we show none"):
        await daemon_of("br-int", replace(away, tls=TlsFiles("--ovs", distant.writer().ca)))
    # ovs-ofctl, which does what takes longer, shows the same files, and is refused as well
    bridge = OpenFlowBridge("br-int", at, tls=distant.writer())
    assert await bridge.ours() == []
    with pytest.raises(OvsUntrusted, match="did not sign"):
        await OpenFlowBridge("br-int", at, tls=distant.writer(distant.others)).ours()


async def test_a_database_in_the_clear_is_not_spoken_to_where_tls_is_meant(distant: Distant) -> None:
    clear = distant.machine.listen("tcp")
    ovsdb = await Ovsdb.connect(clear["ovsdb"], lambda _: None)
    await ovsdb.close()
    said = await refused(distant, distant.writer(), distant.host(ovsdb=clear["ovsdb"].replace("tcp", "ssl")))
    assert "it speaks no TLS, which --ovs-ca asks for" in said
