"""`remediator incidents list` and `show`: what happened, read over HTTP from a running service.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 good, 1 failed,
2 misuse. Only the standard library is imported, so that the command starts fast.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remediator.cli.escalations import state_of
from remediator.cli.reading import clean, columns, print_answer, to_seconds
from remediator.export.proof_lines import proof_lines


def list_incidents(url: str | None, output: str, *, limit: int = 100, only_open: bool = False) -> int:
    """Print one line for each incident, newest first. `url` None: `REMEDIATOR_URL`, else this machine."""
    query = urllib.parse.urlencode({"limit": limit, "open": "true" if only_open else "false"})
    return print_answer(url, f"/api/v1/incidents?{query}", output, _table)


def show_incident(url: str | None, incident: str, output: str) -> int:
    """Print one incident whole: what is known of it, then its timeline with the reasons."""
    return print_answer(url, f"/api/v1/incidents/{urllib.parse.quote(incident, safe='')}", output, _story)


def _table(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["incidents"]:
        yield "no incidents"
        return
    rows: list[tuple[str, ...]] = [("ID", "SINCE", "SEVERITY", "TARGET", "TITLE", "OUTCOME", "REASON")]
    for item in found["incidents"]:
        severity = "-" if item["severity"] is None else str(item["severity"])
        names = (item["target"], item["title"], item["outcome"], item["reason"])
        rows.append((item["ref"], to_seconds(item["opened_at"]), severity, *(clean(cell) or "-" for cell in names)))
    yield from columns(rows)


def _story(found: Mapping[str, Any]) -> Iterator[str]:
    incident = found["incident"]
    closed = incident["closed_at"]
    yield f"{incident['ref']}  {clean(incident['title'])}"
    yield from columns(
        [
            ("  target", clean(incident["target"]) or "-"),
            ("  severity", "-" if incident["severity"] is None else str(incident["severity"])),
            ("  rule", clean(incident["rule"]) or "-"),
            ("  outcome", " ".join(part for part in (incident["outcome"], incident["reason"]) if part)),
            ("  opened", to_seconds(incident["opened_at"])),
            ("  closed", to_seconds(closed) if closed else "still open"),
            *(("  people", f"{one['ref']} {state_of(one)}") for one in found["escalations"]),
        ]
    )
    yield ""
    for record in found["records"]:
        yield f"{to_seconds(record['at'])}  {clean(record['kind'])}" + _after_colon(record["body"].get("detail"))
        for line in _why(record["body"]):
            yield f"{'':22}{line}"


def _why(body: Mapping[str, Any]) -> Iterator[str]:
    """The facts of a record that say why, one per line, in the order in which people ask."""
    for name in ("cause", "reason", "guard", "until", "advice", "runbook_url", "contact", "tell"):
        if value := body.get(name):
            yield f"{name}: {clean(value)}"
    if isinstance(proof := body.get("proof"), Mapping):
        yield from (f"proof: {clean(line)}" for line in proof_lines(proof))
    if isinstance(request := body.get("request"), Mapping):
        yield f"request: {clean(request.get('method'))} {clean(request.get('path'))}"
    labels = body.get("labels")
    if isinstance(labels, Mapping):
        yield "labels: " + ", ".join(f"{clean(name)}={clean(value)}" for name, value in sorted(labels.items()))
    evidence = body.get("evidence")
    if isinstance(evidence, Sequence) and not isinstance(evidence, str):
        for fact in evidence:
            yield f"evidence: {clean(fact)}"


def _after_colon(detail: Any) -> str:
    return f": {clean(detail)}" if detail else ""
