"""`docker compose up` for real: a Docker daemon, images built from nothing, the whole story told in containers.

The tests share one lab and are in the order of a session with it: the last ones stop it and take it down.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from compose_rig import TOOLS, Compose, wait_until
from docker_daemon import AS_IT_COMES, DockerDaemon
from promql import alarms, panels

pytestmark = [pytest.mark.root, pytest.mark.lab, pytest.mark.timeout(900)]

SERVICES = ("collector", "decider", "switch-writer", "host-writer")
UNPRIVILEGED = ("nats", *SERVICES, "console")
PAIR = "red.red-11.red-21"
STORY_S = 240
CORE_NETWORK = "/etc/ezpath/network.yaml"
OVER = "The story is over"
SIZES_MB = {
    "nats": 110,
    "collector": 330,
    "decider": 370,
    "switch-writer": 330,
    "host-writer": 350,
    "lab": 790,
    "prometheus": 430,
}
"""What an image may come to."""


@pytest.fixture(scope="module")
def compose(needs: Callable[..., None]) -> Iterator[Compose]:
    """Images built as the documentation says for a machine without a registry."""
    needs(*TOOLS, root=True)
    with TemporaryDirectory(prefix="ezpath-docker-") as name:
        directory = Path(name)
        daemon = DockerDaemon(directory, AS_IT_COMES, way_out=True, in_memory=True)
        compose = Compose(daemon, directory / "checkout", KEEP="1")
        try:
            daemon.start()
            compose.prepare()
            compose.base_image()
            compose.build()
            yield compose
        finally:
            daemon.stop()


@pytest.fixture(scope="module")
def story(compose: Compose) -> str:
    """What the lab said, until its story was over; everything still runs then."""
    with compose.timed("the story"):
        compose("up", "-d")
        return compose.wait_said("lab", OVER, STORY_S)


def test_the_story_is_told_and_no_packet_is_lost(compose: Compose, story: str) -> None:
    # Given a lab that nobody told anything but `docker compose up`
    # When its story is over, then all was as it should be
    assert f"{OVER} (status 0)" in story, story
    check_summary(compose, story)


def check_summary(compose: Compose, story: str) -> None:
    """What the lab says and keeps of a story that went as it should."""
    assert "All as it should be" in story
    summary = json.loads(compose.exec("lab", "cat", "/run/ezpath/summary.json"))
    assert summary["passed"] is True
    # Pairs were offloaded, one was rolled back, all were reverted, and every act lost nothing
    acts = {act["act"]: act for act in summary["acts"]}
    assert {"overlay", "offload", "on the switch", "rollback", "revert", "overlay again"} <= set(acts)
    for act in acts.values():
        assert act["sent"] > 1000, act
        assert (act["lost"], act["duplicated"]) == (0, 0), act
    assert summary["decision_to_active_ms"]["count"] == 3
    assert summary["foreign"] == 0


def test_every_container_is_healthy(compose: Compose, story: str) -> None:
    containers = compose.containers()
    assert set(containers) == {*UNPRIVILEGED, "lab"}
    health = {name: container["State"]["Health"]["Status"] for name, container in containers.items()}
    assert set(health.values()) == {"healthy"}, health
    assert {name for name, container in containers.items() if container["RestartCount"]} == set()
    assert compose("ps").count("Up (healthy)") == len(containers)


def test_a_pair_goes_to_the_switches_and_back_when_an_operator_says_so(compose: Compose, story: str) -> None:
    # Given a decider that leaves flows where they are
    compose.exec("decider", "ezpath", "pause")
    # When an operator moves a pair
    compose.exec("decider", "ezpath", "offload", PAIR)
    # Then that is where it is, until it is moved back
    assert where(compose)[PAIR] == "switch"
    compose.exec("decider", "ezpath", "revert", PAIR)
    assert where(compose).get(PAIR, "overlay") == "overlay"
    compose.exec("decider", "ezpath", "resume")
    # And whoever follows what happens, in whatever container, sees it told
    told = [
        line
        for line in compose(
            *("exec", "-T", "collector", "ezpath", "tail", "--since", "60s", "--no-follow"), timeout_s=STORY_S
        ).splitlines()
        if PAIR in line
    ]
    assert any("active" in line for line in told), told
    assert any("reverted" in line for line in told), told
    # And what is installed is what ought to be
    compose.exec("decider", "ezpath", "diff")
    compose.exec("decider", "ezpath", "status")


def where(compose: Compose) -> Mapping[str, str]:
    """What carries each flow that the decider knows of; a pair on the overlay that says nothing is none."""
    lines = compose.exec("decider", "ezpath", "flows", "--json").splitlines()
    return {flow["pair"]: flow["where"] for flow in map(json.loads, lines)}


def test_prometheus_reads_every_service(compose: Compose, story: str) -> None:
    # When Prometheus is started beside the lab
    compose("up", "-d", "prometheus")
    promtool = ("promtool", "query", "instant", "http://127.0.0.1:9090")
    said = ""

    def all_are_read() -> bool:
        nonlocal said
        said = compose.tried("prometheus", *promtool, 'ezpath_ready{job="ezpath"} == 1').stdout
        return all(f'service="{service}"' in said for service in (*SERVICES, "console"))

    # Then it takes its configuration and its alerts as they are, and finds every service
    wait_until(all_are_read, 60, lambda: f"Prometheus does not read all services: {said}")
    compose.exec("prometheus", "promtool", "check", "config", "/etc/prometheus/prometheus.yaml")


def test_prometheus_takes_every_expression_and_has_an_answer_for_each_panel(compose: Compose, story: str) -> None:
    # Given a Prometheus that reads the services, after a story in which all there is came about
    shown, watched = list(panels()), list(alarms())
    asked = [expression.replace("$__rate_interval", "1m") for _, expression in (*shown, *watched)]
    each = 'for asked; do echo "? $asked"; promtool query instant http://127.0.0.1:9090 "$asked" 2>&1; done'
    answers: list[str] = []

    def not_shown() -> set[str]:
        said = compose.exec("prometheus", "sh", "-c", each, "sh", *asked)
        answers[:] = [part.partition("\n")[2].strip() for part in f"\n{said}".split("\n? ")[1:]]
        assert len(answers) == len(asked), said
        return {title for (title, _), answer in zip(shown, answers, strict=False) if not answer}

    # When it is asked all that the dashboard asks, then each panel has something to show, but for what did not happen
    wait_until(lambda: not_shown() <= {"Drops by reason"}, 60, lambda: f"nothing to show in {not_shown()}")
    # And it understands all that the alarms ask
    assert [answer for answer in answers if "error" in answer.lower()] == []


@pytest.mark.parametrize("service", (*UNPRIVILEGED, "prometheus"))
def test_a_service_has_no_privilege_and_cannot_write(compose: Compose, story: str, service: str) -> None:
    # Given a container that runs, then all its processes are an ordinary user's, who has no capability and gets none
    for status in processes(compose, service):
        assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"10001"}, status
        assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}, status
        assert status["NoNewPrivs"] == "1", status
    # When it tries to write where no service has to, then it cannot
    places = ("/usr/bin", "/etc", "/opt", "/run/ezpath", "/var/tmp", "/tmp")
    all_of_it = "; ".join((*(f"touch {place}/x && echo may write: {place}" for place in places), "echo that is all"))
    said: list[str] = []

    def all_is_said() -> bool:
        # What a process says as it ends is sometimes not passed on by the daemon, and its two outputs mix within lines.
        said[:] = compose.exec(service, "sh", "-c", f"exec 2>&1; {all_of_it}").splitlines()
        return "that is all" in said

    wait_until(all_is_said, 30, lambda: f"docker compose exec does not pass on what is said: {said}")
    assert [line for line in said if line.startswith("may write")] == ["may write: /tmp"]
    assert sum("Read-only file system" in line for line in said) == len(places) - 1, said
    # And Docker says so too
    host = compose.containers()[service]["HostConfig"]
    assert (host["ReadonlyRootfs"], host["Privileged"], host["CapAdd"]) == (True, False, None)


def processes(compose: Compose, service: str) -> list[dict[str, Any]]:
    """/proc/PID/status of all that runs in the container, what looks included."""
    said = compose.exec(service, "sh", "-c", "grep -h . /proc/[0-9]*/status 2>/dev/null || true")
    found: list[dict[str, Any]] = []
    for line in said.splitlines():
        name, _, value = line.partition(":")
        if name == "Name":
            found.append({})
        found[-1][name] = value.strip()
    assert len(found) >= 2, said
    return found


def test_images_are_small(compose: Compose, record_property: Callable[[str, object], None]) -> None:
    sizes = {name: compose.image_size(f"ezpath-{name}") / 1e6 for name in SIZES_MB}
    record_property("images, MB", ", ".join(f"{name} {size:.0f}" for name, size in sizes.items()))
    record_property("containers, seconds", ", ".join(f"{what} {took:.0f}" for what, took in compose.took_s.items()))
    assert {name: size for name, size in sizes.items() if size > SIZES_MB[name]} == {}


def test_stopped_everything_ends_by_itself(compose: Compose, story: str) -> None:
    # When everything is asked to stop
    began = time.monotonic()
    compose("stop")
    took_s = time.monotonic() - began
    # Then everything ends by itself, none is killed, and the lab ends with its story's status
    state = {name: container["State"] for name, container in compose.containers().items()}
    assert {name: s["ExitCode"] for name, s in state.items()} == dict.fromkeys(state, 0)
    assert not any(s["OOMKilled"] or s["Running"] for s in state.values())
    assert took_s < 60


def test_down_leaves_nothing_but_the_images(compose: Compose, story: str) -> None:
    # When it is taken down
    compose("down", "-v")
    # Then nothing of it is left
    assert left(compose) == ""
    assert "ezpath-decider" in compose.daemon.docker("images", "--format", "{{.Repository}}")


def left(compose: Compose) -> str:
    """Containers, volumes and networks."""
    docker = compose.daemon.docker
    networks = docker("network", "ls", "--quiet", "--filter", "name=ezpath")
    return docker("ps", "--all", "--quiet") + docker("volume", "ls", "--quiet") + networks


def test_core_runs_the_services_alone_on_a_network_of_ones_own(compose: Compose) -> None:
    # Given the example of a network of one's own, whose switches are nowhere
    core = compose.with_settings(COMPOSE_PROFILES="core", OPEN_VSWITCH="./deploy/core")
    core_only = ("--env-file", "deploy/core/core.env")
    core(*core_only, "run", "--rm", "--no-deps", "--entrypoint", "ezpath", "decider", "check-config", CORE_NETWORK)
    # When the services are started on it
    core(*core_only, "up", "-d")
    # Then there is no lab, every service is there, and says by name what it does not reach
    assert set(core.containers()) == set(UNPRIVILEGED)
    status: dict[str, Any] = {}

    def answered() -> bool:
        said = core.tried("decider", "ezpath", "status", "-o", "json").stdout
        status.update(json.JSONDecoder().raw_decode(said)[0] if said.startswith("{") else {})
        return len(status.get("services", ())) == len(SERVICES) and "switch:tor1" in str(status["targets"])

    wait_until(answered, 60, lambda: f"not all services answered: {status}")
    assert any("tor1" in alarm for alarm in status["alarms"]), status["alarms"]
    core(*core_only, "down", "-v")
    assert left(core) == ""


CLUSTER = "compose.yaml:compose.cluster.yaml"


CLUSTER, TRUST = "compose.yaml:compose.cluster.yaml", "compose.yaml:compose.trust.yaml"
ELSE_RUNS = {CLUSTER: {"nats-2", "nats-3", "leaf-1", "leaf-2"}, TRUST: set[str]()}


@pytest.mark.parametrize("files", [CLUSTER, TRUST], ids=["on a cluster with leaf nodes", "with keys and TLS"])
def test_the_same_story_is_told(compose: Compose, files: str) -> None:
    # Given three nats-servers and services that know the leaf nodes alone; or keys, and TLS, for everybody
    other = compose.with_settings(COMPOSE_FILE=files)
    try:
        # When nobody is told anything but `docker compose up`
        other("up", "-d", timeout_s=STORY_S)
        story = other.wait_said("lab", OVER, STORY_S)
        # Then all is as it should be, as it is with one server that takes everybody's word
        assert f"{OVER} (status 0)" in story, story
        check_summary(other, story)
        running = {name for name, container in other.containers().items() if container["State"]["Running"]}
        assert running == {*UNPRIVILEGED, "lab"} | ELSE_RUNS[files]
    finally:
        other("down", "-v")
    assert left(other) == ""


COLLECTORS, SWITCHES = 6, 12


@pytest.fixture(scope="module")
def scaled(compose: Compose) -> Iterator[Compose]:
    """Six collectors and twelve switches, which are nowhere, on three nats-servers with leaf nodes."""
    folder = compose.directory / "twelve-switches"
    folder.mkdir()
    # JSON is YAML
    (folder / "network.yaml").write_text(json.dumps(network_of(SWITCHES)))
    scaled = compose.with_settings(
        COMPOSE_FILE=CLUSTER,
        COMPOSE_PROFILES="core",
        NETWORK=f"./{folder.name}",
        EZPATH_INVENTORY=CORE_NETWORK,
        RACKS_UP="",
    )
    with scaled.timed("six collectors on a cluster"):
        scaled("up", "-d", "--scale", f"collector={COLLECTORS}", "collector")
    yield scaled
    scaled("down", "-v", "--timeout", "3")
    assert left(scaled) == ""


def network_of(switches: int) -> dict[str, Any]:
    return {
        "tenants": {"red": {"vni": 5001}},
        "switches": {
            f"tor{number}": {
                "rack": f"r{number}",
                "device_id": number,
                "address": f"127.0.0.1:{number}",
                "vtep": f"10.255.0.{number}",
                "mac": f"02:00:00:00:ff:{number:02x}",
            }
            for number in range(1, switches + 1)
        },
        "hosts": {},
        "endpoints": [],
    }


def test_scaled_collectors_share_the_switches_evenly_and_take_over_from_one_that_dies(scaled: Compose) -> None:
    # Given as many collectors as `docker compose up --scale` was told, then each has as many switches as any other
    running = of_service(scaled, "collector")
    assert len(running) == COLLECTORS
    wait_until(lambda: shares(scaled, running[0]) == [2] * 6, 60, lambda: f"shared as {owned(scaled, running[0])}")
    # When one of them dies
    died, *others = running[1], running[0], *running[2:]
    scaled.daemon.docker("kill", died)
    # Then the others have its switches, still evenly, and none has one that another has
    wait_until(lambda: shares(scaled, others[0]) == [2, 2, 2, 3, 3], 60, lambda: f"{owned(scaled, others[0])}")
    assert not any(died.startswith(instance.split("-")[0]) for instance in owned(scaled, others[0]))


def test_on_a_cluster_a_server_may_be_killed_and_collectors_keep_sharing(scaled: Compose) -> None:
    # Given three nats-servers of which one is killed, whichever leads what
    (second,) = of_service(scaled, "nats-2")
    scaled.daemon.docker("kill", second)
    # When one more collector dies
    died, witness, *_ = of_service(scaled, "collector")
    before = len(of_service(scaled, "collector"))
    scaled.daemon.docker("kill", died)
    # Then its switches are shared among the others, over the servers that are left
    even = sorted(SWITCHES // (before - 1) + (n < SWITCHES % (before - 1)) for n in range(before - 1))
    wait_until(lambda: shares(scaled, witness) == even, 90, lambda: f"shared as {owned(scaled, witness)}")


def of_service(compose: Compose, service: str) -> list[str]:
    """Containers of it that run."""
    return compose.daemon.docker(
        "ps", "--quiet", "--filter", f"label=com.docker.compose.service={service}", "--filter", "status=running"
    ).split()


def owned(compose: Compose, container: str) -> dict[str, list[str]]:
    """Who polls what, by what collectors say when one of them asks; empty where there is no answer yet."""
    said = compose.daemon.docker("exec", container, "sh", "-c", "ezpath status -o json || true")
    if not said.startswith("{"):
        return {}
    services = json.JSONDecoder().raw_decode(said)[0].get("services", ())
    return {each["instance"]: each["owns"] for each in services if each["service"] == "collector"}


def shares(compose: Compose, container: str) -> list[int]:
    """How many switches each collector has, where each switch is one's alone; else nothing."""
    found = owned(compose, container)
    switches = [switch for those in found.values() for switch in those]
    return sorted(map(len, found.values())) if len(set(switches)) == len(switches) == SWITCHES else []
