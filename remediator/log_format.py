"""Logging: its set-up, and how a line of the log looks: one for each event, with strings cut and nothing that acts.

Beside the way of an alert, each step of which logs by structlog. The commands of `cli/` call `configure_logging` once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog
from opentelemetry import trace

from remediator.redact import only_secrets

MAX_VALUE_LENGTH = 1024
MAX_TRACEBACK_LENGTH = 16384


def configure_logging(
    level: str, *, log_format: Literal["logfmt", "json", "console"], stream: TextIO | None = None
) -> None:
    """Send this package's log and the libraries' to `stream` (None: stderr), in one form. Called once by `cli/`.

    `level` is the least severe level printed: debug, info, warning or error.
    """
    stream = stream or sys.stderr  # as it is now: whoever imports this first may have put another in its place
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        _add_trace_ids,
        structlog.processors.format_exc_info,
        _tamed if log_format == "json" else _tamed_and_escaped,
    ]
    renderers: Mapping[str, Any] = {
        "logfmt": structlog.processors.LogfmtRenderer(key_order=["ts", "level", "event"], bool_as_flag=False),
        "json": structlog.processors.JSONRenderer(),
        "console": structlog.dev.ConsoleRenderer(timestamp_key="ts", colors=stream.isatty()),
    }
    structlog.configure(
        processors=[*shared, renderers[log_format]],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderers[log_format]],
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    # At debug they print whole responses and rows, with the secrets among them.
    for library in ("kubernetes_asyncio", "sqlalchemy", "alembic", "urllib3", "asyncio"):
        logging.getLogger(library).setLevel(logging.WARNING)


def _add_trace_ids(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"], event["span_id"] = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    return event


def _tamed(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
    """Strings cut; JSON escapes control characters itself."""
    return {name: _cut(value, MAX_TRACEBACK_LENGTH if name == "exception" else None) for name, value in event.items()}


def _tamed_and_escaped(logger: Any, method: str, event: dict[str, Any]) -> dict[str, Any]:
    return {name: _escaped(value) for name, value in _tamed(logger, method, event).items()}


def _cut(value: Any, limit: int | None = None) -> Any:
    limit = limit or MAX_VALUE_LENGTH
    if isinstance(value, bool | int | float) or value is None:
        return value
    text = only_secrets((value if isinstance(value, str) else repr(value))[: 2 * limit])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _escaped(value: Any) -> Any:
    """Text in which no character can begin a new line or move the cursor."""
    if not isinstance(value, str) or value.isprintable():
        return value
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)
