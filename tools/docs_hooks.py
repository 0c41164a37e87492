"""What the site needs beside MkDocs: links out of docs/ and the saga's diagram. Called by MkDocs (mkdocs.yml).

Pages are read in the repository as well. There a link to a file outside docs/ leads to it, and a Mermaid block is
drawn; the site has neither the file nor a script that draws. So the former becomes the file's path, and has to exist,
and the latter the picture that `make saga-doc` made of the same table.
"""

from __future__ import annotations

import logging
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT_LINK = re.compile(r"\[(?P<text>[^\]]+)\]\((?P<to>(?:\.\./)+[^)#\s]+)(?:#[^)]*)?\)")
MERMAID = re.compile(r"```mermaid\n.*?```", re.DOTALL)
LOG = logging.getLogger("mkdocs.hooks.ezpath")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """MkDocs asks this of each page before it renders it."""
    here = posixpath.dirname(page.file.src_uri)

    def outside(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", here, found["to"]))
        if path.startswith("docs/"):
            return found[0]
        if not (Path(config.config_file_path).parent / path).exists():
            LOG.warning("%s links to %s, which is not there", page.file.src_uri, path)
        return f"{found['text']} (`{path}` in the repository)" if path not in found["text"] else f"`{path}`"

    drawn = MERMAID.sub("![The phases of a saga, and what leads from one to another](img/saga.svg)", markdown)
    return ROOT_LINK.sub(outside, drawn)
