"""What ought to be installed on one target, as the decider keeps it in the bucket ``ezpath_desired``.

Pure. One *document* a target and shard: the decider that leads the shard writes it before the commands that follow from
it, and a writer that starts from nothing reads there what to put back. A target ought to hold the union of its
documents (:func:`union`); shards have no item in common.

A document is kept in pieces, so that a change costs what changes and not what is there
(docs/decisions/0026-documents-in-parts.md): ``pieces.py`` has their form, ``filing.py`` says which to write, and
``assembly.py`` puts them together.
"""

from ezpath.desired.assembly import Assembly
from ezpath.desired.document import Desired, item_to_json, union
from ezpath.desired.filing import Filing
from ezpath.desired.pieces import (
    Piece,
    Place,
    generation_of,
    host_from_json,
    key_of,
    keys_of,
    place_of,
    switch_from_json,
    texts_from_json,
)

__all__ = [
    "Assembly",
    "Desired",
    "Filing",
    "Piece",
    "Place",
    "generation_of",
    "host_from_json",
    "item_to_json",
    "key_of",
    "keys_of",
    "place_of",
    "switch_from_json",
    "texts_from_json",
    "union",
]
