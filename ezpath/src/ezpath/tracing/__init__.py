"""One OpenTelemetry trace for each offload, made from what services say anyway; off unless ``--traces`` names a place.

``spans`` says which spans an event is worth (pure); ``export`` sends them (OpenTelemetry's own exporter).
"""

from __future__ import annotations

from ezpath.tracing.export import CannotTrace, Tracer, tracer
from ezpath.tracing.spans import Exchange, Span, spans_of

__all__ = ["CannotTrace", "Exchange", "Span", "Tracer", "spans_of", "tracer"]
