"""compose.yaml and Dockerfile against the rest of the project: what one has, the other must know of.

Nothing is built here. What these find would otherwise be found by the first build after a change.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))

CLUSTER: dict[str, Any] = yaml.safe_load((ROOT / "compose.cluster.yaml").read_text())["services"]
TRUST: dict[str, Any] = yaml.safe_load((ROOT / "compose.trust.yaml").read_text())["services"]
SERVERS, LEAVES = ("nats", "nats-2", "nats-3"), ("leaf-1", "leaf-2")
OBSERVABILITY = {"prometheus", "grafana"}
CORE = {*SERVICES, "nats", "console"}


def dockerfile_lines(keyword: str) -> list[str]:
    """The rest of all lines that begin with ``keyword``, continuation lines joined."""
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.removeprefix(keyword).strip() for line in joined.splitlines() if line.startswith(f"{keyword} ")]


TARGETS = {words[-1] for line in dockerfile_lines("FROM") if len(words := line.split()) == 3}


def setup_value(name: str) -> str:
    found = re.search(rf"^{name}=(\S+|\([^)]*\))", (ROOT / "tools/setup").read_text(), re.MULTILINE)
    assert found is not None, f"tools/setup no longer sets {name}"
    return found.group(1)


def test_every_service_of_the_workspace_runs_in_a_container_of_its_own() -> None:
    assert set(SERVICES) <= set(COMPOSE)
    assert set(COMPOSE) == {*CORE, "lab", *OBSERVABILITY}


@pytest.mark.parametrize("service", sorted(set(COMPOSE) - {"grafana"}))
def test_a_container_is_built_from_a_target_of_the_dockerfile(service: str) -> None:
    build = COMPOSE[service]["build"]
    assert build["target"] == service
    assert service in TARGETS
    given, known = set(build["args"]), {line.split("=")[0] for line in dockerfile_lines("ARG")}
    assert given <= known, f"compose.yaml gives build arguments that the Dockerfile does not know: {given - known}"


def test_on_a_cluster_the_same_services_run_and_know_the_leaf_nodes() -> None:
    # Given compose.cluster.yaml, then it adds servers of NATS, and no service that compose.yaml has not
    assert set(CLUSTER) == {*SERVICES, *SERVERS, *LEAVES, "lab"}
    # And each service knows the leaf nodes alone
    urls = ",".join(f"nats://{leaf}:4222" for leaf in LEAVES)
    assert {CLUSTER[service]["environment"]["EZPATH_NATS"] for service in SERVICES} == {urls}
    # And each server its own name, and all three
    for name in SERVERS:
        told = CLUSTER[name]["environment"]
        assert told["NATS_NAME"] == name
        assert json.loads(told["NATS_ROUTES"]) == [f"nats-route://{server}:6222" for server in SERVERS]
    # And what deploy/nats asks of the environment is given
    for file, names in (("node.conf", SERVERS), ("leaf.conf", LEAVES)):
        asked = set(re.findall(r"\$(NATS_\w+)", (ROOT / "deploy/nats" / file).read_text()))
        assert all(asked <= set(CLUSTER[name]["environment"]) for name in names)
    # And those that are new have no more privileges than the one of compose.yaml
    for name in {*SERVERS, *LEAVES} - {"nats"}:
        for key in ("read_only", "cap_drop", "security_opt", "init"):
            assert CLUSTER[name][key] == COMPOSE["nats"][key], name


def test_with_trust_on_each_shows_its_own_key_and_nobody_but_the_first_can_write_any() -> None:
    # Given compose.trust.yaml, then it adds who makes the keys, and no service that compose.yaml has not
    assert set(TRUST) == {*CORE, "lab", "keys"}
    # And each service has its own directory of them, the console that of who looks on
    users = {name: TRUST[name]["environment"]["EZPATH_TRUST"].rsplit("/", 1)[1] for name in (*SERVICES, "console")}
    assert users == {**{name: name for name in SERVICES}, "console": "viewer"}
    # And can only read
    mounts = {name: [each for each in service["volumes"] if "keys:" in each] for name, service in TRUST.items()}
    assert mounts.pop("keys") == ["keys:/run/trust"]
    assert {tuple(each) for each in mounts.values()} == {("keys:/run/trust:ro",)}
    # And NATS begins when they are there, with what they are made into
    assert TRUST["nats"]["depends_on"] == {"keys": {"condition": "service_completed_successfully"}}
    assert TRUST["nats"]["command"][:2] == ["--config", "/run/trust/nats/nats-server.conf"]
    # And who shares the lab's network serves metrics at a port of its own
    ports = [TRUST[name]["environment"]["EZPATH_METRICS"] for name in SERVICES if "network_mode" in TRUST[name]]
    assert len(set(ports)) == len(ports) == 3


def test_the_profiles_are_the_lab_by_default_and_the_services_alone() -> None:
    profiles = {name: set(service["profiles"]) for name, service in COMPOSE.items()}
    assert {name for name, those in profiles.items() if "core" in those} == CORE
    assert {name for name, those in profiles.items() if "lab" in those} == {*CORE, "lab"}
    assert {name for name, those in profiles.items() if "observability" in those} == OBSERVABILITY
    assert settings(".env")["COMPOSE_PROFILES"] == "lab,observability"
    assert settings("deploy/core/core.env")["COMPOSE_PROFILES"] == "core"


def settings(file: str) -> dict[str, str]:
    lines = [line for line in (ROOT / file).read_text().splitlines() if line and not line.startswith("#")]
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def test_the_settings_of_core_are_ones_that_compose_knows() -> None:
    known = set(re.findall(r"\$\{(\w+)", (ROOT / "compose.yaml").read_text()))
    core = settings("deploy/core/core.env")
    assert set(core) <= known | {"COMPOSE_PROFILES"}
    assert (ROOT / core["NETWORK"] / Path(core["EZPATH_INVENTORY"]).relative_to("/etc/ezpath")).is_file()


def test_the_image_that_has_to_be_pulled_is_pinned_and_may_be_another() -> None:
    found = re.fullmatch(r"\$\{GRAFANA_IMAGE:-grafana/grafana:(\d+\.\d+\.\d+)\}", COMPOSE["grafana"]["image"])
    assert found is not None, COMPOSE["grafana"]["image"]


def test_grafana_finds_its_dashboard_and_prometheus() -> None:
    (source,) = provisioned("datasources/prometheus.yaml")["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    (provider,) = provisioned("dashboards/ezpath.yaml")["providers"]
    assert f"./deploy/grafana:{provider['options']['path']}:ro" in COMPOSE["grafana"]["volumes"]
    home = COMPOSE["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / "deploy/grafana" / Path(home).relative_to(provider["options"]["path"])).is_file()


def provisioned(file: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "deploy/grafana/provisioning" / file).read_text())
    return found


def test_prometheus_reads_every_service_where_it_offers_its_metrics() -> None:
    (job,) = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text())["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    measured = {*SERVICES, "console"}
    assert set(found["names"]) == measured
    offered = {COMPOSE[service]["environment"]["EZPATH_METRICS"] for service in measured}
    assert offered == {f"0.0.0.0:{found['port']}"}


@pytest.mark.parametrize("service", sorted(set(COMPOSE) - {"lab"}))
def test_nothing_but_the_lab_has_any_privilege(service: str) -> None:
    container = COMPOSE[service]
    assert container["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in container["security_opt"]
    assert container["read_only"]
    assert not {"cap_add", "devices", "privileged"} & set(container)
    # Only on hosts of one's own, and without a capability even there.
    assert container.get("user", "10001:10001") in ("10001:10001", "${HOST_WRITER_USER:-10001:10001}")


def test_the_lab_runs_in_the_group_that_the_services_run_in() -> None:
    created = re.search(r"groupadd --gid (\d+) ezpath", DOCKERFILE)
    assert created is not None
    assert COMPOSE["lab"]["user"] == f"0:{created.group(1)}"


@pytest.mark.parametrize("service", SERVICES)
def test_services_see_the_racks_read_only_and_the_lab_may_write(service: str) -> None:
    assert all(volume.endswith(":ro") for volume in COMPOSE[service]["volumes"])
    assert "racks:/run/ezpath:ro" in COMPOSE[service]["volumes"]
    assert COMPOSE["lab"]["volumes"] == ["racks:/run/ezpath"]


def test_the_build_knows_every_package_of_the_workspace() -> None:
    members = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/pyproject.toml")}
    members |= {f"services/{service}" for service in SERVICES}
    copied = {line.split()[0] for line in dockerfile_lines("COPY")}
    assert {f"{member}/pyproject.toml" for member in members} <= copied
    ignore = (ROOT / ".dockerignore").read_text().split()
    assert {f"!{member.split('/')[0]}" for member in members} <= set(ignore)


def test_the_environments_have_all_services() -> None:
    names = {
        tomllib.loads((ROOT / f"services/{name}/pyproject.toml").read_text())["project"]["name"] for name in SERVICES
    }
    words = [word for line in dockerfile_lines("ARG") for word in line.partition("=")[2].strip('"').split()]
    assert names <= set(words)


def test_the_images_have_what_setup_installs() -> None:
    packages = {word.partition(":")[0] for word in setup_value("NEEDED").strip("()").split()}
    installed = {word for line in dockerfile_lines("RUN") if "install-packages" in line for word in line.split()}
    assert packages <= installed
    assert f"UV_VERSION={setup_value('UV_VERSION')}" in dockerfile_lines("ARG")
