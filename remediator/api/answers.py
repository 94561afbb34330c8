"""What the HTTP API says: the shapes of its answers and requests, and how they become JSON.

Beside the way of an alert; the handlers of this package use it, and `/openapi.json` is derived from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, Field

from remediator.disclosed import disclosed_plan
from remediator.errors import cut
from remediator.model import Json, Plan, Remediation, Target
from remediator.redact import Redactor
from remediator.store.escalations_base import Escalation
from remediator.store.reading import IncidentRow, IncidentView

SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
    (hdrs.SERVER, "remediator"),
)
"""Of every answer."""


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that `/-/ready` reports on. A part that is not required is shown, and does not decide."""

    name: str
    is_ready: bool
    detail: str = ""
    is_required: bool = True


class Answer(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class Problem(Answer):
    """Why a request failed."""

    error: str


class PartStatus(Answer):
    name: str
    ready: bool = Field(validation_alias="is_ready")
    required: bool = Field(validation_alias="is_required")
    detail: str


class Readiness(Answer):
    ready: bool
    parts: Sequence[PartStatus]


class Incident(Answer):
    """One line of the list. `outcome` is the state of its newest remediation, `reason` why it is that."""

    id: int
    ref: str = Field(description="How people write it: inc-<id>.")
    title: str
    target: str
    severity: int | None
    outcome: str
    reason: str
    rule: str | None
    opened_at: datetime
    closed_at: datetime | None = Field(description="null while anything of it is open.")

    @classmethod
    def of(cls, row: IncidentRow) -> Self:
        fields: dict[str, Any] = {name: getattr(row, name) for name in cls.model_fields if name != "ref"}
        return cls(ref=f"inc-{row.id}", **fields)


class Incidents(Answer):
    incidents: Sequence[Incident]


class Attempt(Answer):
    """One attempt of one rule on one target, with what it found and the requests it planned, without secrets."""

    id: int
    action_id: str
    fingerprint: str
    labels: Mapping[str, str] = Field(description="The alert's labels.")
    annotations: Mapping[str, str]
    starts_at: datetime = Field(description="When the alert began to fire, as Alertmanager said.")
    credential: str = Field(description="The credential that the alert came by; empty: none was asked for.")
    state: str
    reason: str
    rule: str | None
    severity: int | None
    mode: str | None
    target: Target | None
    plan: Plan | None
    diagnosis: Json
    tries: int
    created_at: datetime
    acted_at: datetime | None
    due_at: datetime


class LogEntry(Answer):
    """One record of the audit log."""

    seq: int
    at: datetime
    kind: str
    remediation_id: int | None
    body: Mapping[str, Json]


class EscalationEntry(Answer):
    """That people are needed, who of them was told, and who has it."""

    ref: str = Field(description="How people write it: E-<number>.")
    incident: str | None = Field(description="inc-<number>; null: it is of a gate.")
    gate: str | None
    title: str = Field(description="The alert's name, or the gate's key.")
    target: str
    rule: str | None
    severity: int
    contact: str = Field(description="Row of the escalation matrix.")
    told: str = Field(description="Who was told last.")
    reason: str
    detail: str
    opened_at: datetime
    next_at: datetime | None = Field(description="When the next one is told; null: nobody is.")
    acked_at: datetime | None
    acked_by: str | None
    acked_comment: str | None
    ended_at: datetime | None = Field(description="null while it is open.")
    ended: str | None = Field(description="Why it ended.")

    @classmethod
    def of(cls, one: Escalation) -> EscalationEntry:
        apart = ("ref", "incident", "target")
        fields: dict[str, Any] = {n: getattr(one, n) for n in EscalationEntry.model_fields if n not in apart}
        incident = None if one.incident_id is None else f"inc-{one.incident_id}"
        target = "" if one.target is None else str(one.target)
        return EscalationEntry(ref=one.ref, incident=incident, target=target, **fields)


class IncidentDetail(Answer):
    incident: Incident
    remediations: Sequence[Attempt]
    escalations: Sequence[EscalationEntry]
    records: Sequence[LogEntry] = Field(description="Everything that happened, oldest first.")

    @classmethod
    def of(cls, view: IncidentView) -> Self:
        attempts = [_attempt(item, view.diagnoses.get(item.id)) for item in view.remediations]
        records = [LogEntry.model_validate(record) for record in view.records]
        escalations = [EscalationEntry.of(one) for one in view.escalations]
        return cls(incident=Incident.of(view.row), remediations=attempts, escalations=escalations, records=records)


def _attempt(item: Remediation, diagnosis: Json) -> Attempt:
    apart = ("labels", "annotations", "starts_at", "credential", "plan", "diagnosis")
    fields: dict[str, Any] = {name: getattr(item, name) for name in Attempt.model_fields if name not in apart}
    alert = item.alert
    return Attempt(
        labels=alert.labels,
        annotations=alert.annotations,
        starts_at=alert.starts_at,
        credential=alert.credential,
        plan=None if item.plan is None else disclosed_plan(item.plan, Redactor()),
        diagnosis=diagnosis,
        **fields,
    )


class BuildInfo(Answer):
    version: str
    python: str
    platform: str


def answer(value: BaseModel | Mapping[str, Any], *, status: int = 200) -> web.Response:
    """`value` as JSON."""
    text = value.model_dump_json() if isinstance(value, BaseModel) else json.dumps(value)
    return web.Response(text=text + "\n", status=status, content_type="application/json")


def problem(status: int, error: str) -> web.Response:
    return answer(Problem(error=cut(error, max_length=2000)), status=status)
