"""What a service says about itself: structured logs on stderr, one line an event.

JSON where stderr is no terminal (containers, the lab's log files), coloured text where somebody is looking.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import Literal, TextIO

import structlog
from structlog.typing import Processor

EOF_ON_TLS = "returning true from eof_received()"
"""asyncio's word, at the end of each connection with TLS, on something that nats-py does and nobody can change."""
LogLevel = Literal["debug", "info", "warning", "error"]
LOG_LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error")


def configure_logging(level: LogLevel = "info", stream: TextIO | None = None) -> None:
    """Send structlog's and the standard library's records to ``stream`` (stderr by default) in one format.

    Libraries' own records are kept to warnings unless ``level`` is ``debug``. NO_COLOR is honoured.
    """
    target = stream if stream is not None else sys.stderr
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    human = target.isatty()
    final: list[Processor] = (
        [structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in os.environ)]
        if human
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(target)
    handler.addFilter(lambda record: EOF_ON_TLS not in str(record.msg))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    structlog.configure(
        processors=[*shared, *final],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=target),
        cache_logger_on_first_use=False,
    )
