"""The P4Runtime messages load, whichever protobuf compiler wrote the modules they come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from p4rt.arbitration import from_uint128, uint128

from p4rt import messages, pb


def test_a_message_survives_the_wire() -> None:
    request = messages.WriteRequest(device_id=1, election_id=uint128(2**70 + 3))
    request.updates.add(type=messages.Update.INSERT).entity.table_entry.match.add().exact.value = b"\x01"
    again = messages.WriteRequest.FromString(request.SerializeToString())
    assert again == request
    assert from_uint128(again.election_id) == 2**70 + 3


def test_what_the_service_is_made_of_is_all_there() -> None:
    for name in messages.__all__:
        assert getattr(messages, name).DESCRIPTOR.name


@pytest.mark.parametrize(
    "source",
    [
        "DESCRIPTOR = _descriptor.FileDescriptor(\n  create_key=x,\n  serialized_pb=b'\\n\\x01\\'\\\\z'\n  ,\n)",
        "DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\\n\\x01\\'\\\\z')\n",
    ],
)
def test_the_descriptor_is_found_in_old_and_new_modules(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "somebody_pb2.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert pb._serialized_descriptor("somebody_pb2") == b"\n\x01'\\z"


def test_a_module_that_is_missing_or_holds_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nothing_pb2.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match=r"nothing_pb2\.py holds no descriptor"):
        pb._serialized_descriptor("nothing_pb2")
    with pytest.raises(ImportError, match="missing_pb2 is not installed: install the package p4runtime"):
        pb._serialized_descriptor("missing_pb2")
