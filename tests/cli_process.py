"""`ezpath` as people run it: a process, its exit code and what it printed."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

EZPATH = str(Path(sys.executable).parent / "ezpath")


async def ezpath(*arguments: str, stdin: str | None = None, **settings: str) -> tuple[int, str, str]:
    """``settings`` go into its environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("EZPATH_")}
    process = await asyncio.create_subprocess_exec(
        EZPATH,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**environment, **settings},
    )
    out, err = await asyncio.wait_for(process.communicate(None if stdin is None else stdin.encode()), 60)
    return process.returncode or 0, out.decode(), err.decode()
