"""Step 9 of an alert, and every step's end: its answer becomes a state and a record, in one transaction.

`pipeline.py` calls one method here for each way a step can end. Nothing here decides; it words, and commits. A method
returns when the record is durable, and raises LostClaim when the remediation is no longer ours to move.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.actions.base import NoPlan
from remediator.actions.rollback.preconditions import INSTALLED, ROLLED_BACK_FROM, SEEN_GOOD
from remediator.actions.write import Written
from remediator.checks.verify import Verification
from remediator.clock import Clock, rfc3339
from remediator.diagnose.diagnose import Diagnosis
from remediator.guards.check import Ruling
from remediator.model import (
    TERMINAL,
    Answer,
    Decision,
    Json,
    Mode,
    Outcome,
    Plan,
    Reason,
    Remediation,
    Request,
    State,
    Target,
)
from remediator.rules.match import NoMatch
from remediator.rules.plan import Planned
from remediator.rules.schema import Rule
from remediator.store.base import Change, Record, Store, TemplateEvent
from remediator.target.labels import NoTarget
from remediator.target.resolve import Resolved

APPROVAL_WITHIN = timedelta(minutes=15)
CONFLICT_PAUSE = timedelta(seconds=2)
READ_BACK_PAUSE = timedelta(seconds=5)
INTENT_LIVES = timedelta(seconds=120)
"""How long a request that got no reply may still arrive (the API server ends requests after 60 s by default)."""

MAX_TRIES = 3
"""How often a conflict may send a decision back to the start (kubernetes-actions: at most 3 times)."""


class Journal:
    """One claimed remediation on its way; `remediation` is always as last committed."""

    def __init__(self, remediation: Remediation, *, store: Store, clock: Clock) -> None:
        self.remediation = remediation
        self._store = store
        self._clock = clock
        self._known: dict[str, Json] = {}

    @property
    def state(self) -> State:
        return self.remediation.state

    @property
    def plan(self) -> Plan:
        """The committed plan; there is one from `acting` on."""
        assert self.remediation.plan is not None
        return self.remediation.plan

    @property
    def acted_at(self) -> datetime:
        """When the write was sent; known from `acting` on."""
        assert self.remediation.acted_at is not None
        return self.remediation.acted_at

    async def begin(self) -> None:
        """Decide, or decide again: what was read before may no longer hold."""
        await self._advance(State.DIAGNOSING, "step.diagnosing", {})

    async def resolved_before_acting(self) -> None:
        detail = "Alertmanager reported it resolved before anything was done"
        await self._advance(State.CANCELLED, "decision.cancelled", _no(Reason.ALERT_RESOLVED, detail))

    async def expired(self) -> None:
        reason = self.remediation.reason or Reason.DECISION_EXPIRED
        detail = f"no decision to act within its time; last: {reason}"
        await self._advance(State.EXPIRED, "decision.expired", _no(reason, detail))

    async def no_rule(self, miss: NoMatch) -> None:
        nearest = f"; nearest rule {miss.nearest}: {miss.why}" if miss.nearest else ""
        body = {**_no(Reason.NO_RULE, f"no rule matches{nearest}"), "nearest": miss.nearest}
        await self._advance(State.DECLINED, "decision.declined", body)

    def matched(self, rule: Rule) -> None:
        """What all later records name."""
        self._known |= {"rule": rule.name, "rule_digest": rule.digest, "severity": rule.severity}

    async def no_target(self, rule: Rule, answer: NoTarget) -> None:
        change = Change(reason=answer.reason, rule=rule.name, severity=rule.severity)
        await self._advance(State.DECLINED, "decision.declined", _no(answer.reason, answer.detail), change)

    def found(self, resolved: Resolved) -> None:
        self._known |= {**_object(resolved.target), "target_chain": list(resolved.chain)}

    async def target_gone(self, rule: Rule, target: Target) -> None:
        change = Change(rule=rule.name, severity=rule.severity, target=target)
        body = _no(Reason.TARGET_NOT_FOUND, f"{target} went away while it was looked at")
        await self._advance(State.DECLINED, "decision.declined", body, change)

    async def planned(self, rule: Rule, target: Target, diagnosis: Diagnosis, planned: Planned) -> None:
        """A plan, or the row's, action's or precondition's "no" with its advice."""
        facts = {"cause": diagnosis.cause.value, "rows": planned.trace, "rule_text": rule.as_json()}
        facts |= {"evidence": [finding.summary for finding in diagnosis.evidence]}
        change = Change(
            rule=rule.name, severity=rule.severity, target=target, diagnosis=diagnosis.as_json()
        )
        if isinstance(planned.answer, Plan):
            body = {**facts, **_plan(planned.answer), **_no(Reason.NONE, planned.answer.summary)}
            await self._advance(State.PLANNED, "step.planned", body, _with(change, plan=planned.answer))
            return
        await self._not_planned(planned.answer, facts, change)

    async def _not_planned(self, answer: NoPlan, facts: Mapping[str, Json], change: Change) -> None:
        body = {**facts, **_no(answer.reason, answer.detail), "advice": answer.advice, "contact": None}
        if answer.is_escalation:
            await self._advance(State.ESCALATED, "decision.escalated", body, change)
        elif answer.reason is Reason.NOT_OBSERVED and self.remediation.tries < MAX_TRIES:
            due = self._clock.now() + timedelta(seconds=10)
            again = _with(change, due_at=due, tries=self.remediation.tries + 1)
            await self._advance(State.HELD, "decision.held", {**body, "until": rfc3339(due)}, again)
        else:
            await self._advance(State.RECOMMENDED, "decision.recommended", body, change)

    async def not_allowed(self, ruling: Ruling, mode: Mode) -> None:
        """A guard said no, not yet, or ask; or only the mode keeps it from being done."""
        verdict, plan = ruling.deciding, self.plan
        body = {**_plan(plan), **_no(verdict.reason, verdict.detail), "guard": verdict.guard}
        body["verdicts"] = _verdicts(ruling)
        change = Change(mode=mode)
        match verdict.decision:
            case Decision.HOLD:
                until = verdict.until or self._clock.now() + timedelta(minutes=1)
                body["until"] = rfc3339(until)
                await self._advance(State.HELD, "decision.held", body, _with(change, due_at=until))
            case Decision.ASK:
                until = self._clock.now() + APPROVAL_WITHIN
                body["until"] = rfc3339(until)
                change = _with(change, due_at=until)
                await self._advance(State.AWAITING_APPROVAL, "decision.awaiting-approval", body, change)
            case Decision.RECOMMEND:
                body["detail"] = f"would {plan.summary}"
                body["advice"] = plan.details.get("kubectl", "")
                await self._advance(State.RECOMMENDED, "decision.recommended", body, change)
            case _ if verdict.reason is Reason.ALERT_RESOLVED:
                await self._advance(State.CANCELLED, "decision.cancelled", body, change)
            case _ if verdict.reason is Reason.MODE_OFF:
                await self._advance(State.DECLINED, "decision.declined", body, change)
            case _:
                body["detail"] = f"would {plan.summary}, but {verdict.guard}: {verdict.detail}"
                await self._advance(State.RECOMMENDED, "decision.recommended", body, change)

    async def intend(self, ruling: Ruling) -> None:
        """Commit the exact request before it is sent."""
        now = self._clock.now()
        body = {**_plan(self.plan), "verdicts": _verdicts(ruling), "detail": self.plan.summary}
        body |= {"request": _request(self.plan.request), "generation": self.plan.generation}
        change = Change(mode=Mode.ACTIVE, acted_at=now, progress={})
        await self._advance(State.ACTING, "action.intent", body, change)

    async def stopped(self, detail: str) -> None:
        """The kill switch was engaged between the intent and the write: nothing was sent."""
        due = self._clock.now() + timedelta(minutes=1)
        body = {**_plan(self.plan), **_no(Reason.KILL_SWITCH, detail), "until": rfc3339(due)}
        await self._advance(State.HELD, "decision.held", body, Change(due_at=due))

    async def acted(self, written: Written) -> None:
        """Applied: watch it. Not applied: decide again, a few times, then hand it to people. Unknown: people.

        While the intent is fresh, a request whose reply was lost may still be on its way: only look again, never send.
        """
        plan, tries, now = self.plan, self.remediation.tries + 1, self._clock.now()
        body = {**_plan(plan), **_no(written.reason, written.detail), "generation": written.generation}
        is_lost = written.reason is Reason.REPLY_LOST
        if is_lost and written.answer is not Answer.APPLIED and self._is_fresh(now):
            return await self._store.release(self.remediation, due_at=now + READ_BACK_PAUSE, progress={})
        match written.answer:
            case Answer.APPLIED:
                body["detail"] = plan.summary
                await self._advance(State.VERIFYING, "action.applied", body, Change(ledger=self._installed(plan)))
            case Answer.UNKNOWN:
                await self._advance(State.UNKNOWN, "outcome.unknown", body)
            case Answer.NOT_APPLIED if (is_lost or written.reason is Reason.CONFLICT) and tries <= MAX_TRIES:
                await self._advance(State.DIAGNOSING, "action.not-applied", body, Change(tries=tries))
                await self._store.release(self.remediation, due_at=now + CONFLICT_PAUSE, progress={})
            case Answer.NOT_APPLIED:
                await self._advance(State.ESCALATED, "decision.escalated", body)
        return None

    async def look_again(self, seen: Verification, *, at: datetime) -> None:
        await self._store.release(self.remediation, due_at=at, progress=seen.memory)

    async def concluded(self, seen: Verification) -> None:
        """Verified, failed or unknown, with the evidence of each check."""
        assert seen.outcome is not None
        body = {**_plan(self.plan), "evidence": dict(seen.evidence), "detail": _evidence_line(seen)}
        match seen.outcome:
            case Outcome.VERIFIED:
                good = self._event(SEEN_GOOD, self.plan.details.get("to_hash"))
                await self._advance(State.VERIFIED, "outcome.verified", body, Change(ledger=good))
            case Outcome.FAILED:
                body |= {"reason": Reason.NOT_VERIFIED.value}
                await self._advance(State.FAILED, "outcome.failed", body)
            case Outcome.UNKNOWN:
                body |= {"reason": Reason.EVIDENCE_MISSING.value}
                await self._advance(State.UNKNOWN, "outcome.unknown", body)

    async def escalate_failure(self, detail: str) -> None:
        body = {**_plan(self.plan), **_no(Reason.NOT_VERIFIED, detail)}
        await self._advance(State.ESCALATED, "decision.escalated", body)

    async def intend_revert(self) -> None:
        assert self.plan.inverse is not None
        body = {**_plan(self.plan), "request": _request(self.plan.inverse), "detail": "restoring what was before"}
        await self._advance(State.REVERTING, "revert.intent", body, Change(acted_at=self._clock.now()))

    async def reverted(self, written: Written) -> None:
        """As `acted`, for the inverse: it is sent once, and what cannot be told is left to people."""
        now = self._clock.now()
        body = {**_plan(self.plan), **_no(written.reason or Reason.NOT_VERIFIED, written.detail)}
        if written.reason is Reason.REPLY_LOST and written.answer is not Answer.APPLIED and self._is_fresh(now):
            return await self._store.release(self.remediation, due_at=now + READ_BACK_PAUSE, progress={})
        match written.answer:
            case Answer.APPLIED:
                body["detail"] = f"the action did not help and was reverted: {self.plan.summary}"
                await self._advance(State.REVERTED, "outcome.reverted", body)
            case Answer.NOT_APPLIED:
                await self._advance(State.ESCALATED, "decision.escalated", body)
            case Answer.UNKNOWN:
                await self._advance(State.UNKNOWN, "outcome.unknown", body)
        return None

    def _is_fresh(self, now: datetime) -> bool:
        sent = self.remediation.acted_at
        return sent is not None and now - sent < INTENT_LIVES

    async def broken(self, detail: str) -> None:
        """A fault of ours: never act on it, never lose it."""
        body = _no(Reason.INTERNAL_ERROR, detail)
        match self.state:
            case State.VERIFYING | State.REVERTING | State.ACTING:
                await self._advance(State.UNKNOWN, "outcome.unknown", body)
            case State.DIAGNOSING | State.PLANNED | State.FAILED:
                await self._advance(State.ESCALATED, "decision.escalated", body)
            case _ if self.state not in TERMINAL:
                await self.begin()
                await self._advance(State.ESCALATED, "decision.escalated", body)

    async def _advance(self, to: State, kind: str, body: Mapping[str, Json], change: Change | None = None) -> None:
        reason = body.get("reason")
        change = change or Change()
        if change.reason is None and reason is not None:
            change = _with(change, reason=Reason(reason))
        alert = self.remediation.alert
        known = {
            "alertname": alert.name,
            "fingerprint": alert.fingerprint,
            "rule": self.remediation.rule,
            "severity": self.remediation.severity,
            "action_id": self.remediation.action_id,
            **(_object(self.remediation.target) if self.remediation.target else {}),
        }
        record = Record(kind, {**known, **self._known, "from": self.state.value, "to": to.value, **body})
        self.remediation = await self._store.advance(
            self.remediation, to=to, record=record, at=self._clock.now(), change=change
        )

    def _installed(self, plan: Plan) -> tuple[TemplateEvent, ...]:
        return (
            *self._event(ROLLED_BACK_FROM, plan.details.get("from_hash")),
            *self._event(INSTALLED, plan.details.get("to_hash")),
        )

    def _event(self, event: str, template_hash: Json) -> tuple[TemplateEvent, ...]:
        if not isinstance(template_hash, str):
            return ()
        return (TemplateEvent(self.plan.target.uid, template_hash, event, self._clock.now()),)


def _no(reason: Reason, detail: str) -> dict[str, Json]:
    return {"reason": reason.value, "detail": detail}


def _with(change: Change, **columns: Json) -> Change:
    return replace(change, **columns)


def _object(target: Target) -> dict[str, Json]:
    return {
        "target": str(target),
        "object": {
            "cluster": target.cluster,
            "kind": target.kind,
            "namespace": target.namespace,
            "name": target.name,
            "uid": target.uid,
        },
    }


def _plan(plan: Plan) -> dict[str, Json]:
    return {
        "action": plan.action,
        "plan": {"summary": plan.summary, "before": plan.before, "after": plan.after, "details": dict(plan.details)},
    }


def _request(request: Request) -> Json:
    return {
        "method": request.method,
        "path": request.path,
        "content_type": request.content_type,
        "query": dict(request.query),
        "body": request.body,
    }


def _verdicts(ruling: Ruling) -> Json:
    return [
        {"guard": v.guard, "decision": v.decision.value, "reason": v.reason.value, "detail": v.detail}
        for v in ruling.verdicts
    ]


def _evidence_line(seen: Verification) -> str:
    return "; ".join(f"{name} {entry['look']}: {entry['detail']}" for name, entry in seen.evidence.items())
