"""Record what a Kubernetes API server says to the source that watches its pods.

PYTHONPATH=tests .venv/bin/python tests/recorded/kubernetes/record.py --apiserver kube-apiserver --etcd etcd

Both are started on 127.0.0.1 and ended again. There is no kubelet and no scheduler: what they would say of a pod, its
node and its status, is said to the API server by this program, and so are the annotations of OVN-Kubernetes and Multus.
Each line of traffic.jsonl is a request's query and what the server answered: a body, or the lines of a watch; and a
line before says what was done meanwhile. The source is the real one, with pages of two pods.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from ezpath.inventory.sources import Found, SourceAway, kubernetes
from ezpath.inventory.sources.kubernetes_pods import KubernetesSettings

OUT = Path(__file__).with_name("traffic.jsonl")
RESYNC_S = 12
PAGE = 2
KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{{name: c, cluster: {{server: "{url}"}}}}]
users: [{{name: u, user: {{token: {token}}}}}]
contexts: [{{name: lab, context: {{cluster: c, user: u}}}}]
current-context: lab
"""
TOKENS = 'whole,admin,1,"system:masters"\nnone,somebody,2\n'
OVN = "k8s.ovn.org/pod-networks"
MULTUS = "k8s.v1.cni.cncf.io/network-status"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Cluster:
    """etcd and an API server, in ``directory``."""

    def __init__(self, apiserver: str, etcd: str, directory: Path) -> None:
        self._binary, self._directory = apiserver, directory
        self._store, self._port = f"http://127.0.0.1:{free_port()}", free_port()
        self.url = f"https://127.0.0.1:{self._port}"
        key = directory / "key.pem"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        (directory / "tokens.csv").write_text(TOKENS)
        peer = f"http://127.0.0.1:{free_port()}"
        self._etcd = self._start(
            *(etcd, "--data-dir", str(directory / "etcd"), "--listen-client-urls", self._store),
            *("--advertise-client-urls", self._store, "--listen-peer-urls", peer),
            *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
        )
        self.start()

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._directory / f"{Path(command[0]).name}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def start(self) -> None:
        key = str(self._directory / "key.pem")
        self._server = self._start(
            *(self._binary, "--etcd-servers", self._store, "--cert-dir", str(self._directory / "certs")),
            *("--bind-address", "127.0.0.1", "--secure-port", str(self._port), "--authorization-mode", "RBAC"),
            *("--token-auth-file", str(self._directory / "tokens.csv"), "--service-cluster-ip-range", "10.96.0.0/16"),
            *("--service-account-issuer", "https://kubernetes.default", "--service-account-key-file", key),
            *("--service-account-signing-key-file", key, "--disable-admission-plugins", "ServiceAccount"),
        )

    def stop(self) -> None:
        self._server.terminate()
        self._server.wait()

    def end(self) -> None:
        self.stop()
        self._etcd.terminate()
        self._etcd.wait()


