"""Plans and requests as they may be shown: what records, the API and everything that is told of them hold.

A request that replaces a pod template carries the literal values of its environment, and secrets among them. The exact
request is needed to act, to look whether it was done, and to undo it; so it stands in the row of its remediation, and
only while one of these can still happen (`NEEDS_REQUESTS`). Everywhere else stands this picture of it, and a
commitment: the SHA-256 of a salt and the exact request, by which whoever has the request (the API server's own audit
log has) can prove that it is the one that was intended. Without the salt, a short secret could be guessed from it; the
salt stays in the row. SQLite's write-ahead log may hold the former row until its next checkpoint.

Called by `journal.py`, `course.py` and `api/`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from remediator.audit.record import canonical_json
from remediator.model import Json, Plan, Request, State, Step
from remediator.redact import Redactor

NEEDS_REQUESTS = frozenset(
    {State.ACTING, State.VERIFYING, State.TEMPORARY, State.RESTORING, State.FAILED, State.REVERTING}
)
"""From the first intent until nothing of the plan can be sent or undone any more."""


def disclosed_plan(plan: Plan, redactor: Redactor) -> Plan:
    """`plan` without secrets and without its salt. It can be shown, and not be acted on."""
    steps = tuple(_disclosed_step(step, redactor) for step in plan.steps)
    return replace(plan, steps=steps, salt="", **disclosed_summary(plan, redactor))


def disclosed_summary(plan: Plan, redactor: Redactor) -> dict[str, Any]:
    """What each record says of a plan: its summary, before, after and details, without secrets."""
    before, after = redactor.pair(plan.before, plan.after)
    return {
        "summary": redactor.object(plan.summary),
        "before": before,
        "after": after,
        "details": dict(redactor.object(plan.details)),
    }


def disclosed_request(request: Request, redactor: Redactor, *, salt: str) -> dict[str, Json]:
    """`request` for a record, with the commitment to the exact one."""
    return {**request_json(_disclosed(request, redactor)), "commitment": commitment(request, salt=salt)}


def commitment(request: Request, *, salt: str) -> str:
    """SHA-256, in hex, of the salt (hex, as text) followed by the canonical JSON of the exact request."""
    return hash_of(request_json(request), salt=salt)


def hash_of(value: Json, *, salt: str) -> str:
    """As `commitment`, of a value: whoever has it, before or after, can show that it is the one."""
    return hashlib.sha256(salt.encode() + canonical_json(value)).hexdigest()


def request_json(request: Request) -> dict[str, Json]:
    return {
        "method": request.method,
        "path": request.path,
        "content_type": request.content_type,
        "query": dict(request.query),
        "body": request.body,
    }


def _disclosed(request: Request, redactor: Redactor) -> Request:
    return replace(request, body=redactor.object(request.body))


def _disclosed_step(step: Step, redactor: Redactor) -> Step:
    before, after = redactor.pair(step.before, step.after)
    return replace(
        step,
        request=_disclosed(step.request, redactor),
        before=before,
        after=after,
        inverse=None if step.inverse is None else _disclosed(step.inverse, redactor),
    )
