"""From what the API server answered to the error that the caller acts on. Pure.

Called by `kube/exchange.py` for every answer that is not 2xx. Sources: apimachinery `pkg/apis/meta/v1/types.go`
(Status), client-go `rest/with_retry.go`, and the answers of a real API server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remediator.errors import PermanentError, RemediatorError, cut
from remediator.kube.base import (
    Conflict,
    DisruptionBudget,
    Forbidden,
    Invalid,
    NotFound,
    NotProvable,
    ReplyLost,
    Unreachable,
)
from remediator.model import Json
from remediator.redact import MASK, redact

NO_DRY_RUN = "does not support dry run"
TWO_BUDGETS = "more than one PodDisruptionBudget"
NO_LOG_YET = ("previous terminated container", "waiting to start")
WEBHOOK_DENIED = 'admission webhook "'

MAX_TEXT = 64 * 1024
"""Characters of an answer that are looked at: a proxy may send a whole page."""

_ECHOED = re.compile(
    r"((?:^|[\s.\]])(?:env|args|command|annotations|httpHeaders)\b[^\s:]{0,200}: \w{1,20} value: )"
    r"(?:\"(?:[^\"\\\n]|\\.)*\"|(?:[\w.]{1,60})?\{[^\n]*?\}(?=: |, |\s*$)|\S+)"
)
"""A 422 repeats the value that it refuses (apimachinery `field.Error`); in these fields it may be a secret's."""


class Expired(PermanentError):
    """410: the continue token of a list is too old. Never leaves `kube/`."""


@dataclass(frozen=True, slots=True)
class Status:
    """A `metav1.Status`, or as much of one as a foreign answer allows. `has_details`: anything in `details` at all."""

    message: str
    reason: str
    causes: Sequence[Json]
    has_details: bool
    retry_after_seconds: float | None


def read_status(body: bytes, headers: Mapping[str, str]) -> Status:
    """The Status in `body`, redacted; a proxy's HTML or an empty body becomes the message as it is."""
    parsed = _json_object(body)
    if parsed is None:
        text = _redacted(body[:MAX_TEXT].decode(errors="replace"))
        return Status(text, "", (), False, _seconds(headers.get("Retry-After")))
    details = parsed.get("details")
    details = details if isinstance(details, dict) else {}
    header, field = headers.get("Retry-After"), details.get("retryAfterSeconds")
    return Status(
        message=_redacted(str(parsed.get("message") or "")),
        reason=str(parsed.get("reason") or ""),
        causes=[cause for cause in details.get("causes") or () if isinstance(cause, dict)],
        has_details=bool(details),
        retry_after_seconds=_seconds(header if header is not None else field),
    )


def error_of(operation: str, code: int, status: Status, *, is_repeatable: bool) -> RemediatorError:
    """The error for an answer that is not 2xx. `is_repeatable`: doing it twice is the same as once (a read, a dry run).

    `operation` says what was asked of which object ("PATCH /apis/...").
    """
    text = f"{operation}: {code} {status.reason}".rstrip() + f": {cut(status.message)}"
    causes = tuple(cut(_cause_text(cause)) for cause in status.causes)
    match code:
        case 401 | 403:
            return Forbidden(text)
        case 404:
            return NotFound(text)
        case 409:
            return Conflict(text)
        case 410:
            return Expired(text)
        case 429 if any(cause.get("reason") == "DisruptionBudget" for cause in status.causes):
            # The message says only that a budget forbids it; which one, and by how much, stands in the causes.
            text = f"{text} {'; '.join(causes)}"
            return DisruptionBudget(text, retry_after_seconds=status.retry_after_seconds)
        case 429:  # rejected before it was handled, so a write may come again too
            return Unreachable(text, retry_after_seconds=status.retry_after_seconds)
        case 400 if NO_DRY_RUN in status.message:
            return NotProvable(text)
        case 400 if any(words in status.message for words in NO_LOG_YET):
            return NotFound(text)
        case 422 if not status.has_details and not status.message.startswith(WEBHOOK_DENIED):
            # A failed `test` of a JSON patch is told from a refused object only by the emptiness of the answer.
            return Conflict(text)
        case 500 if TWO_BUDGETS in status.message:
            return PermanentError(text)
        case 408 | _ if code == 408 or code >= 500:
            if is_repeatable:
                return Unreachable(text, retry_after_seconds=status.retry_after_seconds)
            return ReplyLost(f"{text}; it may have been done")
        case _ if code >= 400:
            return Invalid(text, causes=causes)
        case _:
            return PermanentError(f"{operation}: unexpected answer {code}; is this address an API server?")


def _cause_text(cause: Json) -> str:
    field, message = cause.get("field") or "", cause.get("message") or cause.get("reason") or ""
    return _redacted(f"{field}: {message}" if field else str(message))


def _redacted(text: str) -> str:
    return redact(_ECHOED.sub(rf"\1{MASK}", text[:MAX_TEXT]))


def _json_object(body: bytes) -> dict[str, Json] | None:
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _seconds(text: Json) -> float | None:
    """Retry-After in seconds; the API server never sends the date form. None when it is absent or no such number."""
    try:
        seconds = float(text)
    except (TypeError, ValueError):
        return None
    return seconds if 0 <= seconds < float("inf") else None
