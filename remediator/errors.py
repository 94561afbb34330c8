"""The exception tree, by what the caller does about it.

    RemediatorError
    ├── ConfigError        stop; the text points to file, line and column
    ├── TransientError     try again later, after `retry_after_seconds` if given
    └── PermanentError     give up and tell people

Exceptions are faults. A "no" (no rule, refused, hold, not verified) is a frozen value with a reason, never an
exception. Library errors are translated where the library is used (`kube/`, `prometheus/`, `store/`, `rules/load.py`).
"""

from __future__ import annotations


class RemediatorError(Exception):
    """Root of everything this package raises on purpose."""


class ConfigError(RemediatorError):
    """Settings or rules cannot be used; the text says where and what to write instead."""


class TransientError(RemediatorError):
    """The same call may succeed later."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class PermanentError(RemediatorError):
    """The same call will fail again."""


def cut(text: str, *, max_length: int = 300) -> str:
    """Foreign text on one line, without control characters, at most `max_length` characters."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return line if len(line) <= max_length else line[: max_length - 1] + "…"
