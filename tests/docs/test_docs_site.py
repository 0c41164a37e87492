"""The documentation as a site: it builds strictly, leads nowhere that is not there, and needs nobody else's servers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from docs.pages import ROOT, anchors, links, markdown_files

LOADS = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.ids |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in LOADS and LOADS[tag] in given:
            self.loads.append(given[LOADS[tag]])
        if tag == "img":
            self.texts.append(given.get("alt", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    build = [str(Path(sys.executable).parent / "mkdocs"), "build", "--strict", "--quiet", "--site-dir", str(directory)]
    built = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return directory


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {file: Page(file.read_text()) for file in sorted(site.rglob("*.html"))}


def dead(pages: dict[Path, Page], site: Path) -> Iterator[str]:
    for file, page in pages.items():
        for link in [*page.links, *page.loads]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                if not (parts.scheme in ("http", "https") and parts.hostname and "." in parts.hostname):
                    yield f"{file.name}: {link} is no address"
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if target.is_dir():
                target /= "index.html"
            if not target.exists():
                yield f"{file.name}: {link} is not there"
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                yield f"{file.name}: {link}: no such place on that page"


def test_no_link_and_no_anchor_is_dead(site: Path, pages: dict[Path, Page]) -> None:
    assert len(pages) > 40
    # 404.html is read at whatever address was wrong: its links are absolute
    read = {file: page for file, page in pages.items() if file.name != "404.html"}
    assert list(dead(read, site)) == []


def test_nothing_is_loaded_from_elsewhere(pages: dict[Path, Page]) -> None:
    assert [load for page in pages.values() for load in page.loads if urlsplit(load).netloc] == []


def test_every_picture_says_what_it_shows(pages: dict[Path, Page]) -> None:
    texts = [text for page in pages.values() for text in page.texts]
    assert len(texts) >= 4 and all(len(text) > 30 for text in texts)


def test_the_menu_has_what_a_reader_looks_for() -> None:
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    titles = [title for entry in menu for title in entry]
    assert titles[1:] == [
        "Getting started", "How it works", "Operate", "Write a strategy", "Port to another switch", "Reference",
        "Figures",
    ]  # fmt: skip


@pytest.mark.parametrize("file", markdown_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_in_the_repository_too_no_link_is_dead(file: Path) -> None:
    for link in links(file.read_text()):
        parts = urlsplit(link)
        if parts.scheme:
            assert parts.scheme in ("http", "https", "mailto") and (parts.hostname or parts.path), link
            continue
        target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
        assert target.exists(), f"{link} is not there"
        if parts.fragment and target.suffix == ".md":
            assert parts.fragment in anchors(target.read_text()), f"{link}: no such heading"
