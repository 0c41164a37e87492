"""`ezpath` in the hands of somebody who is in a hurry: interrupted, piped into nothing, on a full disk, misspelt."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import pytest
import yaml
from cli_process import EZPATH, ezpath
from ezpath.events import FlowLine, FlowsSnapshot, OffloadRequested
from ezpath.names import PairId, Tenant
from saga_story import PAIR, SAGA, tell
from terminal import Terminal, pseudo_terminal

BACKWARDS = ".".join((PAIR.split(".")[0], *reversed(PAIR.split(".")[1:])))


async def interrupted(*command: str, when: Callable[[asyncio.subprocess.Process], Awaitable[object]]) -> int:
    """Its exit status; Ctrl-C is pressed as soon as ``when`` returns."""
    process = await asyncio.create_subprocess_exec(EZPATH, *command, stdout=-1, stderr=-1)
    try:
        async with asyncio.timeout(60):
            await when(process)
            process.send_signal(signal.SIGINT)
            _, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert err == b"" or b"events in" in err, err
    assert process.returncode is not None
    return process.returncode


async def a_line(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    assert await process.stdout.readline()


async def test_ctrl_c_ends_what_goes_on_and_is_no_answer_to_a_question(bus, nats_server):
    await tell(bus, time.time())
    nats = ("--nats", nats_server.url)
    # Given what goes on until it is interrupted, then that is its end
    assert await interrupted("tail", *nats, when=a_line) == 0
    # Given a question that has no answer yet, then Ctrl-C is neither yes (0) nor no (1)
    asked = asyncio.Event()

    async def never(_: object) -> object:
        asked.set()
        await asyncio.sleep(3600)
        return {}

    await bus.answer("why", never)
    assert await interrupted("why", PAIR, "--timeout", "50", *nats, when=lambda _: asked.wait()) == 130


async def test_a_table_that_is_renewed_is_shown_one_after_the_other_where_nobody_looks(bus, nats_server):
    flow = FlowLine(PairId(PAIR), Tenant("red"), "red-1", "red-3", 1e6, 10, "overlay", None, ("tor1",))

    async def decider() -> None:
        while True:
            await bus.publish(FlowsSnapshot(time.time(), (flow,)))
            await asyncio.sleep(0.1)

    task = asyncio.create_task(decider())
    seen = b""

    async def twice(process: asyncio.subprocess.Process) -> None:
        nonlocal seen
        assert process.stdout is not None
        while seen.count(b"red-3") < 2:
            seen += await process.stdout.readline()

    assert await interrupted("flows", "--watch", "--nats", nats_server.url, when=twice) == 0
    task.cancel()
    assert b"\x1b" not in seen and seen.count(b"TENANT") == 2


async def test_a_disk_that_is_full_is_said_in_one_line(bus, nats_server):
    await tell(bus, time.time())
    for command in ("offloads", "tail --all --no-follow --json"):  # by rich, and by click
        shell = f"{EZPATH} {command} --nats {nats_server.url} > /dev/full"
        process = await asyncio.create_subprocess_shell(shell, stderr=-1)
        _, err = await process.communicate()
        assert process.returncode == 1, command
        assert err.decode() == "What is shown cannot be written: No space left on device. Send it where there is room\n"


async def test_a_terminal_that_knows_no_unicode_gets_what_it_knows(bus, nats_server):
    await tell(bus, time.time())
    code, out, err = await ezpath("trace", SAGA, "--nats", nats_server.url, PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "") and "?" in out and "switch-receive" in out


async def test_a_recording_that_could_not_begin_leaves_nothing_in_the_way_of_the_next(late_nats, tmp_path):
    code, _, err = await ezpath("record", str(tmp_path / "capture.jsonl"), "--nats", late_nats.url)
    assert code == 3 and "not reachable" in err
    assert not (tmp_path / "capture.jsonl").exists()


async def test_endpoints_may_be_named_either_way_round_and_several_at_once(bus, nats_server):
    await tell(bus, time.time())
    nats = ("--nats", nats_server.url)
    code, out, _ = await ezpath("trace", BACKWARDS, *nats)
    assert code == 0 and out.startswith(f"{SAGA}: ")
    look = ("tail", "--no-follow", "--json", "--all", *nats)
    _, of_saga, _ = await ezpath(*look, "--saga", SAGA)
    assert of_saga and (await ezpath(*look, "--saga", f"{BACKWARDS}.{SAGA.split('.')[-1]}"))[1] == of_saga
    _, of_pair, _ = await ezpath(*look, "--tenant", "blue,red", "--saga", BACKWARDS)
    assert set(of_saga.splitlines()) < set(of_pair.splitlines())


async def test_times_of_another_day_have_their_date(bus, nats_server):
    now = time.time()
    told = [
        OffloadRequested(PairId(PAIR), Tenant("red"), "busy", 1.0, at) for at in (now - 2 * 86400, now - 86400, now)
    ]
    for event in told:
        await bus.publish(event)
    _, out, _ = await ezpath("tail", "--no-follow", "--nats", nats_server.url)
    days = [datetime.fromtimestamp(event.at).date().isoformat() for event in told]
    shown = [line for line in out.splitlines() if line in days]
    assert shown == days and out.splitlines()[1] == days[0]


async def test_what_is_not_wanted_is_left_out_and_a_time_of_day_says_from_when(bus, nats_server):
    await tell(bus, time.time())
    look = ("tail", "--no-follow", "--json", "--nats", nats_server.url)

    async def kinds(*options: str) -> set[str]:
        code, out, _ = await ezpath(*look, *options)
        assert code == 0
        return {json.loads(line)["type"] for line in out.splitlines()}

    some = await kinds("--not-kind", "saga-step,switch-command", "--all")
    assert some >= {"saga-outcome", "offload-requested", "step-report"} and not some & {"saga-step", "switch-command"}
    assert await kinds("--not-tenant", "red", "--until", "2999-01-01") == set()
    assert await kinds("--until", "2020-01-01") == set()
    assert "saga-step" in await kinds("--since", "2020-01-01", "--until", "2999-01-01")
    code, _, err = await ezpath(*look, "--kind", "saga-step", "--not-kind", "saga-step")
    assert code == 2 and "--not-kind leaves no kind of event" in err
    # --until is an end: it does not go on, though nobody said --no-follow
    assert (await ezpath("tail", "--until", "1s", "--nats", nats_server.url))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("--nats", "127.0.0.1", "status"), "Options stand behind the command: `ezpath tail --nats …`"),
        (("help", "tail"), "Is `ezpath COMMAND --help` meant?"),
        (("version",), "Is `ezpath --version` meant?"),
        (("tail", "--since", "yesterday"), "is no moment: give how long ago, such as 90s"),
        (("tail", "--since", "25:61"), "or a date, such as 2026-11-28T03:10"),
    ],
)
async def test_other_tools_habits_are_answered_with_ours(arguments, remedy):
    code, _, err = await ezpath(*arguments)
    assert code == 2 and remedy in err


async def test_what_a_person_does_can_be_read_by_a_program_too(bus, nats_server):
    nats = ("--nats", nats_server.url, "-o", "yaml")
    code, out, _ = await ezpath("pin", PAIR, *nats)
    assert code == 0 and yaml.safe_load(out)["pair"] == PAIR
    code, out, _ = await ezpath("pause", "--rack", "r1", *nats)
    assert code == 0 and yaml.safe_load(out)["name"] == "r1"
    code, out, _ = await ezpath("revert", PAIR, *nats)
    assert code == 0 and yaml.safe_load(out) == {"pair": PAIR, "outcome": "reverted", "already": True}


async def test_an_arrow_key_does_not_end_top_and_a_nats_that_goes_does_not_break_it(nats_server):
    with pseudo_terminal() as (ours, theirs):
        process = await asyncio.create_subprocess_exec(
            *(EZPATH, "top", "--nats", nats_server.url, "--refresh", "0.2"),
            stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm-256color"},
        )  # fmt: skip
        terminal = Terminal(process, ours)
        try:
            await terminal.until(lambda text: "flows by rate" in text, "it is drawn")
            terminal.press("\x1b[A")
            terminal.press("s")
            await terminal.until(lambda text: "flows by packets" in text, "it goes on")
            nats_server.stop()
            terminal.press("s")
            await terminal.until(lambda text: "flows by pair" in text, "without NATS too")
            terminal.press("\x1b")
            assert await asyncio.wait_for(process.wait(), 60) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
