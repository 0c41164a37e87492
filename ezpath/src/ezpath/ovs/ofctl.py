"""OpenFlow on one bridge through ``ovs-ofctl``: read rules, change them all or none, keep a port out of floods.

Adapter. Changes are OpenFlow 1.4 bundles: atomic, so that no frame meets half of one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ezpath.ovs import fence
from ezpath.ovs.errors import OvsError, OvsFenced, OvsRefused, OvsUnreachable
from ezpath.ovs.fence import Fence
from ezpath.ovs.flows import COOKIE, COOKIE_MASK, Change, Flow, difference, parse_dump
from ezpath.ovs.ofconn import OpenFlowConnection
from ezpath.ovs.reach import NO_TLS, explained
from ezpath.tls import TlsFiles

PROTOCOL = "OpenFlow14"
PORT_PROTOCOL = "OpenFlow10"
TIMEOUT_S = 5.0


class OpenFlowBridge:
    """One bridge, by the management socket that ovs-vswitchd keeps for it, or where it listens for controllers."""

    def __init__(self, name: str, remote: str, behind: Fence | None = None, tls: TlsFiles = NO_TLS) -> None:
        """``behind`` a fence, changes raise :class:`OvsFenced` once a later writer has put up its own."""
        self.name = name
        self._fence = behind
        self._remote = remote
        self._tls = tls

    async def connection(self) -> OpenFlowConnection:
        """A connection that stays. Raises :class:`~ezpath.ovs.ofconn.CannotTalk`, :class:`OvsUnreachable`."""
        return await OpenFlowConnection.open(self.name, self._remote, self._fence, self._tls)

    async def put_up_fence(self) -> None:
        """From now on no writer of an earlier term changes anything here. Raises :class:`OvsFenced`. Idempotent."""
        if self._fence is None:
            return
        there, wall = await self._fences(), self._fence.wall
        change = difference(wall, there)
        if change and fence.term_of(there) <= self._fence.term:
            await self.change(change)
        elif change:
            raise await self._fenced()

    async def remove_fence(self) -> None:
        """Whoever's it is."""
        await self.change(Change(deletes=tuple(await self._fences())))

    async def _fences(self) -> list[Flow]:
        return await self._dump(f"cookie={fence.COOKIE:#x}/{COOKIE_MASK:#x}")

    async def _fenced(self) -> OvsFenced:
        term = fence.term_of(await self._fences())
        return OvsFenced(f"bridge {self.name} has a writer of term {term}", term)

    async def ours(self) -> list[Flow]:
        """All rules under our cookie, in all tables."""
        return await self._dump(f"cookie={COOKIE:#x}/{COOKIE_MASK:#x}")

    async def on_port(self, ofport: int) -> list[Flow]:
        """All rules of table 0, whoever's, that match frames from ``ofport`` only."""
        return await self._dump(f"table=0,in_port={ofport}")

    async def change(self, change: Change) -> None:
        """All of ``change`` or nothing. Raises :class:`OvsRefused` with Open vSwitch's words."""
        if change:
            await self.bundle(change.lines)

    async def bundle(self, lines: Sequence[str]) -> None:
        """``lines`` as one transaction. Raises :class:`OvsRefused` with Open vSwitch's words."""
        first = self._fence.lines if self._fence is not None else []
        text = "".join(f"{line}\n" for line in (*first, *lines))
        try:
            await self._ofctl("--bundle", "add-flows", self._remote, "-", stdin=text)
        except OvsRefused as error:
            if self._fence is None or fence.REFUSED not in str(error):
                raise
            raise await self._fenced() from error

    async def no_flood(self, port: str) -> None:
        """Keep ``port`` out of what rules flood. ovs-vswitchd forgets this when it restarts.

        Raises :class:`OvsRefused` where the bridge does not speak OpenFlow 1.0: later versions cannot say this.
        """
        await self._ofctl("mod-port", self._remote, port, "no-flood", protocol=PORT_PROTOCOL)

    async def _dump(self, what: str) -> list[Flow]:
        return parse_dump(await self._ofctl("--no-stats", "dump-flows", self._remote, what))

    async def _ofctl(self, *arguments: str, stdin: str = "", protocol: str = PROTOCOL) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                "ovs-ofctl",
                "-O",
                protocol,
                # For names it would ask for the features of all 254 tables, which takes twice as long as all else.
                "--no-names",
                *self._shown(),
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C in a terminal is for us, not for a change that is under way
            )
        except FileNotFoundError:
            raise OvsError("ovs-ofctl is not on PATH. Install openvswitch-switch (or openvswitch-common)") from None
        try:
            async with asyncio.timeout(TIMEOUT_S):
                out, err = await process.communicate(stdin.encode())
        except TimeoutError:
            raise OvsUnreachable(f"bridge {self.name}: ovs-ofctl got no answer within {TIMEOUT_S:g} s") from None
        finally:
            if process.returncode is None:
                await _end(process)
        if process.returncode != 0:
            error = self._refusal(err.decode(errors="replace"), protocol)
            if isinstance(error, OvsUnreachable):
                error = await explained(self._remote, self._tls, error)
            raise error
        return out.decode(errors="replace")

    def _shown(self) -> list[str]:
        """Who we are, to one that speaks TLS."""
        files = {"-C": self._tls.ca, "-c": self._tls.certificate, "-p": self._tls.key}
        if not self._remote.startswith("ssl:"):
            return []
        return [word for option, file in files.items() if file is not None for word in (option, str(file))]

    def _refusal(self, stderr: str, protocol: str) -> OvsError:
        words = "; ".join(line.removeprefix("ovs-ofctl: ") for line in stderr.splitlines() if line.strip())
        if "version negotiation failed" in words:
            remedy = f"Allow it: ovs-vsctl add bridge {self.name} protocols {protocol}"
            return OvsRefused(f"bridge {self.name} does not speak {protocol} ({words}). {remedy}")
        if "(No such file or directory)" in words or "(Connection refused)" in words:
            remedy = "Start ovs-vswitchd, or correct run_dir in the inventory"
            return OvsUnreachable(f"bridge {self.name}: {words}. {remedy}")
        # A bundle that is refused ends in a protocol error as well, behind the reason.
        lost = "(Protocol error)" in words and "Error OFP" not in words
        if "failed to connect to socket" in words or lost:
            return OvsUnreachable(f"bridge {self.name}: {words}")
        return OvsRefused(f"bridge {self.name}: {words or 'ovs-ofctl failed without a word'}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it and close what connects us: what is left open at the loop's end would be complained about."""
    process.kill()
    if process.stdin is not None:
        process.stdin.close()
    await process.communicate()
