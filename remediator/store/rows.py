"""Rows to frozen values and back. Pure; called by every file of this folder that reads or writes a remediation.

What comes back equals what went in, field for field; a test drives it with generated plans.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from remediator.audit.commitments import put_together
from remediator.audit.record import canonical_json, canonical_texts, decode_body
from remediator.model import (
    ActionId,
    Alert,
    AlertStatus,
    IncidentId,
    Json,
    Mode,
    Plan,
    Proof,
    Remediation,
    RemediationId,
    Request,
    State,
    Step,
    Target,
    ToldBy,
)
from remediator.reasons import Reason
from remediator.store.base import Change, CommittedRecord
from remediator.store.tables import alerts, remediations

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

REMEDIATION_COLUMNS: tuple[sa.ColumnElement[Any], ...] = (
    *(c for c in remediations.c if c.name not in ("diagnosis", "lease_owner", "lease_until")),
    alerts.c.starts_at,
    alerts.c.labels,
    alerts.c.annotations,
    alerts.c.generator_url,
    alerts.c.receiver,
    alerts.c.group_key,
    alerts.c.truncated,
    alerts.c.credential,
)
"""What `remediation_from` needs, selected from `remediations` joined with `alerts`."""


def require_zone(instant: datetime) -> None:
    """Raises ValueError for a time without a zone."""
    if instant.tzinfo is None:
        raise ValueError(f"time without a zone: {instant.isoformat()}")


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970. Raises ValueError for a time without a zone."""
    require_zone(instant)
    return (instant - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def stored_bytes(value: bytes | str) -> bytes:
    """SQLite keeps whatever is put into a column: what somebody's hand made text of must fail as wrong, not as odd."""
    return value.encode() if isinstance(value, str) else value


def to_json(value: Json) -> str:
    """Raises ValueError for what JSON cannot hold."""
    return canonical_json(value).decode("utf-8")


def alert_columns(alert: Alert) -> dict[str, Any]:
    """The columns of `alerts` that say what was received (not its id, nor when it was received)."""
    return {
        "fingerprint": alert.fingerprint,
        "starts_at": to_micros(alert.starts_at),
        "status": alert.status.value,
        "ends_at": None if alert.ends_at is None else to_micros(alert.ends_at),
        "labels": canonical_texts(alert.labels),
        "annotations": canonical_texts(alert.annotations),
        "generator_url": alert.generator_url,
        "receiver": alert.receiver,
        "group_key": alert.group_key,
        "truncated": alert.truncated,
        "credential": alert.credential,
    }


def change_columns(change: Change) -> dict[str, Any]:
    """The columns of `remediations` that the change names. Raises ValueError for what JSON cannot hold."""
    columns: dict[str, Any] = {
        "reason": None if change.reason is None else change.reason.value,
        "rule": change.rule,
        "severity": change.severity,
        "mode": None if change.mode is None else change.mode.value,
        "target_key": None if change.target is None else change.target.key,
        "target": None if change.target is None else to_json(_target_json(change.target)),
        "plan": None if change.plan is None else to_json(_plan_json(change.plan)),
        "acted_at": None if change.acted_at is None else to_micros(change.acted_at),
        "due_at": None if change.due_at is None else to_micros(change.due_at),
        "tries": change.tries,
        "progress": None if change.progress is None else to_json(change.progress),
        "diagnosis": None if change.diagnosis is None else to_json(change.diagnosis),
    }
    return {name: value for name, value in columns.items() if value is not None}


def remediation_from(row: sa.RowMapping) -> Remediation:
    """The alert comes back as it was when it was queued: firing, whatever became of it since."""
    return Remediation(
        id=RemediationId(row["id"]),
        incident_id=None if row["incident_id"] is None else IncidentId(row["incident_id"]),
        action_id=ActionId(row["action_id"]),
        fingerprint=row["fingerprint"],
        alert=Alert(
            fingerprint=row["fingerprint"],
            status=AlertStatus.FIRING,
            labels=json.loads(row["labels"]),
            annotations=json.loads(row["annotations"]),
            starts_at=from_micros(row["starts_at"]),
            ends_at=None,
            generator_url=row["generator_url"],
            receiver=row["receiver"],
            group_key=row["group_key"],
            truncated=row["truncated"],
            credential=row["credential"],
        ),
        state=State(row["state"]),
        reason=Reason(row["reason"]),
        rule=row["rule"],
        severity=row["severity"],
        mode=None if row["mode"] is None else Mode(row["mode"]),
        target=None if row["target"] is None else Target(**json.loads(row["target"])),
        plan=None if row["plan"] is None else _plan_from(json.loads(row["plan"])),
        created_at=from_micros(row["created_at"]),
        acted_at=None if row["acted_at"] is None else from_micros(row["acted_at"]),
        due_at=from_micros(row["due_at"]),
        epoch=row["epoch"],
        tries=row["tries"],
        progress=json.loads(row["progress"]),
    )


def record_from(row: sa.RowMapping) -> CommittedRecord:
    return CommittedRecord(
        seq=row["seq"],
        at=from_micros(row["at"]),
        kind=row["kind"],
        remediation_id=None if row["remediation_id"] is None else RemediationId(row["remediation_id"]),
        incident_id=None if row["incident_id"] is None else IncidentId(row["incident_id"]),
        body=put_together(decode_body(row["canonical"]), row["beside"]),
        canonical=row["canonical"],
    )


def _target_json(target: Target) -> Json:
    return {
        "cluster": target.cluster,
        "kind": target.kind,
        "namespace": target.namespace,
        "name": target.name,
        "uid": target.uid,
    }


def _request_json(request: Request) -> Json:
    return {
        "method": request.method,
        "path": request.path,
        "content_type": request.content_type,
        "body": request.body,
        "query": request.query,
    }


def _step_json(step: Step) -> Json:
    return {
        "request": _request_json(step.request),
        "touched": _target_json(step.touched),
        "told_by": step.told_by.value,
        "generation": step.generation,
        "pointer": step.pointer,
        "before": step.before,
        "after": step.after,
        "inverse": None if step.inverse is None else _request_json(step.inverse),
        "after_observed": step.after_observed,
    }


def _step_from(step: Mapping[str, Json]) -> Step:
    return Step(
        request=Request(**step["request"]),
        touched=Target(**step["touched"]),
        told_by=ToldBy(step["told_by"]),
        generation=step["generation"],
        pointer=tuple(step["pointer"]),
        before=step["before"],
        after=step["after"],
        inverse=None if step["inverse"] is None else Request(**step["inverse"]),
        after_observed=step["after_observed"],
    )


def _plan_json(plan: Plan) -> Json:
    return {
        "action": plan.action,
        "action_id": plan.action_id,
        "target": _target_json(plan.target),
        "steps": [_step_json(step) for step in plan.steps],
        "proof": {
            "expect": plan.proof.expect,
            "within_microseconds": plan.proof.within // _MICROSECOND,
            "stable_for_microseconds": plan.proof.stable_for // _MICROSECOND,
            "otherwise": plan.proof.otherwise,
        },
        "generation": plan.generation,
        "template_hash": plan.template_hash,
        "summary": plan.summary,
        "before": plan.before,
        "after": plan.after,
        "restore_after_microseconds": None if plan.restore_after is None else plan.restore_after // _MICROSECOND,
        "details": plan.details,
        "salt": plan.salt,
    }


def _plan_from(plan: Mapping[str, Json]) -> Plan:
    proof, stays = plan["proof"], plan["restore_after_microseconds"]
    return Plan(
        action=plan["action"],
        action_id=ActionId(plan["action_id"]),
        target=Target(**plan["target"]),
        steps=tuple(map(_step_from, plan["steps"])),
        proof=Proof(
            expect=tuple(proof["expect"]),
            within=timedelta(microseconds=proof["within_microseconds"]),
            stable_for=timedelta(microseconds=proof["stable_for_microseconds"]),
            otherwise=proof["otherwise"],
        ),
        generation=plan["generation"],
        template_hash=plan["template_hash"],
        summary=plan["summary"],
        before=plan["before"],
        after=plan["after"],
        restore_after=None if stays is None else timedelta(microseconds=stays),
        details=plan["details"],
        salt=plan.get("salt", ""),
    )
