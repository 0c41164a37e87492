"""Headers that tie the messages of one saga together. Pure."""

from __future__ import annotations

import hashlib

MSG_ID = "Nats-Msg-Id"
CORRELATION = "Ezpath-Correlation-Id"
TRACEPARENT = "traceparent"


def traceparent(correlation: str, msg_id: str) -> str:
    """W3C Trace Context: the trace is the correlation's, the span the message's, both derived, none drawn.

    So every service gives one saga the same trace id without telling the others, and a repeated message is the
    same span.
    """
    trace_id = hashlib.sha256(correlation.encode()).hexdigest()[:32]
    span_id = hashlib.sha256(f"{correlation}/{msg_id}".encode()).hexdigest()[:16]
    return f"00-{trace_id}-{span_id}-01"


def headers(msg_id: str, correlation: str | None) -> dict[str, str]:
    """The headers of one message."""
    result = {MSG_ID: msg_id}
    if correlation:
        result[CORRELATION] = correlation
        result[TRACEPARENT] = traceparent(correlation, msg_id)
    return result