class Admin:
    """Who does what a scheduler, a kubelet and a person would do."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        headers = {"Authorization": "Bearer whole", "Content-Type": kind}
        data = None if body is None else json.dumps(body)
        async with self._session.request(method, self._url + path, data=data, headers=headers, ssl=False) as response:
            said = await response.text()
            assert response.status < 400, said
            return json.loads(said)

    async def until_ready(self) -> None:
        async with asyncio.timeout(60):
            while True:
                with suppress(aiohttp.ClientError, AssertionError):
                    # Made by the server itself, a moment after it says that it is ready.
                    await self.call("GET", "/api/v1/namespaces/default")
                    await self.call("GET", "/apis/scheduling.k8s.io/v1/priorityclasses/system-cluster-critical")
                    return
                await asyncio.sleep(0.2)

    async def pod(
        self, name: str, node: str = "", priority: str = "", namespace: str = "shop", **annotations: str
    ) -> None:
        spec: dict[str, Any] = {"containers": [{"name": "main", "image": "example/main:1"}]}
        spec |= ({"nodeName": node} if node else {}) | ({"priorityClassName": priority} if priority else {})
        labels = {"app.kubernetes.io/component": "database"} if name.startswith("db") else {}
        told = {key.replace("__", "/").replace("_", "."): text for key, text in annotations.items()}
        pod = {"metadata": {"name": name, "labels": labels, "annotations": told}, "spec": spec}
        await self.call("POST", f"/api/v1/namespaces/{namespace}/pods", pod)

    async def bind(self, name: str, node: str) -> None:
        body = {"metadata": {"name": name}, "target": {"kind": "Node", "name": node}}
        await self.call("POST", f"/api/v1/namespaces/shop/pods/{name}/binding", body)

    async def annotate(self, name: str, **annotations: str) -> None:
        await self._patch(name, "", {"metadata": {"annotations": annotations}})

    async def runs(self, name: str, ip: str, namespace: str = "shop") -> None:
        status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "hostIP": "10.1.1.1"}
        await self._patch(name, "/status", {"status": status}, namespace)

    async def ends(self, name: str) -> None:
        await self._patch(name, "/status", {"status": {"phase": "Succeeded"}})

    async def _patch(self, name: str, what: str, body: Any, namespace: str = "shop") -> None:
        path = f"/api/v1/namespaces/{namespace}/pods/{name}{what}"
        await self.call("PATCH", path, body, "application/merge-patch+json")

    async def delete(self, name: str) -> None:
        await self.call("DELETE", f"/api/v1/namespaces/shop/pods/{name}", {"gracePeriodSeconds": 0})


def ovn(ip: str, mac: str) -> str:
    """As OVN-Kubernetes writes it."""
    return json.dumps({"default": {"ip_addresses": [f"{ip}/24"], "mac_address": mac, "ip_address": f"{ip}/24"}})


def multus(ip: str, mac: str) -> str:
    """As Multus writes it."""
    return json.dumps([{"name": "cbr0", "interface": "eth0", "ips": [ip], "mac": mac, "default": True, "dns": {}}])


class Recorder:
    """Stands between the source and the server, and writes down what passes. Credentials are not written down."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.lines: list[dict[str, Any]] = []
        self.may_pass = asyncio.Event()
        self.may_pass.set()
        self._session, self._url = session, url

    async def handle(self, request: web.Request) -> web.StreamResponse:
        await self.may_pass.wait()
        line: dict[str, Any] = {"path": request.path, "expect": dict(request.query)}
        self.lines.append(line)
        headers = {"Authorization": request.headers["Authorization"]}
        async with self._session.get(f"{self._url}{request.path_qs}", headers=headers, ssl=False) as answer:
            line["status"] = answer.status
            if not request.query.get("watch") or answer.status != 200:
                line["body"] = await answer.json()
                return web.json_response(line["body"], status=answer.status)
            line["watch"] = []
            response = web.StreamResponse(headers={"Content-Type": answer.headers["Content-Type"]})
            await response.prepare(request)
            with suppress(aiohttp.ClientError, ConnectionError):
                async for data in answer.content:
                    line["watch"].append(json.loads(data))
                    await response.write(data)
            return response


@asynccontextmanager
async def listening(recorder: Recorder) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/{path:.*}", recorder.handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def prepare(admin: Admin) -> None:
    await admin.until_ready()
    await admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
    gold = {"metadata": {"name": "gold"}, "value": 1_000_000}
    await admin.call("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", gold)
    with suppress(AssertionError):  # the server makes it in its own time
        await admin.call("POST", "/api/v1/namespaces", {"metadata": {"name": "kube-system"}})
    await admin.pod("coredns", "h21.dc.example", "system-cluster-critical", "kube-system")
    await admin.runs("coredns", "10.244.1.2", "kube-system")
    tenant = {"ezpath_io__tenant": "red"}
    await admin.pod("db-0", "h11.dc.example", "gold", **tenant)
    await admin.annotate("db-0", **{OVN: ovn("10.244.0.5", "0a:58:0a:f4:00:05")})
    await admin.runs("db-0", "10.244.0.5")
    await admin.pod("web-0", "h21.dc.example", **tenant)
    await admin.annotate("web-0", **{MULTUS: multus("10.244.1.7", "0a:58:0a:f4:01:07")})
    await admin.runs("web-0", "10.244.1.7")
    await admin.pod("no-mac", "h11.dc.example", **tenant)
    await admin.runs("no-mac", "10.244.0.9")


