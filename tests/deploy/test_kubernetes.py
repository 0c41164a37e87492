"""deploy/kubernetes: what kustomize makes of it keeps to Kubernetes' own schemas, and asks for no privilege."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from ezpath.cli.main import main as ezpath

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
COMPOSE: Mapping[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
SERVICES = sorted(path.parent.name for path in ROOT.glob("services/*/pyproject.toml"))
VERSIONS = ("1.28", "1.31", "1.34")
"""Of Kubernetes: old ones that are still met, and a new one."""
WORKLOADS = ("Deployment", "DaemonSet", "StatefulSet")
ROOT_OF_OPEN_VSWITCH = "host-writer"
"""Runs as root, without a capability, for Open vSwitch's sockets are root's."""


@pytest.fixture(scope="module")
def manifests(needs: Callable[..., None]) -> list[dict[str, Any]]:
    needs("kubectl")
    made = subprocess.run(["kubectl", "kustomize", KUBERNETES], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def pods(manifests: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for manifest in manifests:
        if manifest["kind"] in WORKLOADS:
            yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]


def test_every_service_is_there_and_a_host_writer_on_every_host(manifests: list[dict[str, Any]]) -> None:
    kinds = {m["metadata"]["name"]: m["kind"] for m in manifests if m["kind"] in WORKLOADS}
    assert set(kinds) == {*SERVICES, "nats", "console"}
    assert kinds["host-writer"] == "DaemonSet"


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_keeps_to_the_schema(manifests: list[dict[str, Any]], version: str) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_notices_a_mistake(manifests: list[dict[str, Any]]) -> None:
    # Given a field in the wrong place, and a number where text is wanted
    deployment = next(m for m in manifests if m["kind"] == "Deployment")
    for wrong in ({"replica": 1}, {"replicas": "two"}):
        broken = {**deployment, "spec": {**deployment["spec"], **wrong}}
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_no_pod_has_any_privilege(manifests: list[dict[str, Any]]) -> None:
    for name, pod in pods(manifests):
        (container,) = pod["containers"]
        security = container["securityContext"]
        assert security["readOnlyRootFilesystem"], name
        assert not security["allowPrivilegeEscalation"], name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        paths = [volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume]
        if name == ROOT_OF_OPEN_VSWITCH:
            assert (security["runAsUser"], paths) == (0, ["/run/openvswitch"])
        else:
            assert (pod["securityContext"]["runAsNonRoot"], paths) == (True, []), name


def test_only_the_decider_may_ask_the_api_and_only_for_pods(manifests: list[dict[str, Any]]) -> None:
    accounts = {name: pod.get("serviceAccountName") for name, pod in pods(manifests)}
    assert {name for name, account in accounts.items() if account} == {"decider"}
    assert all(pod["automountServiceAccountToken"] is False for name, pod in pods(manifests) if name != "decider")
    (role,) = [m for m in manifests if m["kind"] == "ClusterRole"]
    assert role["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]


def test_images_are_those_of_compose(manifests: list[dict[str, Any]]) -> None:
    for name, pod in pods(manifests):
        image = pod["containers"][0]["image"].rpartition("/")[2].partition(":")[0]
        assert image == COMPOSE[name]["image"]


def test_what_a_pod_mounts_and_reads_is_there(manifests: list[dict[str, Any]]) -> None:
    maps = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    for name, pod in pods(manifests):
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps, name
        for source in pod["containers"][0].get("envFrom", ()):
            assert source["configMapRef"]["name"] in maps, name
    (settings,) = [data for name, data in maps.items() if "EZPATH_INVENTORY" in data]
    assert settings["EZPATH_INVENTORY"] == "/etc/ezpath/network.yaml"


@pytest.mark.parametrize("file", ["deploy/kubernetes/network.yaml", "deploy/core/network.yaml"])
def test_the_example_networks_are_ones_that_services_take(file: str) -> None:
    checked = CliRunner().invoke(ezpath, ["check-config", str(ROOT / file)])
    assert checked.exit_code == 0, checked.output
