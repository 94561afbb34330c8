"""Records, incidents and stories made by hand, sealed as the store seals them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.audit.commitments import put_together, sealed, without
from remediator.audit.record import decode_body, encode_entry
from remediator.export.formats import Head
from remediator.export.story import Story, story_of
from remediator.model import (
    ActionId,
    Alert,
    AlertStatus,
    IncidentId,
    Json,
    Mode,
    Remediation,
    RemediationId,
    State,
    Target,
)
from remediator.reasons import Reason
from remediator.store.base import CommittedRecord
from remediator.store.reading import IncidentRow, IncidentView

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TARGET = Target("lab", "Deployment", "shop", "checkout", "uid-1")
OBJECT = {"cluster": "lab", "kind": "Deployment", "namespace": "shop", "name": "checkout", "uid": "uid-1"}
LABELS = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "checkout-3-a"}
PLAN = {
    "summary": "roll back shop/deployment/checkout from revision 3 to 2",
    "before": {"spec": {"containers": [{"image": "shop/checkout:1.5", "name": "app"}]}},
    "after": {"spec": {"containers": [{"image": "shop/checkout:1.4", "name": "app"}]}},
    "details": {"from_revision": 3, "to_revision": 2},
}
VERDICTS = [
    {"guard": "kill-switch", "decision": "allow", "reason": "", "detail": "released"},
    {"guard": "budgets", "decision": "allow", "reason": "", "detail": "0 of 1 per 1h used"},
]
CHECKS = {
    "pods-ready": {"look": "passed", "detail": "2 of 2 pods ready"},
    "alert-clear": {"look": "passed", "detail": "clear"},
}
RULE = {"mode": "active", "name": "crash-loop", "respond": [{"do": "rollback", "when": {"cause": ["code-error"]}}]}
DIAGNOSIS = {
    "cause": "code-error",
    "findings": [
        {"kind": "log", "summary": "the previous log ends", "facts": {"text": "one\ntwo\nTypeError: x\n"}},
        {
            "kind": "rollout",
            "summary": "revision 3 deployed 9 min ago",
            "facts": {"started_at": "2026-11-23T11:50:00Z", "revision": 3, "images": {"app": "shop/checkout:1.5"}},
        },
    ],
}


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def record(
    seq: int,
    minutes: float,
    kind: str,
    *,
    remediation: int | None = 1,
    incident: int | None = 1,
    taken: Collection[str] = (),
    **body: Json,
) -> CommittedRecord:
    """As the log has it; the values of `taken` were taken back since."""
    canonical_body, beside = sealed(body)
    if taken:
        beside = without(beside, taken)
    canonical = encode_entry(
        seq=seq, at=at(minutes), kind=kind, remediation=remediation, incident=incident, body=canonical_body
    )
    return CommittedRecord(
        seq=seq,
        at=at(minutes),
        kind=kind,
        remediation_id=None if remediation is None else RemediationId(remediation),
        incident_id=None if incident is None else IncidentId(incident),
        body=put_together(decode_body(canonical), beside),
        canonical=canonical,
    )


def received(seq: int, minutes: float = 0, *, began: float = -5, **changes: Any) -> CommittedRecord:
    body: dict[str, Any] = {
        "labels": LABELS,
        "annotations": {"summary": "it restarts"},
        "generator_url": "http://prometheus/graph",
        "fingerprint": "00112233aabbccdd",
        "starts_at": at(began).isoformat(),
    }
    return record(seq, minutes, "alert.received", **{"incident": None, **body, **changes})


def step(seq: int, minutes: float, kind: str, **changes: Any) -> CommittedRecord:
    """A record of the journal's, with what all of them name."""
    known = {
        "alertname": "KubePodCrashLooping",
        "rule": "crash-loop",
        "rule_digest": "d" * 64,
        "severity": 1,
        "target": str(TARGET),
        "object": OBJECT,
        "action_id": "a1",
    }
    return record(seq, minutes, kind, **{**known, **changes})


def planned(seq: int, minutes: float = 0, **changes: Any) -> CommittedRecord:
    body: dict[str, Any] = {
        "action": "rollback",
        "cause": "code-error",
        "evidence": ["checkout-3-a/app: exit 1 Error"],
        "detail": PLAN["summary"],
        "plan": PLAN,
        "rows": [
            {
                "do": "rollback",
                "holds": True,
                "conditions": [{"name": "cause", "seen": "code-error", "wanted": "code-error", "holds": True}],
            },
            {"do": "escalate", "holds": True, "conditions": []},
        ],
        "rule_text": RULE,
    }
    return step(seq, minutes, "step.planned", **{**body, **changes})


def verified_story() -> tuple[CommittedRecord, ...]:
    """The plainest one: seen, planned, done, verified, resolved."""
    return (
        received(1),
        step(2, 0, "step.diagnosing", incident=None),
        planned(3),
        step(4, 0, "action.intent", action="rollback", plan=PLAN, verdicts=VERDICTS, detail=PLAN["summary"]),
        step(5, 0, "action.applied", action="rollback", plan=PLAN, detail=PLAN["summary"]),
        step(6, 2, "outcome.verified", action="rollback", plan=PLAN, evidence=CHECKS, detail="all passed"),
        record(7, 3, "alert.resolved", labels=LABELS, ends_at=at(2.5).isoformat()),
    )


def remediation(number: int = 1, **changes: Any) -> Remediation:
    alert = Alert("00112233aabbccdd", AlertStatus.FIRING, LABELS, {}, at(-5), None, "", "remediator", "key")
    facts: dict[str, Any] = {
        "id": RemediationId(number),
        "incident_id": IncidentId(1),
        "action_id": ActionId(f"a{number}"),
        "fingerprint": alert.fingerprint,
        "alert": alert,
        "state": State.VERIFIED,
        "reason": Reason.NONE,
        "rule": "crash-loop",
        "severity": 1,
        "mode": Mode.ACTIVE,
        "target": TARGET,
        "plan": None,
        "created_at": NOON,
        "acted_at": None,
        "due_at": NOON,
        "epoch": 1,
        "tries": 0,
    }
    return Remediation(**{**facts, **changes})


def view(
    records: Sequence[CommittedRecord],
    *remediations: Remediation,
    diagnoses: Json = None,
    **row: Any,
) -> IncidentView:
    attempts = remediations or (remediation(),)
    facts: dict[str, Any] = {
        "id": IncidentId(1),
        "title": "KubePodCrashLooping",
        "target": str(TARGET),
        "severity": 1,
        "outcome": attempts[-1].state.value,
        "reason": attempts[-1].reason.value,
        "rule": "crash-loop",
        "opened_at": NOON,
        "closed_at": at(2),
    }
    known = {1: DIAGNOSIS} if diagnoses is None else diagnoses
    return IncidentView(IncidentRow(**{**facts, **row}), attempts, known, records, ())


def story(records: Sequence[CommittedRecord] | None = None, *remediations: Remediation, **changes: Any) -> Story:
    around = changes.pop("around", ())
    found = view(verified_story() if records is None else records, *remediations, **changes)
    return story_of(found, around=around, made_at=at(60))


def head(**changes: Any) -> Head:
    known = {"title": "Incident inc-1", "made_at": at(60), "source": "/remediator/lab", "version": "1.2.3"}
    return Head(**{**known, **changes})
