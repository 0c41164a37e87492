"""Spans to an OpenTelemetry collector, over OTLP: the one place that knows OpenTelemetry, imported where traces are on.

Its exporter batches, retries and drops in a thread of its own: nobody waits for whoever collects traces. The standard
variables hold (OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_BSP_MAX_QUEUE_SIZE, …).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ezpath.tracing.spans import Span, spans_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from ezpath.bus import Saying

PATH = "/v1/traces"
SEND_EVERY_MS = 250.0
"""OpenTelemetry's own is 5 s: that much would be lost with a service that is killed."""
CLOSE_S = 3.0
"""How long the last spans may take to be sent when a service stops, seconds."""


class CannotTrace(ValueError):
    """``--traces`` cannot be heeded; the message says why and what to do."""


class Tracer:
    """Takes spans, and sends them some time."""

    def __init__(self, take: Callable[[Span], None], close: Callable[[], None]) -> None:
        self._take = take
        self._close = close

    def said(self, sayings: Iterable[Saying]) -> None:
        """For :attr:`ezpath.bus.Bus.on_said`. Returns at once."""
        now = time.time()
        for saying in sayings:
            for span in spans_of(saying.event, now, saying.exchange):
                self._take(span)

    def close(self) -> None:
        """Send what is left, within :data:`CLOSE_S`."""
        closing = threading.Thread(target=self._close, daemon=True, name="traces-close")
        closing.start()
        closing.join(CLOSE_S)


def tracer(url: str, service: str, instance: str, version: str) -> Tracer:
    """One that sends to ``url``, in the name of ``service``. Raises :class:`CannotTrace`."""
    endpoint = _endpoint(url)
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise CannotTrace(
            f"--traces {url}: {error}. Install OpenTelemetry's exporter: pip install 'ezpath[traces]'"
        ) from None
    who = {"service.name": f"ezpath-{service}", "service.instance.id": instance, "service.version": version}
    resource = Resource.create(who)
    delay = None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else SEND_EVERY_MS
    processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint), schedule_delay_millis=delay)
    return Tracer(lambda span: processor.on_end(_readable(span, resource)), processor.shutdown)


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CannotTrace(f"--traces {url}: is no address of a collector. Give one such as http://127.0.0.1:4318")
    return url if parts.path.strip("/") else f"{url.rstrip('/')}{PATH}"


def _readable(span: Span, resource: object) -> ReadableSpan:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    def context(span_id: str, elsewhere: bool) -> SpanContext:
        return SpanContext(int(span.trace_id, 16), int(span_id, 16), elsewhere, TraceFlags(TraceFlags.SAMPLED))

    return ReadableSpan(
        span.name,
        context(span.span_id, False),
        context(span.parent_id, True) if span.parent_id else None,
        resource,  # type: ignore[arg-type]
        dict(span.attributes),
        kind=SpanKind[span.kind.upper()],
        status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
        start_time=int(span.began_at * 1e9),
        end_time=int(max(span.began_at, span.ended_at) * 1e9),
        instrumentation_scope=InstrumentationScope("ezpath"),
    )
