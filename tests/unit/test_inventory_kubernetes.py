"""Pods as endpoints: what annotations and priorities come to, and an API server as documented through the real client.

`tests/recorded/README.md` says which of its answers a server gave, and which were written by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from ezpath.inventory.sources import Found, SourceAway
from ezpath.inventory.sources.kubernetes import KubernetesSource
from ezpath.inventory.sources.kubernetes_pods import KubernetesSettings, Pods, endpoint_of, importance_of, name_of
from hypothesis import given
from hypothesis import strategies as st
from replay import KubernetesReplay, lines, serving

SETTINGS = KubernetesSettings()
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{}}}}]
contexts: [{{name: lab, context: {{cluster: c, user: u}}}}]
current-context: lab
"""


def listed() -> dict[str, Any]:
    """The pods of the first list, by name."""
    bodies = [line["body"] for line in list(lines("kubernetes/cluster.jsonl"))[:2]]
    return {pod["metadata"]["name"]: pod for body in bodies for pod in body["items"]}


def annotated(pod: dict[str, Any], **said: str) -> dict[str, Any]:
    ours = {f"ezpath.io/{key}": text for key, text in said.items()}
    return {**pod, "metadata": {**pod["metadata"], "annotations": pod["metadata"].get("annotations", {}) | ours}}


def test_given_ovn_kubernetes_then_it_says_the_addresses_and_the_interface() -> None:
    endpoint = endpoint_of(listed()["db-0"], SETTINGS)
    assert endpoint is not None and endpoint.model_dump() == {
        "name": "shop-db-0",
        "tenant": "red",
        "mac": "0a:58:0a:f4:00:05",
        "ip": "10.244.0.5",
        "host": "h11",
        "interface": "shop_db-0",
        "importance": 2.0,
        "kind": "database",
    }


def test_given_multus_then_the_default_networks_addresses_count() -> None:
    endpoint = endpoint_of(listed()["web-6d4b75cb6d-x2x7p"], SETTINGS)
    assert endpoint is not None
    assert (endpoint.mac, endpoint.ip, endpoint.kind) == ("0a:58:0a:f4:01:07", "10.244.1.7", "web")


def test_given_annotations_of_ours_then_they_outdo_all_others() -> None:
    said = {"name": "db", "mac": "02:00:00:00:00:07", "ip": "10.0.0.7", "interface": "veth7", "kind": "olap"}
    endpoint = endpoint_of(annotated(listed()["db-0"], **said, importance="0.5"), SETTINGS)
    assert endpoint is not None
    assert endpoint.model_dump() == {"tenant": "red", "host": "h11", "importance": 0.5, **said}


def test_given_settings_then_namespaces_nodes_and_classes_have_their_meaning() -> None:
    settings = KubernetesSettings(
        tenants={"shop": "blue"}, hosts={"h11.dc.example": "rack1-a"}, importance={"gold": 7.0}, interface="{uid:.8}"
    )
    pod = listed()["db-0"]
    del pod["metadata"]["annotations"]["ezpath.io/tenant"]
    endpoint = endpoint_of(pod, settings)
    assert endpoint is not None
    assert (endpoint.tenant, endpoint.host, endpoint.importance) == ("blue", "rack1-a", 7.0)
    assert endpoint.interface == pod["metadata"]["uid"][:8]


def test_given_tenants_of_namespaces_then_no_pod_says_otherwise() -> None:
    pod = listed()["db-0"]
    with pytest.raises(ValueError, match=r"it says that it is tenant red's, but its namespace is blue's"):
        endpoint_of(pod, KubernetesSettings(tenants={"shop": "blue"}))
    assert endpoint_of(pod, KubernetesSettings(tenants={"shop": "red"})) is not None
    assert endpoint_of(pod, KubernetesSettings(tenants={"another": "red"})) is None


@pytest.mark.parametrize("phase", ["Pending", "Succeeded", "Failed", "Unknown"])
def test_given_a_pod_that_does_not_run_then_it_is_no_endpoint(phase: str) -> None:
    pod = listed()["db-0"]
    assert endpoint_of({**pod, "status": {"phase": phase}}, SETTINGS) is None


