"""Escalations on their way: opened, joined, passed on, acknowledged, ended; each with its record in the transaction.

`queue.py` and `gates.py` open them with what causes them, `intake.py` ends them with the resolution that it commits;
`database.py` calls the rest. Every change tests what the row was, so that of two replicas one passes it on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from remediator.model import EscalationId, Json, Remediation, State
from remediator.redact import redact_object
from remediator.store import escalation_rows as rows
from remediator.store.escalations_base import Acknowledgement, Call, Escalation, Following, Further, NotOpen
from remediator.store.incidents import close_if_done
from remediator.store.log import Entry
from remediator.store.rows import to_micros
from remediator.store.tables import STILL_FIRES, alerts, escalations, remediations
from remediator.store.transaction import Transaction
from remediator.units import format_duration

ALL_RESOLVED = "every alert of it is resolved"
RECOVERED = "it recovered: every alert of it is resolved, or was seen to be over after an action"
TAKEN_OVER = "somebody has it, and nothing of it fires any more"
GATE_LEFT = "the gate was left"


def call_for_incident(transaction: Transaction, call: Call, cause: Remediation, *, at: datetime) -> None:
    """Open one for the incident of the remediation that needs people, or join the one that is open.

    What is over before anything was done needs nobody. What is over after something was done does: nobody knows what it
    led to, and no resolution will come that could end it.
    """
    assert cause.incident_id is not None
    fires = _fires(transaction.connection, cause.incident_id)
    if not fires and cause.acted_at is None:
        return
    found = rows.open_of(transaction.connection, [cause.incident_id])
    if found:
        _join(transaction, found[0], call, cause, needs_person=not fires, at=at)
    else:
        of: dict[str, Any] = {"incident_id": cause.incident_id, "remediation_id": cause.id, "gate": None}
        of |= {"cluster": "" if cause.target is None else cause.target.cluster, "needs_person": not fires}
        _open(transaction, call, of, at)


def call_for_gate(transaction: Transaction, call: Call, gate: str, *, cluster: str, at: datetime) -> None:
    """Open one for a gate that is entered now; one of the time before it was left is over."""
    if (before := rows.open_of_gate(transaction.connection, gate, cluster=cluster)) is not None:
        _end(transaction, before, GATE_LEFT, at)
    of = {"incident_id": None, "remediation_id": None, "cluster": cluster, "gate": gate, "needs_person": False}
    _open(transaction, call, of, at)


def end_what_is_over(transaction: Transaction, incident_ids: Collection[int], why: str, *, at: datetime) -> None:
    """End the escalations of these incidents of which nothing fires, unless a person has to look first."""
    for one in rows.open_of(transaction.connection, incident_ids):
        is_looked_at = not one.needs_person or one.acked_at is not None
        if is_looked_at and one.incident_id is not None and not _fires(transaction.connection, one.incident_id):
            _end(transaction, one, why, at)


def end_left_gates(transaction: Transaction, *, at: datetime) -> int:
    left = rows.of_left_gates(transaction.connection, at=at)
    for one in left:
        _end(transaction, one, GATE_LEFT, at)
    return len(left)


def pass_on(transaction: Transaction, seen: Escalation, following: Following, *, at: datetime) -> bool:
    assert seen.next_at is not None
    values: dict[str, Any] = {"next_at": None if following.wait is None else to_micros(at + following.wait)}
    values["told"] = following.tell
    if following.step is Further.PASSED_ON:
        values["level"] = seen.level + 1
    elif following.step is Further.REMINDED:
        values["reminders"] = seen.reminders + 1
    if not _change(transaction, seen.id, values, escalations.c.next_at == to_micros(seen.next_at)):
        return False
    waited = format_duration(timedelta(seconds=int((at - seen.opened_at).total_seconds())))
    said = {
        Further.PASSED_ON: f"{following.tell} is told; no answer from {seen.told}, {waited} after it was opened",
        Further.REMINDED: f"{following.tell} is told again; no answer for {waited}",
        Further.UNANSWERED: f"nobody answered for {waited}; nobody is left to tell",
    }
    body = {"tell": following.tell, "unanswered_for": waited, "detail": f"{said[following.step]}: {seen.detail}"}
    _record(transaction, seen, following.step.value, body, at)
    return True


def acknowledge(transaction: Transaction, number: EscalationId, said: Acknowledgement) -> Escalation:
    """Raises NotOpen."""
    one = rows.by_id(transaction.connection, number)
    if one is None or one.ended_at is not None:
        raise NotOpen(f"E-{number} is not open" + (f": {one.ended}" if one is not None else ""))
    if one.acked_at is not None and not said.closes:
        raise NotOpen(f"E-{number} was acknowledged by {one.acked_by}: {one.acked_comment}")
    taken = {"acked_at": to_micros(said.at), "acked_by": said.by, "acked_comment": said.comment, "next_at": None}
    _change(transaction, number, taken)
    detail = f"acknowledged by {said.by}: {said.comment}"
    _record(transaction, one, "acknowledged", {"by": said.by, "comment": said.comment, "detail": detail}, said.at)
    if said.closes:
        _end(transaction, one, f"closed by {said.by}: {said.comment}", said.at)
    elif one.incident_id is not None:
        end_what_is_over(transaction, [one.incident_id], TAKEN_OVER, at=said.at)
    after = rows.by_id(transaction.connection, number)
    assert after is not None
    return after


def _open(transaction: Transaction, call: Call, of: dict[str, Any], at: datetime) -> None:
    number = EscalationId(transaction.next_id(escalations))
    line = {
        **of,
        "id": number,
        "contact": call.contact,
        "severity": call.severity,
        "level": 1,
        "reminders": 0,
        "told": call.tell,
        "reason": call.reason.value,
        "detail": call.detail,
        "opened_at": to_micros(at),
        "next_at": to_micros(at + call.wait),
    }
    transaction.connection.execute(escalations.insert(), line)
    one = rows.by_id(transaction.connection, number)
    assert one is not None
    _record(transaction, one, "opened", {"tell": call.tell, "detail": f"{call.tell} is told: {call.detail}"}, at)


def _join(
    transaction: Transaction, one: Escalation, call: Call, cause: Remediation, *, needs_person: bool, at: datetime
) -> None:
    """A further cause. Whoever was told last is told of it, nobody from the start.

    Somebody who has taken it on has it still, but not what is more severe than what they took on.
    """
    is_worse = call.severity < one.severity
    is_taken = one.acked_at is not None and not is_worse
    values: dict[str, Any] = {"needs_person": one.needs_person or needs_person}
    if is_worse:
        values |= {"severity": call.severity, "reason": call.reason.value, "detail": call.detail}
    if not is_taken:
        due = at + call.wait
        values |= {"acked_at": None, "acked_by": None, "acked_comment": None}
        values |= {"next_at": to_micros(due if one.next_at is None else min(one.next_at, due))}
        values |= {"reminders": 0 if one.next_at is None else one.reminders}
    _change(transaction, one.id, values)
    who = f"{one.acked_by} has it" if is_taken else f"{one.told} is told"
    body: dict[str, Json] = {"severity": min(call.severity, one.severity), "reason": call.reason.value}
    body |= {"tell": None if is_taken else one.told, "detail": f"one more cause, {who}: {call.detail}"}
    _record(transaction, replace(one, remediation_id=cause.id), "joined", body, at)


def _end(transaction: Transaction, one: Escalation, why: str, at: datetime) -> None:
    _change(transaction, one.id, {"ended_at": to_micros(at), "ended": why, "next_at": None})
    _record(transaction, one, "ended", {"detail": why}, at)
    if one.incident_id is not None:
        close_if_done(transaction.connection, one.incident_id, at)


def _change(
    transaction: Transaction, number: EscalationId, values: dict[str, Any], *still: sa.ColumnElement[bool]
) -> bool:
    """Whether it was open, and as it was seen."""
    own = sa.and_(escalations.c.id == number, escalations.c.ended_at.is_(None), *still)
    return transaction.connection.execute(escalations.update().where(own).values(values)).rowcount == 1


def _fires(connection: sa.Connection, incident_id: int) -> bool:
    """Whether an alert of the incident fires still, as far as anybody said. After an action that was verified its alert
    was seen to be over."""
    firing = sa.exists().where(
        remediations.c.incident_id == incident_id,
        remediations.c.state != State.VERIFIED.value,
        alerts.c.id == remediations.c.alert_id,
        STILL_FIRES,
    )
    return bool(connection.execute(sa.select(firing)).scalar_one())


def _record(transaction: Transaction, one: Escalation, step: str, said: dict[str, Json], at: datetime) -> None:
    """`escalation.<step>`; what it says comes on top of what the escalation is of."""
    known = {"escalation": one.ref, "contact": one.contact, "severity": one.severity, "reason": one.reason.value}
    body = {name: redact_object(value) for name, value in {**known, **_subject(one), **said}.items()}
    entry = Entry.of(
        at, f"escalation.{step}", body, remediation=one.remediation_id, incident=one.incident_id
    )
    transaction.record(entry)


def _subject(one: Escalation) -> dict[str, Json]:
    if one.gate is not None:
        return {"gate": one.gate, "cluster": one.cluster}
    subject: dict[str, Json] = {"alertname": one.title, "rule": one.rule}
    if (target := one.target) is not None:
        place = {"cluster": target.cluster, "kind": target.kind, "namespace": target.namespace}
        subject |= {"target": str(target), "object": {**place, "name": target.name, "uid": target.uid}}
    return subject
