"""The forms that every listing has, and what may be a NATS address: pure parts."""

from __future__ import annotations

import json

import pytest
import yaml
from ezpath.cli.output import Column, Listing
from ezpath.natsurl import problem_with
from ezpath.nearest import meant, nearest

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
