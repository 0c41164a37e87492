"""The streams and the buckets that EZPath needs in NATS. Made by whoever comes first; all ask for the same.

Each has its limits, and each is on three servers where NATS is a cluster (docs/decisions/0042-cluster-and-leaves.md).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, BadRequestError, NotFoundError

from ezpath.events import (
    CONTROL_BUCKET,
    DESIRED_BUCKET,
    INVENTORY_BUCKET,
    LEASE_BUCKET,
    SAGA_BUCKET,
    STREAM,
    STREAM_SUBJECTS,
    WHY_STREAM,
    WHY_SUBJECT,
)

MAX_AGE_S = 24 * 3600.0
MAX_BYTES = 256 * 2**20
DEDUP_WINDOW_S = 120.0
"""A message id seen again within this time is not stored again, seconds."""
WHY_MAX_BYTES = 64 * 2**20
WHY_KEPT = 5
"""Accounts of each flow; the oldest of all go first where there are too many."""
REPLICAS = 3
"""In a cluster: what is on three servers outlives any one of them. A server by itself has no choice."""
NOT_CLUSTERED = 10074
"""JetStream's code for being asked for replicas where there is no cluster."""
BUCKETS = {
    SAGA_BUCKET: (5, 64 * 2**20),
    DESIRED_BUCKET: (1, 64 * 2**20),
    LEASE_BUCKET: (5, 64 * 2**20),
    CONTROL_BUCKET: (5, 64 * 2**20),
    INVENTORY_BUCKET: (1, 256 * 2**20),
}
"""How many values of a key are kept, and bytes in all."""


async def ensure(js: JetStreamContext) -> None:
    """Make what is missing; leave an operator's own limits alone. Raises nats-py's errors."""
    await _ensure_stream(js)
    await _ensure_accounts(js)
    for bucket in BUCKETS:
        await _ensure_bucket(js, bucket)


async def _ensure_stream(js: JetStreamContext) -> None:
    try:
        info = await js.stream_info(STREAM)
    except NotFoundError:
        await _create_stream(js)
        return
    missing = set(STREAM_SUBJECTS) - set(info.config.subjects or ())
    if missing:
        info.config.subjects = sorted({*(info.config.subjects or ()), *STREAM_SUBJECTS})
        await js.update_stream(info.config)
        structlog.get_logger().info("stream widened", stream=STREAM, subjects=sorted(missing))


async def _create_stream(js: JetStreamContext) -> None:
    config = api.StreamConfig(
        name=STREAM,
        description="EZPath: decisions, commands, reports, saga steps and outcomes, dead letters",
        subjects=list(STREAM_SUBJECTS),
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.OLD,
        max_age=MAX_AGE_S,
        max_bytes=MAX_BYTES,
        duplicate_window=DEDUP_WINDOW_S,
    )
    await _make(js, STREAM, lambda replicas: js.add_stream(config, num_replicas=replicas))


async def _ensure_accounts(js: JetStreamContext) -> None:
    """A stream apart: however much there is to explain, it takes no room from commands."""
    try:
        await js.stream_info(WHY_STREAM)
        return
    except NotFoundError:
        pass
    config = api.StreamConfig(
        name=WHY_STREAM,
        description="EZPath: why flows are where they are, the last answers of each",
        subjects=[f"{WHY_SUBJECT}.>"],
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.OLD,
        max_msgs_per_subject=WHY_KEPT,
        max_bytes=WHY_MAX_BYTES,
        max_age=MAX_AGE_S,
    )
    await _make(js, WHY_STREAM, lambda replicas: js.add_stream(config, num_replicas=replicas))


async def _ensure_bucket(js: JetStreamContext, bucket: str) -> None:
    try:
        await js.stream_info(f"KV_{bucket}")
        return
    except NotFoundError:
        pass
    history, max_bytes = BUCKETS[bucket]
    config = api.KeyValueConfig(bucket, history=history, storage=api.StorageType.FILE, max_bytes=max_bytes)
    await _make(js, f"KV_{bucket}", lambda replicas: js.create_key_value(config, replicas=replicas))


async def _make(js: JetStreamContext, stream: str, create: Callable[[int], Awaitable[object]]) -> None:
    """On as many servers as it takes. Another service may be faster: what it made is good if it is there."""
    try:
        try:
            await create(REPLICAS)
        except APIError as error:
            if error.err_code != NOT_CLUSTERED:
                raise
            await create(1)
    except BadRequestError:
        await js.stream_info(stream)