def test_given_a_pod_of_no_tenant_or_on_the_hosts_network_then_it_is_no_endpoint() -> None:
    pods = listed()
    assert endpoint_of(pods["coredns-76f75df574-9q2lm"], SETTINGS) is None
    assert endpoint_of({**pods["db-0"], "spec": {**pods["db-0"]["spec"], "hostNetwork": True}}, SETTINGS) is None


WRONG = {
    "no MAC": (listed()["no-mac"], "nobody says its MAC address: neither the annotation k8s.ovn.org/pod-networks"),
    "no JSON": (annotated(listed()["no-mac"]) | {}, "is not JSON"),
    "importance": (annotated(listed()["db-0"], importance="high"), "importance 'high' is no number"),
    "MAC": (annotated(listed()["db-0"], mac="x", ip="10.0.0.1"), "mac 'x' is no MAC address"),
}
WRONG["no JSON"][0]["metadata"]["annotations"] = {"ezpath.io/tenant": "red", "k8s.ovn.org/pod-networks": "{"}


@pytest.mark.parametrize("mistake", WRONG)
def test_given_a_mistake_then_it_is_said_of_that_pod_alone(mistake: str) -> None:
    pod, words = WRONG[mistake]
    pods = Pods(SETTINGS)
    pods.enter("ADDED", listed()["web-6d4b75cb6d-x2x7p"])
    pods.enter("ADDED", pod)
    found = pods.found()
    assert len(found.endpoints) == 1
    (problem,) = found.problems
    assert problem.startswith(f"pod shop/{pod['metadata']['name']}: ") and words in problem


