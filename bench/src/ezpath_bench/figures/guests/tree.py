"""The guests' file tree: Debian sid with a User-Mode Linux that starts on today's kernels and has openvswitch.ko.

Made once by mmdebstrap, which checks the archive's signatures, and kept outside the checkout. Guests only read it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from ezpath_lab.shell import LabError, require_tools, run

RELEASE = "sid"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = os.environ.get("EZPATH_BENCH_MIRROR", "http://deb.debian.org/debian")
PACKAGES = (
    "user-mode-linux",
    "openvswitch-switch",
    *("iproute2", "ethtool", "kmod", "procps", "iputils-ping", "socat", "bpftool"),
    *("iperf3", "sockperf", "memcached", "libmemcached-tools", "nginx-light", "wrk", "nghttp2-client"),
    *("python3", "python3-zmq"),
)
INIT = Path(__file__).with_name("init.sh")
_MADE_IN_S = 900.0
_RELEASE_FILE = "etc/ezpath-bench-tree"


def cache_dir() -> Path:
    """Where trees are kept: ``EZPATH_BENCH_CACHE``, else in the user's cache folder."""
    chosen = os.environ.get("EZPATH_BENCH_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ezpath-bench"


def place() -> Path:
    """This version's tree, whether it is there or not: another list of packages is another tree."""
    stamp = hashlib.sha256(" ".join((RELEASE, *PACKAGES)).encode()).hexdigest()[:12]
    return cache_dir() / f"{RELEASE}-{stamp}"


def is_made() -> bool:
    return (place() / _RELEASE_FILE).exists()


def make(say: Callable[[str], None]) -> Path:
    """The tree, made now if it is not there (half a minute and 700 MB). Raises :class:`LabError`."""
    tree = place()
    if is_made():
        return tree
    if os.geteuid() != 0:
        raise LabError("the guests' tree is made with chroot and needs root. Run it as root")
    require_tools(("mmdebstrap",))
    say(f"making the guests' tree in {tree}")
    half = tree.with_name(f"{tree.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    half.parent.mkdir(parents=True, exist_ok=True)
    run(
        *("mmdebstrap", "--variant=minbase", "--mode=root", f"--include={','.join(PACKAGES)}"),
        # Signatures are checked as ever. A mirror's list may be past its date: a tree that has no network, and that
        # nothing leaves, is not in danger of yesterday's packages.
        *("--aptopt=Acquire::Check-Valid-Until false", "--dpkgopt=path-exclude=/usr/share/man/*"),
        *(RELEASE, str(half), f"deb [signed-by={KEYRING}] {MIRROR} {RELEASE} main"),
        timeout_s=_MADE_IN_S,
    )
    modules = half / "usr/lib/modules"
    modules.mkdir(exist_ok=True)
    for version in (half / "usr/lib/uml/modules").iterdir():
        (modules / version.name).symlink_to(Path("/usr/lib/uml/modules") / version.name)
    (half / "orders").mkdir()
    (half / _RELEASE_FILE).write_text(versions(half))
    half.rename(tree)
    return tree


def versions(tree: Path) -> str:
    """Package and version of what the figures depend on, a line each."""
    return run("chroot", str(tree), "dpkg-query", "-W", "-f", "${Package} ${Version}\\n", *PACKAGES)


def remove() -> None:
    """All trees."""
    shutil.rmtree(cache_dir(), ignore_errors=True)
