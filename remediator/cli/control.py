"""`remediator status`, `budgets`, `pause`, `resume` and `reset`: what holds a running service back, and who said so.

Called by the command line's wiring, which passes the flags on and exits with what is returned: 0 good, 1 failed,
2 misuse. Only the standard library is imported, so that the command starts fast.
"""

from __future__ import annotations

import difflib
import json
import sys
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

from remediator.cli.reading import FAILED, MISUSED, clean, columns, print_answer, to_seconds, who
from remediator.clock import SystemClock, rfc3339
from remediator.units import parse_duration


def status(url: str | None, output: str) -> int:
    """Print whether anything is written now, what is paused, which common causes are seen, and what waits."""
    return print_answer(url, "/api/v1/status", output, _status)


def budgets(url: str | None, output: str, *, shadow: bool = False) -> int:
    """Print each budget: used, by which remediation, next slot. `shadow`: as silent mode would have used them."""
    query = "?shadow=true" if shadow else ""
    return print_answer(url, f"/api/v1/budgets{query}", output, _budgets)


def pause(
    url: str | None,
    output: str,
    *,
    comment: str,
    engaged: bool = True,
    subject: Mapping[str, str] | None = None,
    lasts: str | None = None,
    by: str | None = None,
    token_file: str | None = None,
) -> int:
    """Engage or release the kill switch, or the pause of one subject (`{"rule": "crash-loop"}`)."""
    body: dict[str, Any] = {"engaged": engaged, "comment": comment, "by": by or who(), **(subject or {})}
    if lasts is not None:
        try:
            body["until"] = rfc3339(SystemClock().now() + parse_duration(lasts))
        except ValueError as error:
            print(f"error: --for: {error}", file=sys.stderr)
            return MISUSED
    return print_answer(url, "/api/v1/pause", output, _paused, post=body, token_file=token_file)


def reset(
    url: str | None,
    output: str,
    *,
    what: str,
    subject: str,
    comment: str,
    by: str | None = None,
    token_file: str | None = None,
) -> int:
    """Let the counting of what did not help begin anew."""
    body = {"what": what, "subject": subject, "comment": comment, "by": by or who()}
    return print_answer(url, "/api/v1/reset", output, _reset, post=body, token_file=token_file)


def approvals(url: str | None, output: str) -> int:
    """Print what waits for a person: the exact change, the dry run, what it costs, until when."""
    return print_answer(url, "/api/v1/approvals", output, _approvals)


def approve(
    url: str | None,
    output: str,
    *,
    remediation: str,
    comment: str,
    is_granted: bool,
    plan_hash: str | None = None,
    by: str | None = None,
    token_file: str | None = None,
) -> int:
    """Approve or deny the plan of one remediation. `plan_hash` None: of the plan that waits now, printed first."""
    if plan_hash is None:
        waiting: dict[str, Any] = {}

        def found(answer: Mapping[str, Any]) -> Iterator[str]:
            named = [one for one in answer["approvals"] if remediation in (one["ref"], str(one["id"]))]
            waiting.update(named[0] if named else {})
            yield from _approvals({"approvals": named}) if output == "simple" else ()

        if code := print_answer(url, "/api/v1/approvals", "simple", found):
            return code
        if not waiting:
            print(f"error: {clean(remediation)} does not wait for an approval", file=sys.stderr)
            return FAILED
        plan_hash = str(waiting["plan_hash"])
    word = "approve" if is_granted else "deny"
    path = f"/api/v1/approvals/{urllib.parse.quote(remediation, safe='')}/{word}"
    body = {"comment": comment, "by": by or who(), "plan_hash": plan_hash}
    return print_answer(url, path, output, _answered, post=body, token_file=token_file)


def _answered(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['ref']} {'approved' if found['granted'] else 'denied'} by {clean(found['by'])}"


def _approvals(found: Mapping[str, Any]) -> Iterator[str]:
    if not found["approvals"]:
        yield "nothing waits for an approval"
    for one in found["approvals"]:
        yield f"{one['ref']}  {clean(one['summary'])}  (rule {clean(one['rule'])})"
        before, after = (json.dumps(one[side], indent=2, sort_keys=True).splitlines() for side in ("before", "after"))
        for line in difflib.unified_diff(before, after, "before", "after", lineterm="", n=2):
            yield f"  {clean(line)}"
        yield f"  dry run  {clean(one['dry_run'])}"
        yield f"  costs    {', '.join(clean(cost) for cost in one['costs']) or 'nothing'}"
        yield f"  until    {to_seconds(one['until'])}"


def _status(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"nothing is written: {clean(found['stopped'])}" if found["stopped"] else "writes are allowed"
    yield from _pauses(found["pauses"])
    for gate in found["gates"]:
        yield f"{clean(gate['key'])} since {to_seconds(gate['since'])}: {clean(gate['detail'])}"
    waiting = ", ".join(f"{count} {clean(state)}" for state, count in sorted(found["queue"].items()) if count)
    yield f"open: {waiting or 'nothing'}"
    owners = sorted({one["owner"] for one in found["duties"]})
    for owner in owners:
        names = ", ".join(clean(one["name"]) for one in found["duties"] if one["owner"] == owner)
        yield f"{clean(owner)} does: {names}"
    yield f"watchdog: {clean(found['watchdog'])}"


def _paused(found: Mapping[str, Any]) -> Iterator[str]:
    until = f" until {to_seconds(found['until'])}" if found["until"] else ""
    word = f"engaged{until} by {clean(found['by'])}: {clean(found['comment'])}" if found["engaged"] else "released"
    yield f"kill switch {word}"
    yield from _pauses(found["pauses"])


def _pauses(pauses: Any) -> Iterator[str]:
    for one in pauses:
        until = f" until {to_seconds(one['until'])}" if one["until"] else ""
        what = f"{clean(one['what'])} {clean(one['subject'])}"
        yield f"{what} paused{until} by {clean(one['by'])}: {clean(one['comment'])}"


def _reset(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{clean(found['what'])} {clean(found['subject'])} counts anew from {to_seconds(found['at'])}"


def _budgets(found: Mapping[str, Any]) -> Iterator[str]:
    rows: list[tuple[str, ...]] = [("SCOPE", "SUBJECT", "LIMIT", "USED", "NEXT SLOT", "BY")]
    for line in found["budgets"]:
        by = ", ".join(f"R-{one['remediation']} {to_seconds(one['at'])}" for one in line["by"])
        slot = to_seconds(line["next_slot"]) if line["next_slot"] else "now"
        rows.append((line["scope"], clean(line["subject"]), line["limit"], str(line["used"]), slot, by or "-"))
    yield from columns(rows)
