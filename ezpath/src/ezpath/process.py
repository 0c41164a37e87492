"""Which process this is, for others on the same machine: whoever has surely ended need not be waited for.

Adapter. A process id means something within one pid namespace, between two boots; both are part of the name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_FIRST_NAMESPACE = 0xEFFFFFFC
"""The number that the kernel gives the machine's own."""


def this_process() -> str:
    """Names this process for others on the same machine: the boot, the pid namespace, the pid."""
    return f"{_place()}/{os.getpid()}"


def is_gone(process: str) -> bool:
    """It was a process of this machine's, and has ended: no need to wait for its leases to run out."""
    place, _, pid = process.rpartition("/")
    if not place or place != _place() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def pid_namespace() -> int:
    """The number of the pid namespace; 0 for the machine's own, or where it cannot be told."""
    try:
        found = re.search(r"\d+", str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        return 0
    number = int(found[0]) if found else 0
    return 0 if number == _FIRST_NAMESPACE else number


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""
