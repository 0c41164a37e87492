"""BMv2 as the lab's ToR, without starting one: its programs, its inventory, and the way to its Thrift port."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import yaml
from ezpath_lab.bmv2 import BINARY, Bmv2, shrink
from ezpath_lab.relay import relay
from ezpath_lab.shell import LabError
from ezpath_lab.story import LIMITS, TABLE
from ezpath_lab.topology import inventory_document, two_racks
from ezpath_lab.tors import Prepared

from ezpath import inventory

P4 = Path(__file__).parents[2] / "p4"


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    return Bmv2().prepare(two_racks(), P4, tmp_path, LIMITS)


def size_of_table(program: Path, name: str) -> int:
    tables = [table for pipeline in json.loads(program.read_text())["pipelines"] for table in pipeline["tables"]]
    return int(next(table["max_size"] for table in tables if table["name"] == name))


def test_a_limited_switch_gets_a_program_with_a_smaller_table_and_the_others_do_not(prepared: Prepared) -> None:
    sizes = {
        name: size_of_table(prepared.p4_dir / f"{fields['program']}.json", TABLE)
        for name, fields in prepared.switches.items()
    }
    assert sizes["tor2"] == 4
    assert sizes["tor1"] == size_of_table(P4 / "ezpath.bmv2.json", TABLE) > 1000


def test_ezpath_accepts_the_lab_with_bmv2_as_its_inventory(prepared: Prepared, tmp_path: Path) -> None:
    document = inventory_document(two_racks(), tmp_path)
    for name, fields in prepared.switches.items():
        document["switches"][name] |= fields
    for switch in inventory.parse(yaml.safe_dump(document)).switches.values():
        assert switch.config.registers == f"thrift+unix:{tmp_path}/{switch.name}.thrift"
        assert (prepared.p4_dir / f"{switch.config.program}.p4info.txtpb").exists()


def test_where_bmv2_is_not_installed_it_says_so_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LabError, match=f"{BINARY} is not on PATH.* Build BMv2 with P4Runtime.*, or leave TOR=bmv2 out"):
        Bmv2().require()


def test_a_program_that_is_not_there_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(LabError, match=r"ezpath\.bmv2\.json is not there.*make p4"):
        Bmv2().prepare(two_racks(), tmp_path, tmp_path / "run", LIMITS)


def test_a_table_that_is_not_there_is_named(prepared: Prepared) -> None:
    with pytest.raises(LabError, match=r"has no table endpiont.* It has .*EzIngress\.tunnel\.endpoint"):
        shrink(prepared.p4_dir / "ezpath.bmv2.json", {"endpiont": 3})


async def test_the_relay_passes_bytes_both_ways_until_either_end_is_done(tmp_path: Path) -> None:
    # Given a server on a TCP port that answers each line in capitals, and a relay to it
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    path = tmp_path / "way-in"
    relaying = asyncio.create_task(relay(path, server.sockets[0].getsockname()[1]))
    async with asyncio.timeout(10):
        while not path.exists():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        # When somebody comes by the socket
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"one\ntwo\n")
        # Then they are heard and answered, and when they are done, so is the connection
        assert [await reader.readline(), await reader.readline()] == [b"ONE\n", b"TWO\n"]
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
        # And when nobody listens any more, whoever comes is told so by the end of the connection
        server.close()
        await server.wait_closed()
        reader, writer = await asyncio.open_unix_connection(path)
        assert await reader.read() == b""
        writer.close()
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)
