"""The lab in containers on a Docker daemon of the test's own: a base image made, images built, `docker-compose` run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from docker_daemon import DockerDaemon

ROOT = Path(__file__).parents[1]
BASE = "ezpath-test-base:bookworm"
TOOLS = ("dockerd", "containerd", "docker", "docker-compose", "mmdebstrap", "slirp4netns", "unshare", "ldd")
AUTHORITIES = Path("/usr/local/share/ca-certificates")
NOT_THE_PROJECTS = shutil.ignore_patterns(".git", ".venv", ".tools", ".lab", ".*_cache", ".hypothesis", "__pycache__")
IMAGES = ("nats", "collector", "decider", "switch-writer", "host-writer", "console", "lab", "prometheus")
BUILD_S, STEP_S = 600, 120


class Compose:
    """`docker-compose` in a copy of the checkout, with this machine's way to Debian's archive and to PyPI."""

    def __init__(self, daemon: DockerDaemon, directory: Path, **settings: str) -> None:
        self.daemon = daemon
        self.directory = directory
        self.took_s: dict[str, float] = {}
        self._settings = settings
        self._environment = {
            **os.environ,
            # Debian's own `docker` before any other: it builds with the daemon's BuildKit, and needs no plugin for it.
            "PATH": f"/usr/bin:{os.environ['PATH']}",
            "DOCKER_HOST": daemon.url,
            "DOCKER_BUILDKIT": "1",
            "COMPOSE_PROJECT_NAME": "ezpath",
            "BASE": BASE,
            # Without Grafana, whose image would have to be pulled; Prometheus is started by its name.
            "COMPOSE_PROFILES": "lab",
            "APT_OPTIONS": _apt_options(),
            **settings,
        }

    def with_settings(self, **settings: str) -> Compose:
        """The same checkout and images, with other settings."""
        return Compose(self.daemon, self.directory, **{**self._settings, **settings})

    def prepare(self) -> None:
        """Copy the checkout, and what authorities this machine trusts beyond the usual ones."""
        shutil.copytree(ROOT, self.directory, ignore=NOT_THE_PROJECTS, symlinks=True)
        for certificate in AUTHORITIES.glob("*.crt"):
            shutil.copy(certificate, self.directory / "docker/ca")

    def base_image(self) -> None:
        """As docs/COMPOSE.md says for machines where no image can be pulled."""
        with self.timed("base image"):
            self._run("docker/base-image", BASE, timeout_s=BUILD_S)

    def build(self) -> None:
        with self.timed("build"):
            self("build", "--parallel", *IMAGES, timeout_s=BUILD_S)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.took_s[what] = time.monotonic() - began

    def image_size(self, image: str) -> int:
        return int(self.daemon.docker("image", "inspect", "--format", "{{.Size}}", image))

    def __call__(self, *arguments: str, timeout_s: float = STEP_S) -> str:
        """What `docker-compose` says with ``arguments``; it has to end well."""
        return self._run("docker-compose", *arguments, timeout_s=timeout_s)

    def exec(self, service: str, *command: str) -> str:
        """What ``command`` says in the container of ``service``; it has to end well.

        By `docker`, which takes a tenth of the time that `docker-compose exec` takes to start.
        """
        return self._run("docker", "exec", self._container(service), *command, timeout_s=STEP_S)

    def tried(self, service: str, *command: str) -> subprocess.CompletedProcess[str]:
        """The same, for a command that may fail."""
        return self._start("docker", "exec", self._container(service), *command, timeout_s=STEP_S)

    def _container(self, service: str) -> str:
        found = self.daemon.docker("ps", "--quiet", "--filter", f"label=com.docker.compose.service={service}").split()
        assert len(found) == 1, f"{len(found)} containers of {service} run"
        return found[0]

    def containers(self) -> Mapping[str, dict[str, Any]]:
        """What Docker knows of the project's containers, by service."""
        if not (ids := self.daemon.docker("ps", "--all", "--quiet").split()):
            return {}
        found = json.loads(self.daemon.docker("inspect", *ids))
        return {container["Config"]["Labels"]["com.docker.compose.service"]: container for container in found}

    def wait_said(self, service: str, words: str, timeout_s: float) -> str:
        """All that ``service`` said, once ``words`` are among it."""
        said = ""

        def done() -> bool:
            nonlocal said
            container = self.containers()[service]
            said = self.daemon.docker_both("logs", container["Id"])
            assert words in said or container["State"]["Running"], f"{service} ended. It said:\n{said}"
            return words in said

        wait_until(done, timeout_s, lambda: f"{service} does not say {words!r}. It said:\n{said}")
        return said

    def _run(self, *command: str, timeout_s: float) -> str:
        done = self._start(*command, timeout_s=timeout_s)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-6000:]}"
        return done.stdout

    def _start(self, *command: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def wait_until(done: Callable[[], bool], timeout_s: float, otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {otherwise()}"
        time.sleep(0.5)


def _apt_options() -> str:
    """What this machine's apt is told about the age of its archive: a mirror may be one that no longer changes."""
    if given := os.environ.get("APT_OPTIONS"):
        return given
    ages = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")
    said = subprocess.run(["apt-config", "dump", *ages], capture_output=True, text=True, check=True).stdout
    return " ".join(f"-o {age}=false" for age in ages if f'{age} "false"' in said)
