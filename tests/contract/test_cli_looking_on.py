"""`tail`, `record`, `trace`, `offloads`, completion and output forms, as people use them: a process and a real NATS."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from cli_process import EZPATH, ezpath
from ezpath.events import SAGA_BUCKET, FlowLine, FlowsSnapshot
from ezpath.inventory import parse
from ezpath.names import PairId, Tenant
from ezpath.saga import Phase, Saga, saga_to_json
from ezpath.saga.plan import sides_of
from network import NETWORK
from saga_story import PAIR, SAGA, sample, tell

CAPTURE = Path(__file__).parents[2] / "docs/examples/capture.jsonl"


@pytest.fixture
def inventory_file(tmp_path: Path) -> str:
    (tmp_path / "network.yaml").write_text(NETWORK)
    return str(tmp_path / "network.yaml")


async def test_a_recording_replays_at_a_colleague_s_without_nats(bus, nats_server, tmp_path):
    # Given a story that was told, and samples that go on
    await tell(bus, time.time())

    async def collector():
        while True:
            await bus.publish_sample(sample())
            await asyncio.sleep(0.05)

    task = asyncio.create_task(collector())
    capture = tmp_path / "capture.jsonl"
    # When it is recorded
    code, _, err = await ezpath("record", str(capture), "--nats", nats_server.url, "--since", "1h", "--for", "3s")
    task.cancel()
    kinds = {json.loads(line)["type"] for line in capture.read_text().splitlines()}
    assert code == 0 and f"events in {capture}" in err
    assert {"offload-requested", "switch-command", "step-report", "saga-outcome", "flow-sample"} <= kinds
    # Then it shows, filtered, from a file and from standard input, with no NATS anywhere
    nats_server.stop()
    code, out, err = await ezpath("tail", "--input", str(capture), "--kind", "saga-outcome")
    assert (code, err, len(out.splitlines())) == (0, "", 3) and "REVERTED" in out
    code, out, _ = await ezpath("tail", "--input", "-", "--kind", "flow-sample", stdin=capture.read_text())
    assert code == 0 and "sample tor1" in out and "1 flows, 15000 bytes so far, 2 frames dropped" in out
    code, out, _ = await ezpath("trace", PAIR, "--input", str(capture))
    assert code == 0 and out.startswith(f"{SAGA}: active after 60 ms")
    # And that there is nothing of that kind is said
    code, out, err = await ezpath("tail", "--input", str(capture), "--tenant", "redd")
    assert (code, out) == (0, "") and err.startswith("no event is as asked for.")
    # And a line that is none is named, and stops nothing
    code, out, err = await ezpath("tail", "--input", "-", "--last", "1", stdin="rubbish\n" + capture.read_text())
    assert code == 1 and len(out.splitlines()) == 2 and err.startswith("-:1: no event: not JSON")


async def test_tail_by_kind_saga_and_endpoint(bus, nats_server):
    await tell(bus, time.time())
    base = ("tail", "--nats", nats_server.url, "--no-follow", "--json")
    for options, count in (
        (("--kind", "saga-outcome,step-report"), 5),
        (("--endpoint", "red-3", "--saga", SAGA, "--all"), 15),
    ):
        code, out, _ = await ezpath(*base, *options)
        assert (code, len(out.splitlines())) == (0, count), options
    code, _, err = await ezpath(*base, "--kind", "saga-outcom")
    assert code == 2 and "no kind of event" in err and "saga-outcome" in err


async def test_tail_shows_what_is_not_kept_as_it_comes(bus, nats_server):
    async def decider():
        while True:
            await bus.publish_sample(sample())
            await bus.publish(FlowsSnapshot(time.time(), ()))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(decider())
    process = await asyncio.create_subprocess_exec(
        EZPATH, "tail", "--nats", nats_server.url, "--kind", "flow-sample,flows", "-o", "json", stdout=-1
    )
    assert process.stdout is not None
    seen = set()
    async with asyncio.timeout(30):
        while len(seen) < 2:
            seen.add(json.loads(await process.stdout.readline())["type"])
    process.kill()
    await process.wait()
    task.cancel()
    assert seen == {"flow-sample", "flows"}


async def test_trace_shows_each_step_with_its_time_and_who_did_it(bus, nats_server):
    await tell(bus, time.time())
    code, out, _ = await ezpath("trace", SAGA, "--nats", nats_server.url)
    assert code == 0
    lines = {line.split()[3]: line for line in out.splitlines()[5:]}
    assert "40 ms" in lines["switch-receive"] and "switch:tor1 38 ms" in lines["switch-receive"]
    assert "15 ms" in lines["host-send"] and "host:h11 12 ms" in lines["host-send"]
    code, out, _ = await ezpath("trace", PAIR, "--nats", nats_server.url, "-o", "yaml")
    document = yaml.safe_load(out)
    assert (code, document["saga"]) == (0, SAGA)
    assert document["stages"][1]["parts"][0]["asked"] == "put 1"
    code, _, err = await ezpath("trace", f"{PAIR}.9", "--nats", nats_server.url)
    assert code == 1 and f"Of its pair there are: {SAGA}" in err


def record_of(pair: str, phase: Phase, **more) -> bytes:
    inventory = parse(NETWORK, "network.yaml")
    known = inventory.pair_by_id(PairId(pair))
    now = time.time()
    sides = None if phase in (Phase.REVERTED, Phase.ROLLED_BACK) else sides_of(known, (100, 101), inventory)
    return saga_to_json(Saga(known.id, known.tenant, 1, phase, "active", 5, now, now, now + 9, sides=sides, **more))


async def test_offloads_lists_what_is_on_the_switches_in_every_form(bus, nats_server, inventory_file):
    for pair, phase, more in (
        (PAIR, Phase.ACTIVE, {}),
        ("red.red-1.red-2", Phase.SWITCH_SEND, {"waiting": frozenset({"switch:tor1"})}),
        ("blue.blue-1.blue-3", Phase.ROLLED_BACK, {"reason": "table endpoint is full"}),
    ):
        await bus.kv_put_cas(SAGA_BUCKET, pair, record_of(pair, phase, **more), None)
    base = ("offloads", "--nats", nats_server.url)
    code, table, _ = await ezpath(*base)
    assert code == 0
    rows = [line.split() for line in table.splitlines()]
    assert rows[0][:4] == ["SAGA", "PHASE", "FOR", "ON"]
    assert [row[:2] for row in rows[1:]] == [["red.red-1.red-2.1", "switch-send"], [f"{PAIR}.1", "active"]]
    assert "switch:tor1" in table and "tor1 tor2 h11 h21" in table
    # as documents: one, one a line, and YAML
    whole = json.loads((await ezpath(*base, "-o", "json"))[1])
    lines = [json.loads(line) for line in (await ezpath(*base, "-o", "jsonl"))[1].splitlines()]
    for form in (whole, lines):
        assert [each["phase"] for each in form] == ["switch-send", "active"]
    assert whole[1]["vlans"] == {"h11": 100, "h21": 101} and whole[0]["waiting"] == ["switch:tor1"]
    # narrowed, and with those at their end
    _, out, _ = await ezpath(*base, "--switch", "tor2", "-o", "wide")
    head, row = out.splitlines()
    assert "GENERATION" in head and row.startswith(PAIR) and "h11=100" in row
    _, out, _ = await ezpath(*base, "--ended", "--tenant", "blue")
    assert "table endpoint is full" in out


async def test_flows_sorted_and_cut(bus, nats_server):
    def flow(name, rate, where):
        return FlowLine(PairId(f"red.a.{name}"), Tenant("red"), "a", name, rate, 9e9 / rate, where, None, ("tor1",))

    told = (flow("x", 1e6, "overlay"), flow("y", 3e6, "switch"), flow("z", 2e6, "moving"))

    async def decider():
        while True:
            await bus.publish(FlowsSnapshot(time.time(), told))
            await asyncio.sleep(0.05)

    task = asyncio.create_task(decider())
    for options, order in (
        ((), "yzx"),
        (("--sort", "packets", "--top", "2"), "xz"),
    ):
        _, out, _ = await ezpath("flows", "--nats", nats_server.url, "-o", "json", *options)
        assert "".join(row["b"] for row in json.loads(out)) == order, options
    task.cancel()


# ---- colours --------------------------------------------------------------


def on_a_terminal(*arguments: str, **settings: str) -> str:
    """What a terminal gets to see."""
    ours, theirs = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    environment = {**clean, "TERM": "xterm-256color", "COLUMNS": "200", **settings}
    process = subprocess.Popen([EZPATH, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            some = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not some:
            break
        seen += some
    os.close(ours)
    process.wait(30)
    return seen.decode()


async def test_colours_on_a_terminal_only_and_not_with_no_color(bus, nats_server):
    await tell(bus, time.time())
    command = ("tail", "--nats", nats_server.url, "--no-follow")
    shown = await asyncio.to_thread(on_a_terminal, *command)
    plain = await asyncio.to_thread(on_a_terminal, *command, NO_COLOR="1")
    _, piped, _ = await ezpath(*command)
    assert "\x1b[36m" in shown and "\x1b[1;32m" in shown
    assert "\x1b[3" not in plain and "\x1b[1;3" not in plain and "REVERTED" in plain
    assert "\x1b" not in piped


@pytest.mark.parametrize("form", ["table", "jsonl"])
async def test_a_reader_that_has_seen_enough_is_no_failure(form):
    # Given one that is gone before the first line is written
    script = f"set -o pipefail; {EZPATH} tail --input {CAPTURE} --all -o {form} | true"
    process = await asyncio.create_subprocess_exec("bash", "-c", script, stdout=-1, stderr=-1)
    assert await process.communicate() == (b"", b"") and process.returncode == 0
