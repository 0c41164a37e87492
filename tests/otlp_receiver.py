"""An OpenTelemetry collector in small: takes OTLP over HTTP on loopback, and keeps the spans of each trace."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True)
class Received:
    """One span, as it came over the wire."""

    service: str
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    began_at: float
    ended_at: float
    error: str | None
    attributes: dict[str, Any]


class Receiver:
    """What came in, by span id: what is said twice is one."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: dict[str, Received] = {}

    def named(self, name: str, saga: str) -> list[Received]:
        return [span for span in self.of(saga) if span.name == name]

    def of(self, saga: str) -> list[Received]:
        """The spans that say they are of ``saga``, the earliest first."""
        found = [span for span in self.spans.values() if span.attributes["ezpath.saga"] == saga]
        return sorted(found, key=lambda span: span.began_at)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            who = {each.key: each.value.string_value for each in resource.resource.attributes}
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                self.spans[span.span_id.hex()] = Received(
                    who["service.name"],
                    span.trace_id.hex(),
                    span.span_id.hex(),
                    span.parent_span_id.hex(),
                    span.name,
                    span.start_time_unix_nano / 1e9,
                    span.end_time_unix_nano / 1e9,
                    span.status.message if span.status.code == Status.STATUS_CODE_ERROR else None,
                    {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes},
                )


@contextmanager
def receiving() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
