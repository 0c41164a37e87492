"""deploy/kubernetes: what kustomize makes of it keeps to Kubernetes' own schemas, and asks for no privilege."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from base64 import b64decode
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


@pytest.fixture(scope="module", params=["plain", "trust"])
def manifests(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]
) -> list[dict[str, Any]]:
    """Of deploy/kubernetes, and of deploy/kubernetes-trust with keys made as it says."""
    needs("kubectl")
    directory = KUBERNETES
    if request.param == "trust":
        root = tmp_path_factory.mktemp("deploy")
        for name in ("kubernetes", "kubernetes-trust"):
            shutil.copytree(KUBERNETES.with_name(name), root / name)
        directory = root / "kubernetes-trust"
        (command,) = re.findall(r"^#   ezpath (trust init .*)$", (directory / "kustomization.yaml").read_text(), re.M)
        words = [str(directory / word) if "/" in word[1:-1] and word[0] == "." else word for word in command.split()]
        words[2] = str(directory / words[2])
        made = CliRunner().invoke(ezpath, words)
        assert made.exit_code == 0, made.output
    made = subprocess.run(["kubectl", "kustomize", directory], capture_output=True, text=True, check=False)
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
    secrets = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "Secret"}
    for name, pod in pods(manifests):
        for volume in pod["volumes"]:
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps, name
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets, name
        for source in pod["containers"][0].get("envFrom", ()):
            assert source["configMapRef"]["name"] in maps, name
    (settings,) = [data for name, data in maps.items() if "EZPATH_INVENTORY" in data]
    assert settings["EZPATH_INVENTORY"] == "/etc/ezpath/network.yaml"


def test_with_trust_each_has_its_own_key_and_shows_it_and_nobody_has_the_authority(
    manifests: list[dict[str, Any]], tmp_path: Path
) -> None:
    secrets = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "Secret"}
    if not secrets:
        assert all("trust" not in str(pod) for _, pod in pods(manifests))
        return
    seeds = {name: data["nkey"] for name, data in secrets.items() if "nkey" in data}
    assert len(set(seeds.values())) == len(seeds) == len(SERVICES) + 1
    for name, pod in pods(manifests):
        (secret,) = [volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume]
        assert secret.startswith(f"{name}-trust"), name
        (container,) = pod["containers"]
        (mount,) = [each["mountPath"] for each in container["volumeMounts"] if each["name"] == "trust"]
        if name == "nats":
            # Its configuration names files where they are in the pod
            configuration = b64decode(secrets[secret]["tls.conf"]).decode()
            assert f"{mount}/nats-server.conf" in container["command"] and f'"{mount}/key.pem"' in configuration
            there = tmp_path / "nats"
            there.mkdir()
            for file, data in secrets[secret].items():
                (there / file).write_text(b64decode(data).decode().replace(mount, str(there)))
            command = [word.replace(mount, str(there)) for word in container["command"]]
            server = Path(sys.executable).with_name(command.pop(0))
            tried = subprocess.run([server, "-t", *command], capture_output=True, text=True, check=False)
            assert tried.returncode == 0, tried.stderr
        else:
            assert {"name": "EZPATH_TRUST", "value": mount} in container["env"], name
            assert set(secrets[secret]) == {"nkey", "ca.pem", "cert.pem", "key.pem"}


@pytest.mark.parametrize("file", ["deploy/kubernetes/network.yaml", "deploy/core/network.yaml"])
def test_the_example_networks_are_ones_that_services_take(file: str) -> None:
    checked = CliRunner().invoke(ezpath, ["check-config", str(ROOT / file)])
    assert checked.exit_code == 0, checked.output
