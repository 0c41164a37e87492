"""The files by which we show who we are over TLS and know the other side, and why a handshake came to nothing.

For NATS, P4Runtime, OVSDB and OpenFlow alike: files are read whenever a connection is made, so that renewed ones are
taken up without a restart. Adapter.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

NKEY, CERT, KEY, CA = "nkey", "cert.pem", "key.pem", "ca.pem"
"""As `ezpath trust` names what is somebody's."""
PROBE_S = 2.0
HEARD_S = 0.5
"""So long the other side may take to object to what we showed: with TLS 1.3 that comes behind the handshake."""
_EXPIRED, _OTHER_NAME, _OTHER_ADDRESS = 10, 62, 64
"""Of OpenSSL's X509_V_ERR codes."""


class BadFile(Exception):
    """A file is not what it should be. The message names its option and says what to do."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why TLS is the reason that there is no connection, and what to do about it."""

    why: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.why}. {self.remedy[0].upper()}{self.remedy[1:]}"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """``option``: what the options that name the files begin with, such as ``--nats``. No ``ca``: no TLS."""

    option: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def problems(self, now: datetime.datetime | None = None) -> list[str]:
        """What is wrong with the files, for a service that is about to start."""
        try:
            if self.ca is not None:
                self.context(now)
        except BadFile as error:
            return [str(error)]
        return []

    def context(self, now: datetime.datetime | None = None) -> ssl.SSLContext:
        """For a connection of ours. Raises :class:`BadFile`."""
        assert self.ca is not None
        now = now or datetime.datetime.now(datetime.UTC)
        not_expired(self.ca, f"{self.option}-ca", now)
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise BadFile(f"{self.option}-ca {self.ca} is no certificate to check others by: {error}") from None
        if self.certificate is not None:
            not_expired(self.certificate, f"{self.option}-certificate", now)
            try:
                context.load_cert_chain(self.certificate, self.key)
            except (OSError, ssl.SSLError) as error:
                raise BadFile(
                    f"{self.option}-certificate {self.certificate} does not go with {self.option}-key {self.key}: "
                    f"{error}. Give the two that were made together"
                ) from None
        return context

    def refusal(self, error: BaseException) -> Refusal | None:
        """What a failed connection of ours means; None where TLS is not the reason."""
        if isinstance(error, BadFile):
            return Refusal(str(error).partition(". ")[0], str(error).partition(". ")[2])
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._not_believed(error)
        if isinstance(error, ConnectionResetError | ConnectionAbortedError) and self.ca is not None:
            return self._no_tls("it hangs up at the first word of TLS")
        if not isinstance(error, ssl.SSLError):
            return None
        reason = (error.reason or "").upper()
        if "ALERT" in reason and "VERSION" not in reason:
            return self._not_taken(reason.lower().replace("_", " "))
        if "WRONG_VERSION" in reason or "EOF" in reason or "RECORD_LAYER" in reason:
            return self._no_tls(reason.lower().replace("_", " "))
        return Refusal(f"the TLS handshake failed: {error}", "compare the certificates on both sides")

    def _no_tls(self, words: str) -> Refusal:
        return Refusal(
            f"it speaks no TLS, which {self.option}-ca asks for ({words})",
            f"give it its certificate, or leave out {self.option}-ca",
        )

    def _not_taken(self, words: str) -> Refusal:
        if self.certificate is None:
            return Refusal(f"it asks for a certificate, and we show none ({words})", f"give {self._ours}")
        return Refusal(
            f"it does not take {self.option}-certificate {self.certificate} ({words})",
            "give one that is not over, signed by the authority that it trusts: `ezpath trust init` makes it",
        )

    def _not_believed(self, error: ssl.SSLCertVerificationError) -> Refusal:
        words = error.verify_message.strip(".")
        if error.verify_code == _EXPIRED:
            return Refusal(f"its certificate has expired ({words})", "make it anew: ezpath trust renew DIR")
        if error.verify_code in (_OTHER_NAME, _OTHER_ADDRESS):
            return Refusal(
                f"its certificate is for another name ({words})",
                "reach it by a name that is in it, or make one for the name in the inventory: ezpath trust renew DIR",
            )
        return Refusal(
            f"{self.option}-ca {self.ca} did not sign the certificate that it shows ({words})",
            "give the ca.pem of the authority that did",
        )

    @property
    def _ours(self) -> str:
        return f"{self.option}-certificate and {self.option}-key, as `ezpath trust init` makes them"

    async def probe(self, host: str, port: int) -> Refusal | None:
        """Shake hands with what listens there, to learn why a library that says no more than that it failed did.

        None where TLS is not why, or nobody listens.
        """
        try:
            async with asyncio.timeout(PROBE_S):
                if self.ca is None:
                    return await self._speaks_tls(host, port)
                return await self._objects(host, port, self.context())
        except (OSError, TimeoutError, BadFile) as error:
            return self.refusal(error)

    async def _speaks_tls(self, host: str, port: int) -> Refusal | None:
        """Where we speak none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(ssl.SSLError):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.close()
            return Refusal(f"it speaks TLS, and we do not ({self.option}-ca is not given)", f"give {self.wanted}")
        return None

    @property
    def wanted(self) -> str:
        """All that is to be given, in words."""
        return f"{self.option}-ca, {self._ours}"

    async def _objects(self, host: str, port: int, context: ssl.SSLContext) -> Refusal | None:
        context.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
        try:
            async with asyncio.timeout(HEARD_S):
                if await reader.read(1):
                    return None
        except TimeoutError:
            return None
        except ConnectionResetError:
            pass
        finally:
            writer.close()
        # gRPC's servers end it so, without a word.
        return self._not_taken("it hangs up when we have shown who we are")


def of_directory(
    directory: Path, ca: Path | None, certificate: Path | None, key: Path | None
) -> tuple[Path, Path, Path]:
    """CA, certificate and key: those that are given, and the others by their names in ``directory``."""
    return ca or directory / CA, certificate or directory / CERT, key or directory / KEY


def not_expired(file: Path, option: str, now: datetime.datetime) -> None:
    """Raises :class:`BadFile` where the certificate's time is over, or not come."""
    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "not a certificate, PEM"
        raise BadFile(f"{option} {file} cannot be read: {why}. Give a file that `ezpath trust init` made") from None
    for each in certificates:
        if each.not_valid_after_utc < now:
            raise BadFile(
                f"{option} {file}: expired on {each.not_valid_after_utc:%Y-%m-%d}. "
                f"Make it anew with `ezpath trust renew DIR`, and give it with {option}"
            )
        if each.not_valid_before_utc > now:
            raise BadFile(
                f"{option} {file}: valid from {each.not_valid_before_utc:%Y-%m-%d %H:%M} on, and it is not yet. "
                "Keep this machine's clock with NTP"
            )
