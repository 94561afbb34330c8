"""`remediator incidents list` and `show`: what happened, read over HTTP from a running service.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 good, 1 failed,
2 misuse. Only the standard library is imported, so that the command starts fast.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remediator.errors import ConfigError, RemediatorError, TransientError, cut

DEFAULT_URL = "http://127.0.0.1:9095"
TIMEOUT_SECONDS = 10.0
GOOD, FAILED, MISUSED = 0, 1, 2


def list_incidents(url: str | None, output: str, *, limit: int = 100, only_open: bool = False) -> int:
    """Print one line for each incident, newest first. `url` None: `REMEDIATOR_URL`, else this machine."""
    query = urllib.parse.urlencode({"limit": limit, "open": "true" if only_open else "false"})
    return _print(url, f"/api/v1/incidents?{query}", output, _table)


def show_incident(url: str | None, incident: str, output: str) -> int:
    """Print one incident whole: what is known of it, then its timeline with the reasons."""
    return _print(url, f"/api/v1/incidents/{urllib.parse.quote(incident, safe='')}", output, _story)


def _print(url: str | None, path: str, output: str, lines: Any) -> int:
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


def _table(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["incidents"]:
        yield "no incidents"
        return
    rows: list[tuple[str, ...]] = [("ID", "SINCE", "SEVERITY", "TARGET", "TITLE", "OUTCOME", "REASON")]
    for item in found["incidents"]:
        severity = "-" if item["severity"] is None else str(item["severity"])
        names = (item["target"], item["title"], item["outcome"], item["reason"])
        rows.append((item["ref"], _time(item["opened_at"]), severity, *(_clean(cell) or "-" for cell in names)))
    yield from _columns(rows)


def _story(found: Mapping[str, Any]) -> Iterator[str]:
    incident = found["incident"]
    closed = incident["closed_at"]
    yield f"{incident['ref']}  {_clean(incident['title'])}"
    yield from _columns(
        [
            ("  target", _clean(incident["target"]) or "-"),
            ("  severity", "-" if incident["severity"] is None else str(incident["severity"])),
            ("  rule", _clean(incident["rule"]) or "-"),
            ("  outcome", " ".join(part for part in (incident["outcome"], incident["reason"]) if part)),
            ("  opened", _time(incident["opened_at"])),
            ("  closed", _time(closed) if closed else "still open"),
        ]
    )
    yield ""
    for record in found["records"]:
        yield f"{_time(record['at'])}  {_clean(record['kind'])}" + _after_colon(record["body"].get("detail"))
        for line in _why(record["body"]):
            yield f"{'':22}{line}"


def _why(body: Mapping[str, Any]) -> Iterator[str]:
    """The facts of a record that say why, one per line, in the order in which people ask."""
    for name in ("cause", "reason", "guard", "until", "advice", "contact"):
        if value := body.get(name):
            yield f"{name}: {_clean(value)}"
    if isinstance(request := body.get("request"), Mapping):
        yield f"request: {_clean(request.get('method'))} {_clean(request.get('path'))}"
    labels = body.get("labels")
    if isinstance(labels, Mapping):
        yield "labels: " + ", ".join(f"{_clean(name)}={_clean(value)}" for name, value in sorted(labels.items()))
    evidence = body.get("evidence")
    if isinstance(evidence, Sequence) and not isinstance(evidence, str):
        for fact in evidence:
            yield f"evidence: {_clean(fact)}"


def _after_colon(detail: Any) -> str:
    return f": {_clean(detail)}" if detail else ""


def _columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _time(text: str) -> str:
    """An RFC 3339 time in UTC to the second: `2026-11-23T12:00:07Z`."""
    return text[:19] + "Z"


def _clean(value: Any) -> str:
    """Foreign text that cannot move the terminal's cursor."""
    if value is None:
        return ""
    return cut(value if isinstance(value, str) else json.dumps(value), max_length=200)
