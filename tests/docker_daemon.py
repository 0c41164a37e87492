"""A real Docker daemon of a test's own, in its own network, mount and process namespaces: it ends without a trace.

No image can be pulled and none is needed: one that holds `sleep` and its libraries is imported, or a test makes
its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

IMAGE = "ezpath-test"
START_S, STOP_S = 60.0, 20.0
CGROUPS = Path("/sys/fs/cgroup")
FOR_A_FEW_CONTAINERS = (
    *("--storage-driver", "vfs", "--bridge", "none"),
    *("--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"),
)
"""Asks nothing of the kernel that it may lack, and copies an image for each container."""
NAMES_AT = "10.0.2.3"
"""Where slirp4netns answers for the machine's resolver."""
AS_IT_COMES = ("--dns", NAMES_AT)
"""Its own choice of storage, its bridge, and its rules in iptables: what `systemctl start docker` gives."""


class DockerDaemon:
    """Made stopped; :meth:`start` it, talk to it at :attr:`url`, :meth:`stop` it.

    With ``way_out`` its namespace reaches what the machine reaches, through slirp4netns, an ordinary process: nothing
    of the machine's own network is touched. With ``in_memory`` its images and containers are never on a disk: making
    and removing gigabytes of small files takes no time, and they are gone when it is stopped.
    """

    def __init__(
        self,
        directory: Path,
        options: Sequence[str] = FOR_A_FEW_CONTAINERS,
        *,
        way_out: bool = False,
        in_memory: bool = False,
    ) -> None:
        self.url = f"unix://{directory}/docker.sock"
        self._directory = directory
        self._options = options
        self._cgroup = f"/ezpath-test-{os.getpid()}-{directory.name}"
        self._process: subprocess.Popen[bytes] | None = None
        self._run_directory = ""
        self._way_out = way_out
        self._in_memory = in_memory
        self._slirp: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns when it answers."""
        here = self._directory
        # Of its own, since the path of a socket has to be short: that of containerd is three folders down.
        self._run_directory = tempfile.mkdtemp(prefix="ezpath-docker-")
        daemon = [
            *("dockerd", "--data-root", f"{here}/data", "--exec-root", self._run_directory, "--pidfile", f"{here}/pid"),
            *("-H", self.url, "--cgroup-parent", self._cgroup, *self._options),
        ]
        (here / "data").mkdir(exist_ok=True)
        if self._in_memory:
            mount = 'mount -t tmpfs -o size=16g tmpfs "$0" && exec "$@"'
            daemon = ["sh", "-c", mount, f"{here}/data", *daemon]
        alone = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with (here / "dockerd.log").open("ab") as log:
            self._process = subprocess.Popen([*alone, *daemon], stdout=log, stderr=log)
        deadline = time.monotonic() + START_S
        while self._docker("version", check=False).returncode != 0:
            said = (here / "dockerd.log").read_text()[-2000:]
            assert self._process.poll() is None and time.monotonic() < deadline, f"dockerd did not start: {said}"
            time.sleep(0.1)
        if self._way_out:
            self._open_way_out()
        if IMAGE not in self.docker("images", "--format", "{{.Repository}}"):
            subprocess.run(
                ["docker", "-H", self.url, "import", "-", IMAGE], input=_image(), check=True, capture_output=True
            )

    def docker(self, *arguments: str) -> str:
        """What the `docker` command says."""
        return self._docker(*arguments, check=True).stdout.strip()

    def docker_both(self, *arguments: str) -> str:
        """The same, with what goes to stderr after it: `docker logs` passes on both."""
        said = self._docker(*arguments, check=True)
        return said.stdout + said.stderr

    def run(self, name: str, *options: str) -> str:
        """A container that sleeps. Its id."""
        return self.docker("run", "--detach", "--name", name, *options, IMAGE, "/bin/sleep", "3600").split()[-1]

    def freeze(self) -> None:
        os.kill(self._daemon(), signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._daemon(), signal.SIGCONT)

    def stop(self) -> None:
        """With all that runs in it. Idempotent."""
        if self._process is None:
            return
        self.thaw()
        if running := self._docker("ps", "--all", "--quiet", check=False).stdout.split():
            # They would be waited for: `sleep` does not heed what asks it to stop.
            self._docker("rm", "--force", *running, check=False)
        os.kill(self._daemon(), signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()  # and its child with it, the first process of a namespace
            self._process.wait(STOP_S)
        self._process = None
        shutil.rmtree(self._run_directory, ignore_errors=True)
        if self._slirp is not None:
            self._slirp.terminate()
            self._slirp.wait(STOP_S)
            self._slirp = None
        for cgroup in CGROUPS.glob(f"*{self._cgroup}"):
            for folder in sorted((cgroup, *(each for each in cgroup.rglob("*") if each.is_dir())), reverse=True):
                folder.rmdir()

    def _open_way_out(self) -> None:
        ready, says_ready = os.pipe()
        command = ["slirp4netns", "--configure", "--mtu=65520", "--disable-host-loopback", f"--ready-fd={says_ready}"]
        with (self._directory / "slirp4netns.log").open("ab") as log:
            self._slirp = subprocess.Popen(
                [*command, str(self._daemon()), "tap0"], stdout=log, stderr=log, pass_fds=[says_ready]
            )
        os.close(says_ready)
        with os.fdopen(ready, "rb") as answer:
            assert answer.read(1), f"slirp4netns did not start: {(self._directory / 'slirp4netns.log').read_text()}"

    def _daemon(self) -> int:
        """The first process in the namespaces."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0])

    def _docker(self, *arguments: str, check: bool) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", "-H", self.url, *arguments], check=check, capture_output=True, text=True)


def _image() -> bytes:
    """`sleep`, and what it is linked with."""
    sleep = shutil.which("sleep")
    assert sleep is not None
    linked = subprocess.run(["ldd", sleep], check=True, capture_output=True, text=True).stdout.split()
    archive = BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(Path(sleep).resolve(), "bin/sleep")
        for library in {word for word in linked if word.startswith("/")}:
            tar.add(Path(library).resolve(), library.lstrip("/"))
    return archive.getvalue()
