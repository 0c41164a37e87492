"""The P4Runtime messages, as classes that today's protobuf accepts.

The ``p4runtime`` wheel's own modules are generated code of an old protobuf and do not import ("Descriptors
cannot be created directly"). Each still holds its serialized descriptor, as a literal: that is taken out of
the source, never executed, and handed to the descriptor pool.

One module here for each ``.proto`` file. The ``.pyi`` beside it, for type checkers, is generated
(``make_stubs.py``).
"""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.rpc import status_pb2

# In the order in which they depend on each other.
_MODULES = {
    "p4/config/v1/p4types.proto": "p4.config.v1.p4types_pb2",
    "p4/config/v1/p4info.proto": "p4.config.v1.p4info_pb2",
    "p4/v1/p4data.proto": "p4.v1.p4data_pb2",
    "p4/v1/p4runtime.proto": "p4.v1.p4runtime_pb2",
}


# serialized_pb=b'...' in modules of the old protobuf compiler, AddSerializedFile(b'...') in newer ones.
_LITERAL = re.compile(rb"(?:serialized_pb=|AddSerializedFile\()(b'(?:[^'\\\n]|\\.)*')")


def _serialized_descriptor(module: str) -> bytes:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"{module} is not installed: install the package p4runtime", name=module)
    found = _LITERAL.search(Path(spec.origin).read_bytes())
    if found is None:
        raise ImportError(f"{spec.origin} holds no descriptor: install p4runtime 1.6", name=module)
    descriptor: bytes = ast.literal_eval(found[1].decode())
    return descriptor


def _load() -> dict[str, Any]:
    pool = descriptor_pool.Default()
    for needed in (any_pb2, status_pb2):  # in the pool before the files that import them
        pool.FindFileByName(needed.DESCRIPTOR.name)
    for module in _MODULES.values():
        pool.AddSerializedFile(_serialized_descriptor(module))
    return message_factory.GetMessageClassesForFiles(list(_MODULES), pool)


_CLASSES = _load()


def members(file: str) -> dict[str, Any]:
    """The top-level message classes of one ``.proto`` file, by name."""
    descriptor = descriptor_pool.Default().FindFileByName(file)
    return {name: _CLASSES[message.full_name] for name, message in descriptor.message_types_by_name.items()}