async def record(cluster: Cluster, directory: Path) -> list[dict[str, Any]]:
    kubernetes.PAGE = PAGE
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        admin = Admin(session, cluster.url)
        await prepare(admin)
        version = await admin.call("GET", "/version")
        recorder = Recorder(session, cluster.url)
        recorder.lines.append({"server": {key: version[key] for key in ("gitVersion", "major", "minor")}})
        async with listening(recorder) as url:
            told: list[Found] = []

            async def follow(token: str) -> None:
                kubeconfig = directory / f"kubeconfig-{token}"
                kubeconfig.write_text(KUBECONFIG.format(url=url, token=token))
                settings = KubernetesSettings(kubeconfig=str(kubeconfig), resync_s=RESYNC_S)
                async for found in kubernetes.KubernetesSource("cluster", settings).watch():
                    told.append(found)

            following = asyncio.create_task(follow("whole"))
            await scenes(cluster, admin, recorder, told)
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            recorder.lines.append({"done": "somebody asks who may not"})
            with suppress(SourceAway):
                await follow("none")
        return recorder.lines


async def scenes(cluster: Cluster, admin: Admin, recorder: Recorder, told: list[Found]) -> None:
    def done(what: str) -> None:
        recorder.lines.append({"done": what})

    async def settled(names: str) -> None:
        async with asyncio.timeout(60):
            while not told or {each.name for each in told[-1].endpoints} != set(names.split()):  # noqa: ASYNC110 - it tells nobody else
                await asyncio.sleep(0.1)

    async def next_watch() -> None:
        count = len(recorder.lines)
        async with asyncio.timeout(3 * RESYNC_S):
            while not any("watch" in line.get("expect", ()) for line in recorder.lines[count:]):  # noqa: ASYNC110
                await asyncio.sleep(0.1)

    await settled("shop-db-0 shop-web-0")
    done("db-1 is made, scheduled, annotated, and runs")
    await admin.pod("db-1", **{"ezpath_io__tenant": "red"})
    await admin.bind("db-1", "h22.dc.example")
    await admin.annotate("db-1", **{OVN: ovn("10.244.4.5", "0a:58:0a:f4:04:05")})
    await admin.runs("db-1", "10.244.4.5")
    await settled("shop-db-0 shop-web-0 shop-db-1")
    await next_watch()
    done("db-0 is deleted, and comes again on another node")
    await admin.delete("db-0")
    await settled("shop-web-0 shop-db-1")
    await admin.pod("db-0", "h12.dc.example", "gold", **{"ezpath_io__tenant": "red"})
    await admin.annotate("db-0", **{OVN: ovn("10.244.3.5", "0a:58:0a:f4:03:05")})
    await admin.runs("db-0", "10.244.3.5")
    await settled("shop-db-0 shop-web-0 shop-db-1")
    done("the server is restarted between two watches, and web-0 deleted: what was watched from is no longer kept")
    recorder.may_pass.clear()
    await asyncio.sleep(RESYNC_S + 2)
    cluster.stop()
    cluster.start()
    await admin.until_ready()
    await admin.delete("web-0")
    cluster.stop()
    cluster.start()
    await admin.until_ready()
    recorder.may_pass.set()
    await settled("shop-db-0 shop-db-1")
    done("db-1 has run to its end")
    await admin.ends("db-1")
    await settled("shop-db-0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--apiserver", required=True)
    parser.add_argument("--etcd", required=True)
    arguments = parser.parse_args()
    os.environ.pop("KUBECONFIG", None)
    with tempfile.TemporaryDirectory() as directory:
        cluster = Cluster(arguments.apiserver, arguments.etcd, Path(directory))
        try:
            lines = asyncio.run(record(cluster, Path(directory)))
        finally:
            cluster.end()
    OUT.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


if __name__ == "__main__":
    main()
