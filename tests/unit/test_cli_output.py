"""The forms that every listing has, and what may be a NATS address: pure parts."""

from __future__ import annotations

import io
import json

import pytest
import yaml
from ezpath.cli.board import Board, picture
from ezpath.cli.output import Column, Listing
from ezpath.cli.seen import Seen
from ezpath.events import FlowLine, FlowsSnapshot, SwitchTables, TableUse
from ezpath.names import PairId, SwitchName, Tenant
from ezpath.natsurl import problem_with
from ezpath.nearest import meant, nearest
from rich.console import Console

ROWS = [{"name": "ä[red]", "size": 1, "more": ("x", "y")}, {"name": "b", "size": 22, "more": ()}]
LISTING: Listing[dict] = Listing(
    (
        Column("NAME", lambda row: row["name"]),
        Column("SIZE", lambda row: str(row["size"]), right=True),
        Column("MORE", lambda row: " ".join(row["more"]), wide=True),
    ),
    lambda row: row,
    empty="nothing",
)


def shown(capsys, rows, output) -> str:
    LISTING.show(rows, output)
    return capsys.readouterr().out


def test_tables_for_people(capsys):
    lines = shown(capsys, ROWS, "table").splitlines()
    assert [line.split() for line in lines] == [["NAME", "SIZE"], ["ä[red]", "1"], ["b", "22"]], "a name is no markup"
    assert lines[1].rstrip().endswith(" 1") and lines[2].rstrip().endswith("22")
    assert shown(capsys, ROWS, "wide").splitlines()[1].split() == ["ä[red]", "1", "x", "y"]
    assert "nothing" in shown(capsys, [], "table")


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (200, ["PAIR", "RATE", "PHASE", "SWITCHES"]),
        (40, ["PAIR", "RATE", "PHASE"]),
        (33, ["PAIR", "RATE"]),
        (9, ["PAIR", "RATE"]),
    ],
)
def test_where_a_screen_is_narrow_what_can_be_spared_is_left_out_and_the_rest_is_whole(width, names):
    listing: Listing[str] = Listing(
        (
            Column("PAIR", lambda row: row),
            Column("RATE", lambda row: "9.42 Mbit/s", right=True),
            Column("PHASE", lambda row: "active", spare=1),
            Column("SWITCHES", lambda row: "tor1 tor2", spare=2),
        ),
        lambda row: {},
    )
    assert [column.header for column in listing.table(["red.red-1.red-3"], width=width).columns] == names
    # who asks for all gets all
    assert len(listing.table(["red.red-1.red-3"], "wide", width).columns) == 4


def test_top_fits_on_any_screen():
    board = Board()
    flows = [
        FlowLine(PairId(f"red.a.b{n}"), Tenant("red"), "a", f"b{n}", 1e6 * n, 10, "overlay", None, ())
        for n in range(30)
    ]
    board.hear(Seen(FlowsSnapshot(1.0, tuple(flows))))
    board.hear(Seen(SwitchTables(SwitchName("tor1"), 1.0, (TableUse("endpoint", 100, 97),))))
    for width, height in ((1, 1), (20, 3), (80, 24), (300, 100)):
        screen = Console(width=width, height=height, file=io.StringIO(), force_terminal=True)
        screen.print(picture(board, height, width), height=height)
        assert len(screen.file.getvalue().splitlines()) == height  # type: ignore[attr-defined]
    narrow = Console(width=80, height=24, file=io.StringIO())
    narrow.print(picture(board, 24, 80), height=24)
    assert "29.00 Mbit/s" in narrow.file.getvalue() and "overlay" in narrow.file.getvalue()  # type: ignore[attr-defined]


def test_documents_for_programs_are_the_same_in_every_form(capsys):
    as_json = json.loads(shown(capsys, ROWS, "json"))
    as_lines = [json.loads(line) for line in shown(capsys, ROWS, "jsonl").splitlines()]
    assert as_json == as_lines == yaml.safe_load(shown(capsys, ROWS, "yaml")) == json.loads(json.dumps(ROWS))
    assert json.loads(shown(capsys, [], "json")) == [] and shown(capsys, [], "jsonl") == ""


@pytest.mark.parametrize(
    "url",
    [
        "nats://10.0.0.5:4222",
        "10.0.0.5:4222",
        "localhost",
        "tls://n",
        "nats://u:p@[::1]:4222",
        "n1,nats://n2:4222, n3:1",
    ],
)
def test_a_nats_address_that_can_be_one(url):
    assert problem_with(url) == ""


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("127.0.0.1:99999", "has no port from 1 to 65535"),
        ("127.0.0.1:0", "port 0"),
        ("http://127.0.0.1:4222", "begins with http://, where NATS speaks nats, tls, ws, wss"),
        ("nats://", "names no host"),
        ("nats://two words:1", "names no host"),
        ("nats://n1:4222,", "has '', which names no host"),
        ("nats://n1:4222,http://n2:4222", "has 'http://n2:4222', which begins with http://"),
    ],
)
def test_one_that_is_none(url, words):
    assert words in problem_with(url) and "give nats://HOST:PORT" in problem_with(url)


def test_did_you_mean():
    assert nearest("tial", ["tail", "trace"]) == "tail"
    assert nearest("xyzzy", ["tail", "trace"]) is None
    assert meant("vtpe", ["vtep", "mac"]) == "Is vtep meant? " and meant("q", ["vtep"]) == ""
