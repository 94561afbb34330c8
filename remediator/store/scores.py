"""The table of scores: `ScoreStore` on the same database, through the same writer as everything else.

`database.py` makes one and offers it as `Database.scores`. `queue.py` begins a case inside the transaction that
recommends, and tells what became of one that a person approved.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from pydantic import TypeAdapter

from remediator.clock import rfc3339
from remediator.model import IncidentId, Json, Outcome, Remediation, RemediationId, State, Target
from remediator.redact import redact_object
from remediator.store import gates
from remediator.store.log import Entry
from remediator.store.rows import from_micros, to_json, to_micros
from remediator.store.scores_base import (
    Case,
    Circumstances,
    Happened,
    Judgement,
    NotScored,
    Scored,
    Word,
    Would,
    would_of,
)
from remediator.store.tables import STILL_FIRES, alerts, remediations, scores
from remediator.store.transaction import Transaction
from remediator.store.writer import Writer

_WOULD: TypeAdapter[Would] = TypeAdapter(Would)
_MICROSECOND = timedelta(microseconds=1)
_OPEN = scores.c.judged_at.is_(None)
_SCORED = [column for column in scores.c if column.name not in ("would", "seen")]
"""What a scorecard is made of: not what looks need."""

# Built once: to build a statement takes some times as long as SQLite takes to answer it.
_OWN = scores.update().where(scores.c.remediation_id == sa.bindparam("of"), _OPEN)
_TAKEN = _OWN.values(due_at=None, happened=Happened.APPROVED.value)
_NOT_TAKEN = _OWN.values(due_at=sa.bindparam("now"), happened=None)
_SETTLE = _OWN.where(scores.c.happened == Happened.APPROVED.value).values(
    is_right=sa.bindparam("right"), detail=sa.bindparam("why"), judged_at=sa.bindparam("now")
)
_RIGHT = {Outcome.VERIFIED: True, Outcome.FAILED: False, Outcome.UNKNOWN: None}


class ScoreTable:
    """`ScoreStore` on SQLAlchemy Core."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def open_cases(self, *, at: datetime, limit: int) -> Sequence[Case]:
        lines = (
            sa.select(scores, remediations.c.fingerprint, alerts.c.starts_at, alerts.c.labels)
            .join(remediations, remediations.c.id == scores.c.remediation_id)
            .join(alerts, alerts.c.id == remediations.c.alert_id)
            .where(scores.c.due_at <= to_micros(at))
            .order_by(scores.c.due_at, scores.c.remediation_id)
            .limit(limit)
        )
        rows = await self._writer.read(lambda t: t.connection.execute(lines).mappings().all())
        return [_case(row) for row in rows]

    async def circumstances(self, case: Case) -> Circumstances:
        return await self._writer.read(lambda t: _circumstances(t.connection, case))

    async def keep_look(
        self, remediation: RemediationId, *, seen: Json, after: datetime | None, at: datetime, due_at: datetime
    ) -> bool:
        values = {"seen": to_json(seen), "looked_at": to_micros(at), "due_at": to_micros(due_at)}
        before = scores.c.looked_at.is_(None) if after is None else scores.c.looked_at == to_micros(after)
        own = sa.and_(scores.c.remediation_id == remediation, scores.c.due_at.is_not(None), before)
        change = scores.update().where(own).values(values)
        return await self._writer.write(lambda t: t.connection.execute(change).rowcount == 1)

    async def judged(self, case: Case, judgement: Judgement, *, at: datetime) -> bool:
        return await self._writer.write(lambda t: _judged(t, case, judgement, at))

    async def say(self, word: Word) -> Scored:
        return await self._writer.write(lambda t: _say(t, word))

    async def score_of(self, remediation: RemediationId) -> Scored | None:
        return await self._writer.read(lambda t: _one(t.connection, remediation))

    async def scored(self, *, since: datetime | None = None, rule: str | None = None) -> Sequence[Scored]:
        lines = sa.select(*_SCORED).order_by(scores.c.decided_at.desc(), scores.c.remediation_id.desc())
        if since is not None:
            lines = lines.where(scores.c.decided_at >= to_micros(since))
        if rule is not None:
            lines = lines.where(scores.c.rule == rule)
        rows = await self._writer.read(lambda t: t.connection.execute(lines).mappings().all())
        return [_scored(row) for row in rows]


