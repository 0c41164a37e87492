"""Headers that tie the messages of one saga together. Pure."""

from __future__ import annotations

from ezpath.tracing.spans import span_id, trace_id

MSG_ID = "Nats-Msg-Id"
CORRELATION = "Ezpath-Correlation-Id"
TRACEPARENT = "traceparent"


def traceparent(correlation: str) -> str:
    """W3C Trace Context: the correlation's trace and its root (:mod:`ezpath.tracing.spans`), derived, not drawn.

    For whoever listens from outside and traces on: services work both out themselves.
    """
    return f"00-{trace_id(correlation)}-{span_id(correlation, 'requested')}-01"


def headers(msg_id: str, correlation: str | None) -> dict[str, str]:
    """The headers of one message."""
    result = {MSG_ID: msg_id}
    if correlation:
        result[CORRELATION] = correlation
        result[TRACEPARENT] = traceparent(correlation)
    return result
