"""From a pod, as the Kubernetes API describes it, to an endpoint. Pure.

A pod is an endpoint where it has the annotation ``ezpath.io/tenant``, or where the source's settings give its namespace
to a tenant. What else is to be known comes from annotations of ours, or from those that the network plug-in left.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import Field

from ezpath.inventory.document import NAME, Document, EndpointConfig, Name, Text, WeightField
from ezpath.inventory.sources.source import Found, Mistake, SourceSettings, endpoint_from, unknown, weight

Pod = Mapping[str, Any]
"""``v1.Pod``, as JSON."""
OVN = "k8s.ovn.org/pod-networks"
MULTUS = "k8s.v1.cni.cncf.io/network-status"
PRIORITY_DOUBLES = 1_000_000
LEAST, MOST = 1 / 8, 8.0


class KubernetesSettings(SourceSettings):
    """What may stand under a source of kind ``kubernetes``."""

    kubeconfig: str = ""
    """A kubeconfig file. Without one, the pod's own service account where there is one, else ``~/.kube/config``."""
    context: str = ""
    """Of the kubeconfig; its current one by default."""
    namespace: str = ""
    """Only this one; all by default."""
    selector: str = ""
    """Only pods with these labels, such as ``ezpath=yes``."""
    annotations: str = "ezpath.io/"
    """What our annotations begin with."""
    tenants: dict[str, Name] = Field(default={})
    """Namespace to tenant. Where it is given, only these namespaces count, and no pod's annotation says otherwise."""
    hosts: dict[str, Name] = Field(default={})
    """Node to host of the inventory, where they have other names. A node's name counts up to its first dot."""
    importance: dict[str, WeightField] = Field(default={})
    """Of priority classes by name; for others it follows from the pod's priority."""
    kind_label: str = "app.kubernetes.io/component"
    """The pod label that says what kind of application it is, where no annotation does."""
    interface: Text = "{namespace}_{name}"
    """The pod's interface in Open vSwitch, or its iface-id, where no annotation says it. As OVN-Kubernetes has it."""
    resync_s: int = Field(default=300, ge=1)
    """A watch is made anew after so long: one that hangs is noticed by that."""

    def contradictions(self, document: Document) -> Iterator[Mistake]:
        yield from unknown("tenant", {f"tenants/{key}": name for key, name in self.tenants.items()}, document.tenants)
        yield from unknown("host", {f"hosts/{key}": name for key, name in self.hosts.items()}, document.hosts)


class Pods:
    """All pods that were told of, each as what it means to us."""

    def __init__(self, settings: KubernetesSettings) -> None:
        self._settings = settings
        self._known: dict[str, EndpointConfig | str] = {}
        """By namespace and name: an endpoint, or why it is none though it is meant to be."""

    def enter(self, event: str, pod: Pod) -> bool:
        """A watch event: ADDED, MODIFIED, DELETED; a BOOKMARK says nothing of pods. True where it changes anything."""
        if event not in ("ADDED", "MODIFIED", "DELETED"):
            return False
        key, now = key_of(pod), None if event == "DELETED" else self._meaning(pod)
        before = self._known.pop(key, None)
        if now is not None:
            self._known[key] = now
        return before != now

    def found(self) -> Found:
        """In the order of their names."""
        known = [self._known[key] for key in sorted(self._known)]
        return Found(
            tuple(each for each in known if isinstance(each, EndpointConfig)),
            tuple(each for each in known if isinstance(each, str)),
        )

    def _meaning(self, pod: Pod) -> EndpointConfig | str | None:
        try:
            return endpoint_of(pod, self._settings)
        except ValueError as error:
            return f"pod {key_of(pod)}: {error}"


