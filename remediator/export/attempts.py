"""What one remediation of a story found, weighed, changed and proved, from its records. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from remediator.export.content import Contents, TakenBack
from remediator.export.difference import diff
from remediator.export.events import instant
from remediator.model import Json, Remediation
from remediator.reasons import Reason
from remediator.store.base import CommittedRecord
from remediator.verdicts import Decision

ACTS = ("action.intent", "action.applied", "revert.intent", "restore.intent")
UNDOES = ("revert.intent", "restore.intent", "outcome.reverted")


@dataclass(frozen=True, slots=True)
class Answered:
    """A guard's answer with the number that led to it."""

    guard: str
    decision: str
    reason: str
    detail: str

    @property
    def is_no(self) -> bool:
        return self.decision != Decision.ALLOW.value


@dataclass(frozen=True, slots=True)
class Checked:
    """A check's last look: passed, waiting, failed or unknown, and what it saw."""

    check: str
    look: str
    detail: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the rule as it was weighed: `conditions` are `cause: code-error, wanted code-error`, with yes or no. The
    first that holds is taken."""

    do: str
    is_taken: bool
    conditions: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Firing:
    """The alert of a remediation. Annotations and the link to its expression may be taken back."""

    name: str
    fingerprint: str
    began_at: datetime | None
    labels: Mapping[str, str]
    annotations: Mapping[str, str] | TakenBack
    generator_url: str
    resolved_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One remediation. A field that was taken back holds `TakenBack`; what never was is empty or None.

    `diff` are the lines of the change, `undo` how a person can take it back by hand, empty where it was not made or was
    taken back, by the records `undone_by`. `verified_at` is when it was seen to help. `proof` says whether what was
    only recommended could have been done (`proof.py`).
    """

    remediation: int
    state: str
    reason: str
    mode: str
    action_id: str
    firing: Firing | None = None
    rule: str = ""
    rule_digest: str = ""
    severity: int | None = None
    cause: str = ""
    evidence: tuple[str, ...] | TakenBack = ()
    rows: tuple[Row, ...] = ()
    verdicts: tuple[Answered, ...] | TakenBack = ()
    proof: Mapping[str, Json] | TakenBack | None = None
    action: str = ""
    summary: str = ""
    plan: Mapping[str, Json] | TakenBack | None = None
    diff: tuple[str, ...] = ()
    undo: str = ""
    undone_by: tuple[int, ...] = ()
    checks: tuple[Checked, ...] | TakenBack = ()
    decided_at: datetime | None = None
    acted_at: datetime | None = None
    verified_at: datetime | None = None
    outcome_record: int | None = None
    advice: str = ""
    records: tuple[int, ...] = field(default=())

    @property
    def is_recovery(self) -> bool:
        """Whether its own action was seen to help."""
        return self.verified_at is not None


def attempt_of(remediation: Remediation, records: Sequence[CommittedRecord], contents: Contents) -> Attempt:
    """`records` are those of this remediation, oldest first."""
    found = Attempt(
        remediation=remediation.id,
        state=remediation.state.value,
        reason=remediation.reason.value,
        mode="" if remediation.mode is None else remediation.mode.value,
        action_id=str(remediation.action_id),
        severity=remediation.severity,
        rule=remediation.rule or "",
        records=tuple(record.seq for record in records),
    )
    for record in records:
        found = _with(found, record, contents)
    if isinstance(found.plan, Mapping):
        name = next((str(place) for record in records if (place := record.body.get("target"))), found.action)
        found = replace(found, diff=diff(found.plan.get("before"), found.plan.get("after"), name=name))
    is_made = found.acted_at is not None and not found.undone_by
    return found if is_made else replace(found, undo="")


def _with(found: Attempt, record: CommittedRecord, contents: Contents) -> Attempt:
    """The attempt with what one more record says of it."""
    body, kind = record.body, record.kind
    if kind == "alert.received":
        return replace(found, firing=_firing(record, contents))
    if found.firing is not None and kind == "alert.resolved":
        return replace(found, firing=replace(found.firing, resolved_at=instant(body.get("ends_at")) or record.at))
    changes: dict[str, Json] = {}
    for name in ("rule", "rule_digest", "cause", "action"):
        if isinstance(value := body.get(name), str) and value:
            changes[name] = value
    if "rows" in body:
        evidence = contents.get(record, "evidence")
        changes["evidence"] = evidence if isinstance(evidence, TakenBack) else tuple(map(str, evidence or ()))
        changes["rows"] = _rows(body.get("rows") or ())
    if (verdicts := contents.get(record, "verdicts")) is not None:
        changes["verdicts"] = verdicts if isinstance(verdicts, TakenBack) else tuple(map(_answered, verdicts))
    if (proof := contents.get(record, "proof")) is not None:
        changes["proof"] = proof
    if (plan := contents.get(record, "plan")) is not None:
        changes["plan"] = plan
        if isinstance(plan, Mapping):
            changes |= {"summary": str(plan.get("summary") or ""), "undo": _undo(body, plan)}
    if advice := contents.text(record, "advice"):
        changes["advice"] = advice
    return replace(found, **changes, **_times(found, record, contents))


