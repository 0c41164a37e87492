"""A Kubernetes cluster's pods: listed page by page, then watched from there.

Needs the package ``kubernetes-asyncio`` (``pip install kubernetes-asyncio``). It is imported when a source of this
kind is opened. Pods are taken as the API's JSON: turning each into the library's objects takes a millisecond.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel

from ezpath.inventory.sources.kubernetes_pods import KubernetesSettings, Pods
from ezpath.inventory.sources.source import Found, SourceAway

if TYPE_CHECKING:
    from kubernetes_asyncio.client import ApiClient

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
PAGE = 500
ANSWER_S = 30.0
GONE = 410
"""HTTP status: the resource version that was asked for is no longer kept. All is listed anew."""
PAUSE_S = 0.1
"""Between two watches: a server that ends each at once is not asked without end."""


class KubernetesSource:
    """See :class:`~ezpath.inventory.sources.Source`."""

    Settings: ClassVar[type[BaseModel]] = KubernetesSettings

    def __init__(self, name: str, settings: KubernetesSettings) -> None:
        self._settings = settings
        try:
            import aiohttp
            import kubernetes_asyncio
        except ImportError:
            raise SourceAway(
                f"source {name}: the package kubernetes-asyncio is not installed. pip install kubernetes-asyncio"
            ) from None
        self._library = kubernetes_asyncio
        self._in_cluster = not settings.kubeconfig and SERVICE_ACCOUNT.exists()
        self._errors = (aiohttp.ClientError, OSError, TimeoutError)
        self._about: dict[str, str] = {"label_selector": settings.selector} if settings.selector else {}

    async def watch(self) -> AsyncIterator[Found]:
        """All pods, whenever they may have changed."""
        refused = self._library.client.ApiException
        try:
            async with await self._client() as api:
                while True:
                    pods, version = await self._list(api)
                    yield pods.found()
                    try:
                        async for news in self._watched(api, pods, version):
                            yield news
                    except refused as error:
                        if error.status != GONE:
                            raise
                        await asyncio.sleep(PAUSE_S)
        except self._library.config.ConfigException as error:
            raise SourceAway(f"no access to the cluster: {error}. Correct kubeconfig and context") from None
        except refused as error:
            raise SourceAway(
                f"the Kubernetes API refused to list or watch pods: {error.status} {error.reason}. "
                "It takes the verbs list and watch on pods"
            ) from None
        except self._errors as error:
            raise SourceAway(f"the Kubernetes API does not answer: {error or type(error).__name__}") from None

    async def _client(self) -> ApiClient:
        settings, config = self._settings, self._library.config
        if self._in_cluster:
            config.load_incluster_config()
            return self._library.client.ApiClient()
        client: ApiClient = await config.new_client_from_config(
            config_file=settings.kubeconfig or None, context=settings.context or None
        )
        return client

    async def _list(self, api: ApiClient) -> tuple[Pods, str]:
        """All pods, and the resource version from which on to watch."""
        pods = Pods(self._settings)
        page: dict[str, Any] = {"limit": PAGE}
        while True:
            response = await self._call(api)(**self._about, **page, _preload_content=False, _request_timeout=ANSWER_S)
            body = await response.read()
            if response.status >= 400:
                raise self._library.client.ApiException(status=response.status, reason=_message(body))
            answer = json.loads(body)
            for pod in answer["items"]:
                pods.enter("ADDED", pod)
            page["_continue"] = answer["metadata"].get("continue")
            if not page["_continue"]:
                return pods, answer["metadata"]["resourceVersion"]

    async def _watched(self, api: ApiClient, pods: Pods, version: str) -> AsyncIterator[Found]:
        """After each change. Raises ApiException with :data:`GONE` where all must be listed anew."""
        while True:
            watch = self._library.watch.Watch(return_type="object")
            async with watch.stream(
                self._call(api),
                **self._about,
                resource_version=version,
                allow_watch_bookmarks=True,
                timeout_seconds=self._settings.resync_s,
                _request_timeout=self._settings.resync_s + ANSWER_S,
            ) as events:
                async for event in events:
                    if not isinstance(event, dict):
                        raise SourceAway(f"the Kubernetes API tells of no events but {str(event)[:200]!r}")
                    if pods.enter(event["type"], event["raw_object"]):
                        yield pods.found()
            version = watch.resource_version or version
            await asyncio.sleep(PAUSE_S)

    def _call(self, api: ApiClient) -> Any:
        core = self._library.client.CoreV1Api(api)
        if self._settings.namespace:
            return partial(core.list_namespaced_pod, self._settings.namespace)
        return core.list_pod_for_all_namespaces


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