def begin(connection: sa.Connection, recommended: Remediation, *, sense: str, at: datetime) -> None:
    """What happens from now on without us is to be looked at. In place of what was asked for before of the same.

    What silent mode recommends again for a target while its end is awaited is the same decision, and counts once: ten
    alerts of one incident prove no more than one.
    """
    plan = recommended.plan
    assert plan is not None  # `queue.prepare` refused it
    if recommended.state is State.RECOMMENDED and _is_awaited(connection, recommended, plan.target.key, sense):
        return
    connection.execute(scores.delete().where(scores.c.remediation_id == recommended.id, scores.c.said_at.is_(None)))
    line = {
        "remediation_id": recommended.id,
        "incident_id": recommended.incident_id,
        "rule": recommended.rule or "",
        "sense": sense,
        "mode": "" if recommended.mode is None else recommended.mode.value,
        "action": plan.action,
        "target": to_json(_target_json(plan.target)),
        "target_key": plan.target.key,
        "would": to_json(_WOULD.dump_python(would_of(plan), mode="json")),
        "decided_at": to_micros(at),
        "due_at": to_micros(at),
    }
    is_there = sa.select(sa.exists().where(scores.c.remediation_id == recommended.id))
    if not connection.execute(is_there).scalar_one():  # a word was said to it: that case stays
        connection.execute(scores.insert(), line)


def _is_awaited(connection: sa.Connection, recommended: Remediation, target_key: str, sense: str) -> bool:
    same = sa.and_(
        scores.c.rule == (recommended.rule or ""),
        scores.c.sense == sense,
        scores.c.target_key == target_key,
        scores.c.remediation_id != recommended.id,
        scores.c.due_at.is_not(None),
    )
    return bool(connection.execute(sa.select(sa.exists().where(same))).scalar_one())


def taken(connection: sa.Connection, remediation: RemediationId) -> None:
    """A person approved it, and it is being done: what happens now is not without us."""
    connection.execute(_TAKEN, {"of": remediation})


def not_taken(connection: sa.Connection, remediation: RemediationId, *, at: datetime) -> None:
    """It provably was not done after all: look on."""
    connection.execute(_NOT_TAKEN, {"of": remediation, "now": to_micros(at)})


def settle(connection: sa.Connection, outcome: Outcome, *, remediation: RemediationId, at: datetime) -> None:
    """What the first verification said of what a person had approved. Its own record says so."""
    why = f"a person approved it, and its verification said: {outcome}"
    asked = {"of": remediation, "right": _RIGHT[outcome], "why": why, "now": to_micros(at)}
    connection.execute(_SETTLE, asked)


def forget(connection: sa.Connection) -> None:
    """What belongs to attempts that were given up."""
    connection.execute(scores.delete().where(scores.c.remediation_id.not_in(sa.select(remediations.c.id))))


def _circumstances(connection: sa.Connection, case: Case) -> Circumstances:
    target, decided = case.would.target, to_micros(case.decided_at)
    ends = sa.func.coalesce(alerts.c.ends_at, alerts.c.resolved_at)
    episodes = sa.select(
        sa.func.coalesce(sa.func.sum(sa.case((STILL_FIRES, 1), else_=0)), 0), sa.func.max(ends)
    ).where(alerts.c.fingerprint == case.fingerprint, alerts.c.starts_at >= to_micros(case.starts_at))
    firing, ended = connection.execute(episodes).one()
    acted = connection.execute(
        sa.select(sa.func.min(remediations.c.acted_at)).where(
            remediations.c.target_key == target.key, remediations.c.acted_at >= decided
        )
    ).scalar_one()
    others = gates.alerts_since(connection, target, since=case.decided_at, dependents=(), besides=case.alert)
    return Circumstances(
        ended_at=None if firing or ended is None else from_micros(ended),
        acted_at=None if acted is None else from_micros(acted),
        new_alerts=tuple(sorted(set(others))),
    )


def _judged(transaction: Transaction, case: Case, judgement: Judgement, at: datetime) -> bool:
    values = {
        "due_at": None,
        "happened": judgement.happened.value,
        "is_right": judgement.is_right,
        "is_harmful": judgement.is_harmful,
        "saved": None if judgement.saved is None else judgement.saved // _MICROSECOND,
        "detail": judgement.detail,
        "judged_at": to_micros(at),
    }
    own = sa.and_(scores.c.remediation_id == case.remediation, _OPEN, scores.c.due_at.is_not(None))
    if not transaction.connection.execute(scores.update().where(own).values(values)).rowcount:
        return False
    body: dict[str, Json] = {
        **_subject(case.rule, case.would.action, case.would.target),
        "alertname": case.alert,
        "happened": judgement.happened.value,
        "judged": word_of(judgement.is_right),
        "harmful": judgement.is_harmful,
        "saved_seconds": None if judgement.saved is None else int(judgement.saved.total_seconds()),
        "decided_at": rfc3339(case.decided_at),
        "detail": judgement.detail,
        "evidence": judgement.evidence,
    }
    _record(transaction, "score.judged", body, case.remediation, case.incident, at)
    return True


