"""Log lines of the worker: JSON on standard error, or coloured words for people."""

from __future__ import annotations

import logging
import sys

import structlog
from structlog.typing import EventDict, Processor


def set_up(level: str, log_format: str, **bound: str) -> None:
    """Sends the lines of structlog and of the standard library one way; `bound` stands in every one of ours."""

    def bind(_logger: object, _method: str, line: EventDict) -> EventDict:
        """Not by context variables: those of one thread are not those of another."""
        return {**bound, **line}

    shared: list[Processor] = [
        bind,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: Processor = (
        structlog.dev.ConsoleRenderer() if log_format == "console" else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # kombu and celery tell of every reconnect and every task; what matters of that is told here
    for name in ("kombu", "celery", "amqp"):
        logging.getLogger(name).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