def test_given_names_that_are_no_names_of_ours_then_they_are_shortened_and_stay_different() -> None:
    assert name_of("shop", "web-0") == "shop-web-0"
    long, dotted = name_of("shop", "w" * 63), name_of("shop", "web.0")
    assert len(long) <= 63 and long.startswith("shop-www") and dotted.startswith("shop-web-0-")
    assert name_of("a", "b.c") != name_of("a-b", "c")


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_given_any_priorities_then_the_higher_is_no_less_important(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert 1 / 8 <= importance_of(low) <= importance_of(high) <= 8
    assert (importance_of(0), importance_of(1_000_000), importance_of(2_000_000_000)) == (1, 2, 8)


# ---- an API server, through the real client library ----------------------------------


def source(tmp_path: Path, url: str, **settings: Any) -> KubernetesSource:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(KUBECONFIG.format(url=url))
    return KubernetesSource("cluster", KubernetesSettings(kubeconfig=str(kubeconfig), **settings))


async def following(watch: AsyncIterator[Found], wanted: Iterable[str]) -> Found:
    """The first word that has these endpoints."""
    async with asyncio.timeout(30):
        async for found in watch:
            if {endpoint.name for endpoint in found.endpoints} == set(wanted):
                return found
    raise AssertionError("it ended")


async def test_given_a_cluster_then_pages_events_bookmarks_and_410_are_followed(tmp_path: Path) -> None:
    replay = KubernetesReplay(*lines("kubernetes/cluster.jsonl"))
    web, db, new = "shop-web-6d4b75cb6d-x2x7p", "shop-db-0", "shop-db-1"
    async with serving(replay) as url, aclosing(source(tmp_path, url).watch()) as watch:
        first = await anext(watch)
        # Two pages; kube-system is nobody's; one pod without an address is said.
        assert [endpoint.name for endpoint in first.endpoints] == [db, web]
        assert len(first.problems) == 1 and "pod shop/no-mac" in first.problems[0]
        # A pod is scheduled, gets its addresses, and only then runs.
        assert {e.name: e.host for e in (await following(watch, [db, web, new])).endpoints}[new] == "h22"
        # The watch ended with a bookmark, and goes on from there: db-0 is rescheduled under the same name.
        await following(watch, [web, new])
        moved = await following(watch, [db, web, new])
        assert {e.name: (e.host, e.mac) for e in moved.endpoints}[db] == ("h12", "0a:58:0a:f4:03:05")
        # 410 as an event of the watch, then as the answer to one: all is listed anew.
        await following(watch, [db, web])
        await following(watch, [db])
        # And the last watch goes on: nothing comes any more.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(watch), 0.5)
        replay.close()
    assert len(replay.requests) == 9 and not replay.unexpected


async def test_given_a_cluster_that_forbids_it_then_the_source_is_away_and_says_what_it_takes(tmp_path: Path) -> None:
    async with serving(KubernetesReplay(*lines("kubernetes/forbidden.jsonl"))) as url:
        with pytest.raises(SourceAway, match=r"403 pods is forbidden.*takes the verbs list and watch on pods"):
            await anext(source(tmp_path, url).watch())


# ---- an API server that was recorded --------------------------------------------------


def recorded() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What a server said to one who may watch pods, and to one who may not."""
    said = list(lines("kubernetes/traffic.jsonl"))
    refused = [line for line in said if line.get("status") == 403]
    return [line for line in said if line not in refused], refused


def test_what_was_recorded_is_all_that_a_server_can_say() -> None:
    said, refused = recorded()
    answers = [line["body"] for line in said if "body" in line]
    events = [event for line in said for event in line.get("watch", ())]
    assert any(answer["metadata"].get("continue") for answer in answers)
    assert {"ADDED", "MODIFIED", "DELETED", "BOOKMARK"} <= {event["type"] for event in events}
    codes = [body.get("code") for body in (*answers, *(event["object"] for event in events))]
    assert 410 in codes and len(refused) == 1


async def test_given_what_a_server_once_said_then_pods_are_followed_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given the pages of two pods that were asked for then
    monkeypatch.setattr("ezpath.inventory.sources.kubernetes.PAGE", 2)
    said, _ = recorded()
    said[-1] = {**said[-1], "open": True}
    replay = KubernetesReplay(*said)
    db, web, new = "shop-db-0", "shop-web-0", "shop-db-1"
    async with serving(replay) as url, aclosing(source(tmp_path, url, resync_s=12).watch()) as watch:
        # When it is asked, then there are those that have addresses, as the plug-ins say them
        first = await anext(watch)
        found = {each.name: (each.host, each.mac, each.ip, each.importance) for each in first.endpoints}
        assert found == {
            db: ("h11", "0a:58:0a:f4:00:05", "10.244.0.5", 2.0),
            web: ("h21", "0a:58:0a:f4:01:07", "10.244.1.7", 1.0),
        }
        assert len(first.problems) == 1 and "pod shop/no-mac" in first.problems[0]
        # Then one comes, one is gone and comes again elsewhere, one is missed while the server was away, one ends
        assert {e.name: e.host for e in (await following(watch, [db, web, new])).endpoints}[new] == "h22"
        await following(watch, [web, new])
        moved = await following(watch, [db, web, new])
        assert {e.name: (e.host, e.mac) for e in moved.endpoints}[db] == ("h12", "0a:58:0a:f4:03:05")
        await following(watch, [db, new])
        await following(watch, [db])
        replay.close()
    assert not replay.unexpected


async def test_given_what_a_server_said_to_a_stranger_then_it_says_what_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ezpath.inventory.sources.kubernetes.PAGE", 2)
    async with serving(KubernetesReplay(*recorded()[1])) as url:
        with pytest.raises(SourceAway, match=r"403 pods is forbidden: User .somebody.*takes the verbs list and watch"):
            await anext(source(tmp_path, url).watch())


async def test_given_nobody_there_or_no_kubeconfig_then_the_source_is_away(tmp_path: Path) -> None:
    with pytest.raises(SourceAway, match="the Kubernetes API does not answer"):
        await anext(source(tmp_path, "http://127.0.0.1:9").watch())
    with pytest.raises(SourceAway, match=r"no access to the cluster: .*Correct kubeconfig and context"):
        await anext(source(tmp_path, "http://127.0.0.1:9", context="another").watch())


async def test_given_a_namespace_and_labels_then_only_they_are_asked_for(tmp_path: Path) -> None:
    replay = KubernetesReplay(*lines("kubernetes/cluster.jsonl"))
    async with serving(replay) as url:
        watch = source(tmp_path, url, namespace="shop", selector="ezpath=yes").watch()
        await anext(watch)
        await watch.aclose()
    assert replay.requests[0].startswith("/api/v1/namespaces/shop/pods?")
    assert "labelSelector=ezpath" in replay.requests[0]


def test_given_no_client_library_then_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "kubernetes_asyncio", None)
    with pytest.raises(SourceAway, match="kubernetes-asyncio is not installed"):
        KubernetesSource("cluster", SETTINGS)
