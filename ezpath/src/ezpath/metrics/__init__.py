"""What Prometheus reads of a service: the server, and the sets of metrics that services share.

Adapter. Collector and decider have a ``metrics.py`` of their own beside these. A set belongs to a registry
that is handed in; nothing here is global, so that a test has its own.
"""

from ezpath.metrics.exposition import CannotListen, address_of, expose
from ezpath.metrics.service import ServiceMetrics
from ezpath.metrics.writer import WriterMetrics

__all__ = ["CannotListen", "ServiceMetrics", "WriterMetrics", "address_of", "expose"]
