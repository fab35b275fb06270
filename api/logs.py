"""Structured logs: one line an event, the request's id on each, and no secret on any."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any, Literal

import structlog

SECRET_NAMES = re.compile(r"authorization|password|secret|token|cookie|api_?key|admin_?key", re.IGNORECASE)
SECRET_VALUES = re.compile(r"\bnm_[A-Za-z0-9_-]{8,}|(?<=://)[^/@\s]*:[^/@\s]+(?=@)")
# without one of these a text holds no such value; to look for them takes a tenth of what the expression takes
SIGNS = ("nm_", "://")
HIDDEN = "[hidden]"


def hide(value: Any) -> Any:
    """The value with everything in it that looks like a key or a password in a URL replaced."""
    if isinstance(value, str):
        return SECRET_VALUES.sub(HIDDEN, value) if any(sign in value for sign in SIGNS) else value
    if isinstance(value, dict):
        return {key: HIDDEN if is_secret(str(key)) else hide(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hide(item) for item in value]
    return value


@lru_cache(maxsize=1024)
def is_secret(name: str) -> bool:
    """True for names that passwords, tokens and keys are passed by."""
    return SECRET_NAMES.search(name) is not None


def without_secrets(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last processor before a line is written, so that tracebacks are seen by it too."""
    return dict(hide(dict(event)))


def configure(level: str, form: Literal["json", "console"]) -> None:
    """Sends structlog and the standard library's logging through one formatter to stderr; for entry points."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        without_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers[:] = []
        logging.getLogger(name).propagate = name != "uvicorn.access"