def key_of(pod: Pod) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def endpoint_of(pod: Pod, settings: KubernetesSettings) -> EndpointConfig | None:
    """None where ``pod`` is not meant to be an endpoint, or not yet, or no longer.

    Raises ValueError saying what is missing or wrong, and what to do.
    """
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    annotations: Mapping[str, str] = meta.get("annotations") or {}
    prefix = settings.annotations
    said = {key.removeprefix(prefix): text for key, text in annotations.items() if key.startswith(prefix)}
    tenant = settings.tenants.get(meta["namespace"]) if settings.tenants else said.get("tenant")
    if tenant is None or status.get("phase") != "Running" or spec.get("hostNetwork"):
        return None
    if said.get("tenant", tenant) != tenant:
        raise ValueError(
            f"it says that it is tenant {said['tenant']}'s, but its namespace is {tenant}'s. "
            f"Correct {prefix}tenant, or the source's tenants"
        )
    network = {} if {"mac", "ip"} <= said.keys() else _network(annotations)
    mac, ip = said.get("mac") or network.get("mac"), said.get("ip") or network.get("ip") or status.get("podIP")
    if not mac:
        raise ValueError(
            f"nobody says its MAC address: neither the annotation {OVN} nor {MULTUS}. Say it with {prefix}mac"
        )
    node = spec["nodeName"]
    return endpoint_from(
        {
            "name": said.get("name") or name_of(meta["namespace"], meta["name"]),
            "tenant": tenant,
            "mac": mac,
            "ip": ip,
            "host": settings.hosts.get(node) or node.partition(".")[0],
            "interface": said.get("interface")
            or settings.interface.format(namespace=meta["namespace"], name=meta["name"], uid=meta.get("uid", "")),
            "importance": weight(said.get("importance")) or _importance(spec, settings),
            "kind": said.get("kind") or (meta.get("labels") or {}).get(settings.kind_label),
        }
    )


def name_of(namespace: str, pod: str) -> str:
    """``shop-web-0`` for pod web-0 of namespace shop; shortened, with a digest, where that is too long or has dots."""
    name = f"{namespace}-{pod}"
    if re.match(NAME, name):
        return name
    digest = hashlib.sha256(f"{namespace}/{pod}".encode()).hexdigest()[:10]
    return f"{re.sub('[^a-z0-9]+', '-', name)[:50].strip('-')}-{digest}"


def importance_of(priority: int) -> float:
    """A pod's priority as an importance: 1 at 0, twice as much for each million more, from an eighth to eight.

    PriorityClasses that people make are seldom beyond a few millions; the system's own, at two thousand millions, get
    the most.
    """
    return float(min(MOST, max(LEAST, 2.0 ** (max(-10_000_000, min(10_000_000, priority)) / PRIORITY_DOUBLES))))


def _importance(spec: Mapping[str, Any], settings: KubernetesSettings) -> float:
    named = settings.importance.get(spec.get("priorityClassName") or "")
    return named if named is not None else importance_of(spec.get("priority") or 0)


def _network(annotations: Mapping[str, str]) -> Mapping[str, str]:
    """MAC and IP address as the network plug-in noted them: OVN-Kubernetes, or Multus for any. Raises ValueError."""
    if OVN in annotations:
        networks = _json(OVN, annotations[OVN])
        default = networks.get("default") if isinstance(networks, dict) else None
        if isinstance(default, dict):
            addresses = default.get("ip_addresses") or [default.get("ip_address") or ""]
            return _address(default.get("mac_address"), addresses)
    if MULTUS in annotations:
        networks = _json(MULTUS, annotations[MULTUS])
        listed = [each for each in networks if isinstance(each, dict)] if isinstance(networks, list) else []
        for network in sorted(listed, key=lambda each: not each.get("default")):
            if network.get("mac"):
                return _address(network["mac"], network.get("ips") or [])
    return {}


def _address(mac: Any, addresses: Iterable[Any]) -> Mapping[str, str]:
    """The first IPv4 address among ``addresses``, whose prefix length is left out."""
    v4 = (str(address).partition("/")[0] for address in addresses if "." in str(address))
    return {"mac": str(mac or ""), "ip": next(v4, "")}


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"its annotation {name} is not JSON. Correct it, or say mac and ip with ours") from None
