"""Write the type stubs of ``p4rt.pb`` anew, from the descriptors in the installed ``p4runtime`` wheel.

Needed only after an upgrade of that wheel. Wants ``protoc`` and mypy-protobuf's ``protoc-gen-mypy`` on PATH::

    uv run --with mypy-protobuf python p4rt/make_stubs.py
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool

from p4rt import messages  # puts the descriptors into the pool

FILES = ("p4/config/v1/p4types.proto", "p4/config/v1/p4info.proto", "p4/v1/p4data.proto", "p4/v1/p4runtime.proto")
NEEDED = ("google/protobuf/any.proto", "google/rpc/status.proto")
_HEAD = "# ruff: noqa\n# fmt: off\nimport builtins\n\n"
TARGET = Path(messages.__file__).parent / "pb"


def main() -> None:
    """Generate, point the imports at ``p4rt.pb``, format."""
    pool = descriptor_pool.Default()
    described = descriptor_pb2.FileDescriptorSet()
    for name in (*NEEDED, *FILES):
        pool.FindFileByName(name).CopyToProto(described.file.add())
    with tempfile.TemporaryDirectory() as scratch:
        descriptors = Path(scratch, "descriptors.bin")
        descriptors.write_bytes(described.SerializeToString())
        subprocess.run(
            ["protoc", f"--descriptor_set_in={descriptors}", f"--mypy_out=readable_stubs:{scratch}", *FILES],
            check=True,
        )
        for name in FILES:
            generated = Path(scratch, name.replace(".proto", "_pb2.pyi")).read_text()
            stub = re.sub(r"from p4\.(?:config\.)?v1\.(\w+)_pb2 import", r"from p4rt.pb.\1 import", generated)
            # Fields called bool would hide the type bool.
            stub = re.sub(r"(?<=[:>] )bool\b", "builtins.bool", stub)
            Path(TARGET, Path(name).stem + ".pyi").write_text(_HEAD + stub)


if __name__ == "__main__":
    main()
