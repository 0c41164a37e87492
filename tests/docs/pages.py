"""Markdown as the tests of the documentation read it: links, headings, and the commands that a page promises."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<!`)\[[^\]\n]*\]\((?P<to>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (?P<text>.+?)\s*$", re.MULTILINE)
RUN = re.compile(r"<!-- run by (?P<test>\S+) -->")
NOT_RUN = re.compile(r"<!-- not run: (?P<why>.+) -->")
BESIDE = re.compile(r"^<!-- commands run beside: (?P<what>\w+) -->$", re.MULTILINE)
NO_COMMANDS = ("yaml", "toml", "python", "mermaid", "text")
PROMPT = "$ "
ANYTHING = "…"


def markdown_files() -> list[Path]:
    """All that is committed, or is about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.splitlines() if not name.startswith("tests/recorded/")]


def prose(text: str) -> str:
    """Without what stands in fences: there, nothing is a link."""
    return FENCE.sub("", text)


def links(text: str) -> Iterator[str]:
    for found in LINK.finditer(prose(text)):
        yield found["to"]


def anchors(text: str) -> set[str]:
    """What may stand behind # in a link to the page, as GitHub and MkDocs both make it."""
    texts = (re.sub(r"[`*]|\]\([^)]*\)|\[", "", found["text"]) for found in HEADING.finditer(prose(text)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in texts}


@dataclass
class Command:
    """One that a page shows, and what it says comes of it."""

    text: str
    expected: list[str] = field(default_factory=list)


def commands(text: str) -> list[Command]:
    """Those of all ``console`` blocks, in their order. A line without a prompt is output."""
    found: list[Command] = []
    for block in FENCE.finditer(text):
        if block["kind"] != "console":
            continue
        for line in block["body"].splitlines():
            if line.startswith(PROMPT):
                found.append(Command(line.removeprefix(PROMPT)))
            else:
                found[-1].expected.append(line)
    return found


@dataclass(frozen=True)
class Block:
    """What stands in fences, and what stands on the line above them."""

    kind: str
    body: str
    line: int
    above: str


def blocks(text: str) -> Iterator[Block]:
    for found in FENCE.finditer(text):
        before = text[: found.start()].splitlines()
        yield Block(found["kind"], found["body"], len(before) + 1, before[-1].strip() if before else "")


def indented(text: str) -> Iterator[int]:
    """The lines of code that stands indented behind an empty line, and in no list: nobody can say what it is."""
    lines = FENCE.sub(lambda found: "\n" * found[0].count("\n"), text).splitlines()
    listed = False
    for number, line in enumerate(lines[1:], 2):
        if re.match(r" {0,3}([-*]|\d+\.) ", line):
            listed = True
        elif line and not line.startswith(" "):
            listed = False
        if line.startswith("    ") and not listed and not lines[number - 2].strip():
            yield number


def beside(text: str) -> str:
    """What a page's commands need to be there; nothing but NATS where it does not say."""
    found = BESIDE.search(text)
    return found["what"] if found else "nats"


def what_is_wrong(block: Block) -> str:
    """Of a block whose commands nobody executes, and that does not say who does or why not."""
    if block.kind == "console":
        return "" if block.body.startswith(PROMPT) else "a console block begins with a command behind `$ `"
    if block.kind in NO_COMMANDS:
        return ""
    if block.kind != "sh":
        return f"{block.kind or 'no kind'}: write console, sh, or what it is: {', '.join(NO_COMMANDS)}"
    if found := RUN.fullmatch(block.above):
        return "" if (ROOT / found["test"]).is_file() else f"there is no {found['test']}"
    if NOT_RUN.fullmatch(block.above):
        return ""
    return "nobody runs these: make it console, or write above it `<!-- run by TEST -->` or `<!-- not run: WHY -->`"


def missing(expected: list[str], output: str) -> str | None:
    """The first expected line that ``output`` does not have behind those before; None where it has all.

    ``…`` stands for anything, however long; spaces count as one.
    """
    lines = [" ".join(line.split()) for line in output.splitlines()]
    for wanted in expected:
        words = " ".join(wanted.split())
        if words == ANYTHING:
            continue
        pattern = re.compile(".*".join(map(re.escape, (part.strip() for part in words.split(ANYTHING)))))
        place = next((place for place, line in enumerate(lines) if pattern.fullmatch(line)), None)
        if place is None:
            return wanted
        del lines[: place + 1]
    return None
