"""What the commands share that read from a running service over HTTP: ask, and print as columns or JSON.

Called by `incidents.py` and `deployments.py`. Only the standard library is imported, so that the commands start fast.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from remediator.errors import ConfigError, RemediatorError, TransientError, cut

DEFAULT_URL = "http://127.0.0.1:9095"
TIMEOUT_SECONDS = 10.0
GOOD, FAILED, MISUSED = 0, 1, 2


def print_answer(url: str | None, path: str, output: str, lines: Callable[[Any], Iterable[str]]) -> int:
    """Get `path` and print it as JSON, or as `lines` makes of it. Returns the exit code.

    `url` None: `REMEDIATOR_URL`, else this machine.
    """
    if output not in ("simple", "json"):
        print(f"error: output {output!r}: expected simple or json", file=sys.stderr)
        return MISUSED
    try:
        found = _get(url or os.environ.get("REMEDIATOR_URL") or DEFAULT_URL, path)
        if output == "json":
            print(json.dumps(found, indent=2))
        else:
            for line in lines(found):
                print(line)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISUSED
    except RemediatorError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    return GOOD


def _get(url: str, path: str) -> Any:
    """The JSON at `path`. Raises ConfigError for misuse, TransientError when there is no usable answer."""
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"{url!r} is not the address of a remediator: expected http://host:port")
    # No proxy: the environment's is for the way out, and its answer would be taken for the service's.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url.rstrip("/") + path, timeout=TIMEOUT_SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = _error_of(error.read(65536), fallback=f"{url} answered {error.code}")
        raise (ConfigError if error.code == 400 else TransientError)(text) from error
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        why = (getattr(reason, "strerror", None) or str(reason) or type(reason).__name__).lower()
        hint = "is it running? (--url, REMEDIATOR_URL)"
        raise TransientError(f"no remediator answers at {url}: {why}; {hint}") from error
    except (ValueError, http.client.HTTPException) as error:
        raise TransientError(f"{url} does not answer as a remediator does") from error


def _error_of(body: bytes, *, fallback: str) -> str:
    try:
        return cut(str(json.loads(body)["error"]))
    except (ValueError, KeyError, TypeError):
        return fallback


def columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows of as many cells as the first has, aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def to_seconds(text: str) -> str:
    """An RFC 3339 time in UTC to the second: `2026-11-23T12:00:07Z`."""
    return text[:19] + "Z"


def clean(value: Any) -> str:
    """Foreign text that cannot move the terminal's cursor."""
    if value is None:
        return ""
    return cut(value if isinstance(value, str) else json.dumps(value), max_length=200)
