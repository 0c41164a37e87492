"""deploy/systemd: units that systemd accepts, for every service, and that ask for no privilege."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from ezpath.cli.console import console
from ezpath.tls import CA, CERT, KEY, NKEY

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy/systemd"
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))
STARTED_AS = {f"ezpath-{service}@x.service": f"ezpath-{service}" for service in SERVICES} | {
    "ezpath-console.service": "ezpath"
}
"""Units to programs."""
SYSTEMS_OWN = Path("/usr/lib/systemd/system")
MOST_EXPOSED = 2.0
"""Of 10, as `systemd-analyze security` counts. Who talks over the network has 1.4 by that alone."""


@pytest.fixture
def root(tmp_path: Path, needs: Callable[..., None]) -> Path:
    """A machine's file system with the units where docs/FROM-LAB-TO-RACK.md puts them, trust.conf among them."""
    needs("systemd-analyze")
    shutil.copytree(UNITS, tmp_path / "etc/systemd/system")
    shutil.copy(UNITS / "trust.conf", tmp_path / "etc/systemd/system/ezpath-.service.d/20-trust.conf")
    shutil.copytree(SYSTEMS_OWN, tmp_path / SYSTEMS_OWN.relative_to("/"), symlinks=True)
    programs = tmp_path / "opt/ezpath/bin"
    programs.mkdir(parents=True)
    for program in STARTED_AS.values():
        shutil.copy(Path(sys.executable).with_name(program), programs)
    return tmp_path


def analyze(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", f"--root={root}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_every_service_has_a_unit_and_every_unit_a_service() -> None:
    there = {path.name.replace("@.", "@x.") for path in UNITS.glob("*.service")}
    assert there == set(STARTED_AS)


@pytest.mark.parametrize("unit", STARTED_AS)
def test_systemd_takes_the_unit_without_a_word(root: Path, unit: str) -> None:
    said = analyze(root, "verify", "--man=no", unit)
    assert (said.returncode, said.stdout) == (0, "")


@pytest.mark.parametrize("unit", STARTED_AS)
def test_a_unit_asks_for_no_privilege(root: Path, unit: str) -> None:
    said = analyze(root, "security", "--offline=true", f"--threshold={MOST_EXPOSED * 10:.0f}", unit)
    assert said.returncode == 0, said.stdout
    held = re.findall(
        r"✗ (CapabilityBoundingSet\S*|NoNewPrivileges\S*|ProtectSystem\S*|SystemCallFilter\S*)", said.stdout
    )
    assert held == [], said.stdout


def test_a_mistake_in_a_unit_is_noticed(root: Path) -> None:
    # Given a unit that names a program that is not there, then the check above would have failed
    (root / "opt/ezpath/bin/ezpath-decider").unlink()
    assert analyze(root, "verify", "--man=no", "ezpath-decider@x.service").returncode != 0


def test_with_trust_systemd_hands_each_service_the_files_that_it_shows(root: Path) -> None:
    said = (UNITS / "trust.conf").read_text()
    assert set(re.findall(r"LoadCredential=(\S+):/etc/ezpath/trust/%p/\1", said)) == {NKEY, CA, CERT, KEY}
    (variable,) = re.findall(r"^Environment=(\w+)=%d$", said, re.MULTILINE)
    assert variable in {option.envvar for option in console.params}
    # Given a credential of a name that systemd does not take, then the checks above would have failed
    drop_in = root / "etc/systemd/system/ezpath-.service.d/20-trust.conf"
    drop_in.write_text("[Service]\nLoadCredential=nk/ey:/etc/ezpath/trust/nkey\n")
    assert "nk/ey" in analyze(root, "verify", "--man=no", "ezpath-decider@x.service").stdout


def test_the_settings_are_ones_that_services_read() -> None:
    named = set(re.findall(r"^#? ?(EZPATH_\w+)=", (UNITS / "ezpath.env").read_text(), re.MULTILINE))
    mains = [import_module(f"ezpath_{service.replace('-', '_')}.main").main for service in SERVICES] + [console]
    known = {name for main in mains for option in main.params for name in [option.envvar]}
    assert named <= known, named - known
    assert {"EZPATH_NATS", "EZPATH_INVENTORY", "EZPATH_P4_DIR"} <= named
