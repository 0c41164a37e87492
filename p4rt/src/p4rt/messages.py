"""The P4Runtime messages, as classes that today's protobuf accepts.

The ``p4runtime`` wheel's own modules are generated code of an old protobuf and do not import ("Descriptors
cannot be created directly"). Each still holds its serialized descriptor, as a literal: that is taken out of
the source, never executed, and handed to the descriptor pool.
"""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.rpc import status_pb2

# In the order in which they depend on each other.
_MODULES = ("p4.config.v1.p4types_pb2", "p4.config.v1.p4info_pb2", "p4.v1.p4data_pb2", "p4.v1.p4runtime_pb2")


def _serialized_descriptor(module: str) -> bytes:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ImportError(f"{module} is not installed: install the package p4runtime", name=module)
    for node in ast.walk(ast.parse(Path(spec.origin).read_bytes())):
        value = node.value if isinstance(node, ast.keyword) and node.arg == "serialized_pb" else None
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            value = node.args[0]  # how newer protobuf compilers write it
        if isinstance(value, ast.Constant) and isinstance(value.value, bytes):
            return value.value
    raise ImportError(f"{spec.origin} holds no descriptor: install p4runtime 1.6", name=module)


def _load() -> dict[str, type]:
    pool = descriptor_pool.Default()
    # Both have to be in the pool before the files that import them.
    for needed in (any_pb2, status_pb2):
        pool.FindFileByName(needed.DESCRIPTOR.name)
    files = [pool.AddSerializedFile(_serialized_descriptor(module)) for module in _MODULES]
    names = [file.name for file in files if file is not None]
    return message_factory.GetMessageClassesForFiles(names, pool)


_CLASSES = _load()

# P4Runtime itself.
WriteRequest = _CLASSES["p4.v1.WriteRequest"]
WriteResponse = _CLASSES["p4.v1.WriteResponse"]
ReadRequest = _CLASSES["p4.v1.ReadRequest"]
ReadResponse = _CLASSES["p4.v1.ReadResponse"]
SetForwardingPipelineConfigRequest = _CLASSES["p4.v1.SetForwardingPipelineConfigRequest"]
SetForwardingPipelineConfigResponse = _CLASSES["p4.v1.SetForwardingPipelineConfigResponse"]
GetForwardingPipelineConfigRequest = _CLASSES["p4.v1.GetForwardingPipelineConfigRequest"]
GetForwardingPipelineConfigResponse = _CLASSES["p4.v1.GetForwardingPipelineConfigResponse"]
ForwardingPipelineConfig = _CLASSES["p4.v1.ForwardingPipelineConfig"]
StreamMessageRequest = _CLASSES["p4.v1.StreamMessageRequest"]
StreamMessageResponse = _CLASSES["p4.v1.StreamMessageResponse"]
MasterArbitrationUpdate = _CLASSES["p4.v1.MasterArbitrationUpdate"]
CapabilitiesRequest = _CLASSES["p4.v1.CapabilitiesRequest"]
CapabilitiesResponse = _CLASSES["p4.v1.CapabilitiesResponse"]
Uint128 = _CLASSES["p4.v1.Uint128"]
Error = _CLASSES["p4.v1.Error"]
Update = _CLASSES["p4.v1.Update"]
Entity = _CLASSES["p4.v1.Entity"]
TableEntry = _CLASSES["p4.v1.TableEntry"]
FieldMatch = _CLASSES["p4.v1.FieldMatch"]
TableAction = _CLASSES["p4.v1.TableAction"]
Action = _CLASSES["p4.v1.Action"]
RegisterEntry = _CLASSES["p4.v1.RegisterEntry"]
CounterEntry = _CLASSES["p4.v1.CounterEntry"]
CounterData = _CLASSES["p4.v1.CounterData"]
P4Data = _CLASSES["p4.v1.P4Data"]
Index = _CLASSES["p4.v1.Index"]

# The description of a program, and parts of it.
P4Info = _CLASSES["p4.config.v1.P4Info"]
Table = _CLASSES["p4.config.v1.Table"]
MatchField = _CLASSES["p4.config.v1.MatchField"]

Status = status_pb2.Status