def _say(transaction: Transaction, word: Word) -> Scored:
    """Raises NotScored."""
    connection = transaction.connection
    before = _one(connection, word.remediation)
    if before is None:
        raise NotScored(f"R-{word.remediation} has no recommendation of its own that could be judged")
    values = {
        "said_right": word.is_right,
        "said_harmful": word.is_harmful,
        "said_by": word.by,
        "said_comment": word.comment,
        "said_at": to_micros(word.at),
    }
    connection.execute(scores.update().where(scores.c.remediation_id == word.remediation).values(values))
    said = word_of(word.is_right)
    body: dict[str, Json] = {
        **_subject(before.rule, before.action, before.target),
        "judged": said,
        "harmful": word.is_harmful,
        "judged_before": word_of(before.is_right),
        "by": word.by,
        "comment": word.comment,
        "detail": f"judged {said} by {word.by}: {word.comment}",
    }
    _record(transaction, "score.said", body, word.remediation, before.incident, word.at)
    after = _one(connection, word.remediation)
    assert after is not None
    return after


def word_of(is_right: bool | None) -> str:
    """As records, metrics and people have it; `open`: what happened does not tell."""
    return "open" if is_right is None else "right" if is_right else "wrong"


def _subject(rule: str, action: str, target: Target) -> dict[str, Json]:
    return {"rule": rule, "action": action, "target": str(target), "object": _target_json(target)}


def _record(
    transaction: Transaction,
    kind: str,
    body: dict[str, Json],
    remediation: RemediationId,
    incident: IncidentId | None,
    at: datetime,
) -> None:
    shown = {name: redact_object(value) for name, value in body.items()}
    transaction.record(Entry.of(at, kind, shown, remediation=remediation, incident=incident))


def _target_json(target: Target) -> dict[str, Json]:
    return {name: getattr(target, name) for name in ("cluster", "kind", "namespace", "name", "uid")}


def _one(connection: sa.Connection, remediation: RemediationId) -> Scored | None:
    line = sa.select(*_SCORED).where(scores.c.remediation_id == remediation)
    row = connection.execute(line).mappings().one_or_none()
    return None if row is None else _scored(row)


def _case(row: sa.RowMapping) -> Case:
    return Case(
        remediation=RemediationId(row["remediation_id"]),
        incident=None if row["incident_id"] is None else IncidentId(row["incident_id"]),
        rule=row["rule"],
        alert=str(json.loads(row["labels"]).get("alertname", "")),
        fingerprint=row["fingerprint"],
        starts_at=from_micros(row["starts_at"]),
        would=_WOULD.validate_json(row["would"]),
        decided_at=from_micros(row["decided_at"]),
        looked_at=None if row["looked_at"] is None else from_micros(row["looked_at"]),
        seen=None if row["seen"] is None else json.loads(row["seen"]),
    )


def _scored(row: sa.RowMapping) -> Scored:
    remediation = RemediationId(row["remediation_id"])
    return Scored(
        remediation=remediation,
        incident=None if row["incident_id"] is None else IncidentId(row["incident_id"]),
        rule=row["rule"],
        sense=row["sense"],
        mode=row["mode"],
        action=row["action"],
        target=Target(**json.loads(row["target"])),
        decided_at=from_micros(row["decided_at"]),
        judgement=_judgement(row),
        judged_at=None if row["judged_at"] is None else from_micros(row["judged_at"]),
        word=_word(row, remediation),
    )


def _judgement(row: sa.RowMapping) -> Judgement | None:
    if row["judged_at"] is None:
        return None
    return Judgement(
        happened=Happened(row["happened"]),
        is_right=None if row["is_right"] is None else bool(row["is_right"]),
        is_harmful=bool(row["is_harmful"]),
        detail=row["detail"] or "",
        saved=None if row["saved"] is None else row["saved"] * _MICROSECOND,
    )


def _word(row: sa.RowMapping, remediation: RemediationId) -> Word | None:
    if row["said_at"] is None:
        return None
    return Word(
        remediation=remediation,
        is_right=bool(row["said_right"]),
        is_harmful=bool(row["said_harmful"]),
        by=row["said_by"],
        comment=row["said_comment"],
        at=from_micros(row["said_at"]),
    )
