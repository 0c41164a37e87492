"""Mutual TLS between a controller and a switch, with real gRPC: who is let in, and what is said where somebody is not.

gRPC itself says "Socket closed" for nearly all of it. What is said here goes into the log of the service that was
refused, in one line.
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
import pytest
from contract.conftest import free_port
from ezpath.tls import BadFile, TlsFiles
from ezpath.trust.store import CA, CERT, KEY, Store
from ezpath_tor.server import Switch, make_server
from memory_plane import MemoryPlane
from p4rt.tls import BadTls, server_credentials
from trust_rig import plan_of

from p4rt import Client, P4Info, P4RuntimeError

NOW = datetime.datetime.now(datetime.UTC)
AGO = NOW - datetime.timedelta(days=400)


@dataclass
class Trusting:
    """What `ezpath trust` makes, twice: of the site, and of somebody else."""

    store: Store
    others: Store

    def tor(self, store: Store | None = None) -> tuple[Path, Path, Path]:
        directory = (store or self.store).directory / "switches" / "tor1"
        return directory / CA, directory / CERT, directory / KEY

    def writer(self, store: Store | None = None, role: str = "switch-writer") -> TlsFiles:
        directory = (store or self.store).directory / "users" / role
        return TlsFiles("--p4runtime", directory / CA, directory / CERT, directory / KEY)

    def expired(self, directory: Path) -> Store:
        """Certificates that are over, of the same authority."""
        store = Store(directory)
        for name in (CERT, KEY):
            (directory / "ca").mkdir(parents=True, exist_ok=True)
            (directory / "ca" / name).write_bytes((self.store.directory / "ca" / name).read_bytes())
        store.make(replace(plan_of(), days=1), AGO)
        return store


@pytest.fixture
def trusting(tmp_path: Path) -> Trusting:
    stores = Store(tmp_path / "trust"), Store(tmp_path / "others")
    for store in stores:
        store.make(plan_of(), NOW)
    return Trusting(*stores)


@asynccontextmanager
async def serving(files: tuple[Path, Path, Path] | None, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """A ToR's P4Runtime server over TCP, in the clear without ``files``; its address."""
    address, complaints = f"{host}:{free_port()}", list[BadTls]()
    switch = Switch(1, MemoryPlane(), writers=("switch-writer",))
    server = make_server(switch)
    if files is None:
        assert server.add_insecure_port(address)
    else:
        assert server.add_secure_port(address, server_credentials(*files, complaints.append))
    await server.start()
    try:
        yield address
    finally:
        await server.stop(grace=0)
        await switch.leave()
    assert complaints == []


async def refused(address: str, tls: TlsFiles) -> str:
    client = Client(address, 1, tls=tls)
    try:
        with pytest.raises(P4RuntimeError) as caught:
            await client.connect()
    finally:
        await client.close()
    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def test_given_both_of_one_authority_then_the_switch_is_written_and_read(trusting: Trusting) -> None:
    async with serving(trusting.tor()) as address, Client(address, 1, tls=trusting.writer()) as client:
        await client.become_primary(1)
        assert client.primary
        assert await client.get_pipeline() is None


async def test_given_somebody_who_is_no_writer_then_he_reads_and_does_no_more(trusting: Trusting) -> None:
    async with serving(trusting.tor()) as address, Client(address, 1, tls=trusting.writer(role="collector")) as client:
        assert await client.get_pipeline() is None
        with pytest.raises(
            P4RuntimeError, match=r"collector, as the certificate says, may read .* switch-writer"
        ) as caught:
            await client.become_primary(1)
        assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
        program = P4Info.load(Path(__file__).parents[3] / "p4" / "ezpath.p4info.txtpb")
        with pytest.raises(P4RuntimeError, match="may read this switch and not write it"):
            await client.set_pipeline(program, b"", cookie=1)


async def test_given_a_switch_of_another_authority_then_it_is_not_believed(trusting: Trusting) -> None:
    async with serving(trusting.tor(trusting.others)) as address:
        said = await refused(address, trusting.writer())
    assert f"--p4runtime-ca {trusting.writer().ca} did not sign the certificate that it shows" in said
    assert "give the ca.pem of the authority that did" in said