def _times(found: Attempt, record: CommittedRecord, contents: Contents) -> dict[str, Json]:
    """When it was decided, done and proved, and by which records it was taken back."""
    kind = record.kind
    changes: dict[str, Json] = {}
    is_decision = kind.startswith("decision.") and kind != "decision.held"
    if found.decided_at is None and (is_decision or kind == "action.intent"):
        changes["decided_at"] = record.at
    if kind == "action.applied":
        changes["acted_at"] = record.at
    if kind == "decision.cancelled" and record.body.get("reason") == Reason.ALERT_RESOLVED and found.firing is not None:
        changes["firing"] = replace(found.firing, resolved_at=found.firing.resolved_at or record.at)
    if kind in UNDOES:
        changes["undone_by"] = (*found.undone_by, record.seq)
    if kind.startswith("outcome."):
        evidence = contents.get(record, "evidence")
        if evidence is not None:
            changes["checks"] = _checks(evidence) if isinstance(evidence, Mapping) else evidence
        changes["outcome_record"] = record.seq
        if kind in ("outcome.verified", "outcome.temporary") and found.verified_at is None:
            changes["verified_at"] = record.at
    return changes


def _firing(record: CommittedRecord, contents: Contents) -> Firing:
    body, annotations = record.body, contents.get(record, "annotations")
    labels = dict(body.get("labels") or {})
    return Firing(
        name=str(labels.get("alertname", "")),
        fingerprint=str(body.get("fingerprint") or ""),
        began_at=instant(body.get("starts_at")),
        labels=labels,
        annotations=annotations if isinstance(annotations, TakenBack) else dict(annotations or {}),
        generator_url=contents.text(record, "generator_url"),
    )


def _rows(rows: Sequence[Json]) -> tuple[Row, ...]:
    taken = next((number for number, row in enumerate(rows) if row.get("holds")), None)
    return tuple(Row(_text(row, "do"), number == taken, _conditions(row)) for number, row in enumerate(rows))


def _conditions(row: Json) -> tuple[tuple[str, bool], ...]:
    return tuple(
        (f"{_text(one, 'name')}: {_text(one, 'seen')}, wanted {_text(one, 'wanted')}", bool(one.get("holds")))
        for one in row.get("conditions") or ()
    )


def _text(member: Json, name: str) -> str:
    """A member's text; empty where a record of another version has none."""
    return str(member.get(name, ""))


def _answered(verdict: Json) -> Answered:
    return Answered(*(_text(verdict, name) for name in ("guard", "decision", "reason", "detail")))


def _checks(evidence: Mapping[str, Json]) -> tuple[Checked, ...]:
    return tuple(Checked(name, _text(one, "look"), _text(one, "detail")) for name, one in evidence.items())


def _undo(body: Mapping[str, Json], plan: Mapping[str, Json]) -> str:
    """The command that takes it back, where kubectl has one; the diff says it for all others."""
    target, details = body.get("object") or {}, plan.get("details") or {}
    revision = details.get("from_revision")
    if body.get("action") != "rollback" or not isinstance(revision, int) or not target:
        return ""
    place = f"{str(target['kind']).lower()}/{target['name']}"
    return f"kubectl -n {target['namespace']} rollout undo {place} --to-revision={revision}"


def helped(attempts: Sequence[Attempt]) -> Attempt | None:
    """The last attempt that acted, if it was seen to help and no alert after it goes on; None: nothing did."""
    last = next((n for n in range(len(attempts) - 1, -1, -1) if attempts[n].acted_at or attempts[n].is_recovery), None)
    if last is None or not attempts[last].is_recovery:
        return None
    goes_on = any(one.firing is not None and one.firing.resolved_at is None for one in attempts[last + 1 :])
    return None if goes_on else attempts[last]


def is_only_mode(attempt: Attempt) -> bool:
    """Whether nothing but the mode kept it from acting."""
    return attempt.reason == Reason.MODE_SILENT.value