async def test_given_a_controller_of_another_authority_then_it_is_not_let_in(trusting: Trusting) -> None:
    alien = trusting.writer(trusting.others)
    async with serving(trusting.tor()) as address:
        said = await refused(address, replace(alien, ca=trusting.writer().ca))
    assert f"it does not take --p4runtime-certificate {alien.certificate}" in said
    assert "give one that is not over, signed by the authority that it trusts" in said


async def test_given_no_certificate_of_ours_then_the_one_that_is_asked_for_is_named(trusting: Trusting) -> None:
    async with serving(trusting.tor()) as address:
        said = await refused(address, TlsFiles("--p4runtime", trusting.writer().ca))
    assert "it asks for a certificate, and we show none" in said
    assert "give --p4runtime-certificate and --p4runtime-key" in said


async def test_given_a_plain_client_then_it_is_told_that_the_switch_speaks_tls(trusting: Trusting) -> None:
    async with serving(trusting.tor()) as address:
        said = await refused(address, TlsFiles("--p4runtime"))
    assert "it speaks TLS, and we do not (--p4runtime-ca is not given); give --p4runtime-ca" in said


async def test_given_a_plain_switch_then_a_client_with_tls_does_not_speak_to_it(trusting: Trusting) -> None:
    async with serving(None) as address:
        said = await refused(address, trusting.writer())
    assert "it speaks no TLS, which --p4runtime-ca asks for" in said


async def test_given_a_switch_whose_certificate_is_over_then_it_is_not_believed(
    trusting: Trusting, tmp_path: Path
) -> None:
    async with serving(trusting.tor(trusting.expired(tmp_path / "old"))) as address:
        said = await refused(address, trusting.writer())
    assert "its certificate has expired" in said and "ezpath trust renew DIR" in said


async def test_given_a_certificate_of_ours_that_is_over_then_we_do_not_even_try_and_the_switch_would_not_take_it(
    trusting: Trusting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = trusting.writer(trusting.expired(tmp_path / "old"))
    (problem,) = old.problems()
    assert f"--p4runtime-certificate {old.certificate}: expired on" in problem
    async with serving(trusting.tor()) as address:
        assert "expired on" in await refused(address, old)
        # Somebody who does not look at his own dates is refused by the switch.
        monkeypatch.setattr("ezpath.tls.not_expired", lambda *_: None)
        assert "it does not take --p4runtime-certificate" in await refused(address, old)


async def test_given_a_switch_of_another_name_then_it_is_not_believed(trusting: Trusting) -> None:
    async with serving(trusting.tor(), host="127.0.0.2") as address:
        said = await refused(address, trusting.writer())
    assert "its certificate is for another name" in said and "127.0.0.2" in said


async def test_given_nobody_who_listens_then_certificates_are_not_blamed(trusting: Trusting) -> None:
    said = await refused(f"127.0.0.1:{free_port()}", trusting.writer())
    assert "check that the switch runs and listens there" in said


async def test_given_renewed_files_then_the_next_handshake_shows_them(trusting: Trusting) -> None:
    async with serving(trusting.tor()) as address:
        async with Client(address, 1, tls=trusting.writer()) as client:
            # when all certificates are made anew, by another authority even
            for name in (CERT, KEY):
                theirs = trusting.others.directory / "ca" / name
                (trusting.store.directory / "ca" / name).write_bytes(theirs.read_bytes())
            trusting.store.make(plan_of(), NOW, renew=True)
            # then who is connected stays so
            await client.capabilities()
        # and who comes shows the new ones, and sees them
        async with Client(address, 1, tls=trusting.writer()) as client:
            await client.capabilities()


def test_given_files_that_do_not_go_together_then_it_is_said_before_anything_begins(trusting: Trusting) -> None:
    ca, certificate, _ = trusting.tor()
    wrong = trusting.writer().key
    assert wrong is not None
    with pytest.raises(BadTls, match=r"cert\.pem does not go with the key .*: key values mismatch"):
        server_credentials(ca, certificate, wrong, lambda _: None)
    with pytest.raises(BadTls, match=r"nothing is no certificate to check others by, PEM: No such file"):
        server_credentials(ca.with_name("nothing"), certificate, wrong, lambda _: None)
    with pytest.raises(BadFile, match="does not go with --p4runtime-key"):
        TlsFiles("--p4runtime", ca, certificate, wrong).context()
