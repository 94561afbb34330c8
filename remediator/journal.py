"""Step 9 of an alert, and every step's end: its answer becomes a state and a record, in one transaction.

`pipeline.py` calls one method here for each way a step can end. Nothing here decides; it words, and commits. A method
returns when the record is durable, and raises LostClaim when the remediation is no longer ours to move.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.actions.base import NoPlan
from remediator.actions.rollback.preconditions import INSTALLED, ROLLED_BACK_FROM, SEEN_GOOD
from remediator.actions.write import Written
from remediator.checks.verify import Verification
from remediator.clock import Clock, rfc3339
from remediator.course import Course, object_of
from remediator.diagnose.diagnose import Diagnosis
from remediator.disclosed import (
    commitment,
    disclosed_request,
    hash_of,
)
from remediator.guards.base import View
from remediator.guards.check import Ruling
from remediator.guards.spending import reason_of, room_at
from remediator.guards.stop import Stop
from remediator.kube.base import TooLate
from remediator.model import TERMINAL, Answer, Json, Mode, Outcome, Plan, Remediation, Request, State, Target
from remediator.proof import Proven
from remediator.reasons import Reason
from remediator.rules.match import NoMatch
from remediator.rules.plan import Planned
from remediator.rules.ruleset import RuleSet
from remediator.rules.schema import Rule
from remediator.store.approvals_base import Approval, plan_hash
from remediator.store.base import Change, LostClaim, Store, TemplateEvent
from remediator.store.budgets_base import BudgetUsed, Use
from remediator.target.labels import NoTarget
from remediator.target.resolve import Resolved
from remediator.units import format_duration
from remediator.verdicts import AffectedPod, Bound, Decision

APPROVAL_WITHIN = timedelta(minutes=15)
CONFLICT_PAUSE = timedelta(seconds=2)
READ_BACK_PAUSE = timedelta(seconds=5)
INTENT_LIVES = timedelta(seconds=120)
"""How long a request that got no reply may still arrive (the API server ends requests after 60 s by default)."""

MAX_TRIES = 3
"""How often a conflict may send a decision back to the start (kubernetes-actions: at most 3 times)."""

DECIDE_AGAIN = frozenset({Reason.CONFLICT, Reason.REPLY_LOST, Reason.NOT_SENT, Reason.DISRUPTION_BUDGET})
"""Why a first request was not done, where deciding again may lead to one that is."""

ONLY_SAYS = frozenset({Mode.OFF, Mode.SILENT})
"""Modes in which it would not have been done either, and a recommendation calls nobody."""

MAY_BE_OVER = frozenset({Reason.ALERT_NOT_FIRING, Reason.ALERT_SILENCED, Reason.RESOLVED_UNCONFIRMED})
"""What held it where it may fire no longer, or a person wants to hear nothing of it."""

SPOKEN_FOR = frozenset({Reason.STORM, Reason.SHARED_CAUSE})
"""Why people are not called for one of many: they are for all of them."""

_BY_HARM = ("done", "theirs", "not-done", "unknown")
"""What can become of an inverse: `theirs` is what someone changed or deleted meanwhile, and so is left alone."""


class Journal:
    """One claimed remediation on its way; `remediation` is always as last committed."""

    def __init__(self, remediation: Remediation, *, store: Store, clock: Clock, rules: RuleSet) -> None:
        """`rules` is the table in force, which says whom to call."""
        self._course = Course(remediation, store=store, clock=clock, rules=rules)
        self._clock = clock
        self._rules = rules

    @property
    def remediation(self) -> Remediation:
        return self._course.remediation

    @property
    def state(self) -> State:
        return self._course.state

    @property
    def plan(self) -> Plan:
        return self._course.plan

    @property
    def rule(self) -> str:
        return self._course.rule

    @property
    def step(self) -> int:
        return self._course.step

    @property
    def audit_id(self) -> str:
        return self._course.audit_id

    @property
    def acted_at(self) -> datetime:
        return self._course.acted_at

    async def hold(self, lease: timedelta) -> float:
        return await self._course.hold(lease)

    @contextmanager
    def noting_unsent(self) -> Iterator[None]:
        """Around the sending: what the gate stopped has certainly not left, and whoever looks next need not wait until
        it cannot arrive any more. It stands beside the intent if nobody has taken the remediation meanwhile."""
        try:
            yield
        except (LostClaim, TooLate):
            progress = {**self.remediation.progress, "unsent": self.audit_id}
            self._course.remediation = replace(self.remediation, progress=progress)
            raise

    async def begin(self, *, decide_by: datetime | None = None) -> None:
        """Decide, or decide again: what was read before may no longer hold. It is held until `decide_by` at most, None:
        as long as it has to be."""
        self._course.decide_by = decide_by
        await self._course.advance(State.DIAGNOSING, "step.diagnosing", {})

    async def resolved_before_acting(self) -> None:
        detail = "Alertmanager reported it resolved before anything was done"
        await self._course.advance(State.CANCELLED, "decision.cancelled", _no(Reason.ALERT_RESOLVED, detail))

    async def resolved_unconfirmed(self, doubt: str, *, at: datetime) -> None:
        """Nothing is done for it, and it is not over: to be looked at again at that time."""
        await self.begin()
        body = {**_no(Reason.RESOLVED_UNCONFIRMED, doubt), "until": rfc3339(at)}
        await self._course.advance(State.HELD, "decision.held", body, Change(due_at=at))

    async def expired(self, within: timedelta, *, doubt: str | None) -> None:
        """For that long not decided: held back, or we could not look. What was severe, and more than to be recommended,
        is people's then (`course.py`). `doubt` is why its resolution does not count, None: there was none."""
        waited, plan = format_duration(within), self.remediation.plan
        if doubt is not None:
            reason, detail = Reason.RESOLVED_UNCONFIRMED, f"no decision within {waited}; {doubt}"
        elif self.state is State.HELD:
            reason = self.remediation.reason
            detail = f"no decision to act within {waited}; last: {reason}"
        else:
            reason, detail = Reason.DECISION_EXPIRED, f"could not be decided within {waited}"
        detail += "" if plan is None else f"; would {plan.summary}"
        body = _no(reason, detail)
        if self.rule and self.remediation.mode not in ONLY_SAYS and reason not in MAY_BE_OVER:
            await self._course.run_out(body)
        else:
            await self._course.advance(State.EXPIRED, "decision.expired", body)

    async def approval_expired(self) -> None:
        """Nobody said yes or no to the plan. What is severe is people's then: it was not to wait (`course.py`)."""
        waited, plan = format_duration(APPROVAL_WITHIN), self.remediation.plan
        wanted = "" if plan is None else f": would {plan.summary}"
        body = _no(Reason.APPROVAL_EXPIRED, f"nobody approved or denied it within {waited}{wanted}")
        await self._course.run_out(body)

    async def denied(self, said: Approval) -> None:
        body = {**_no(Reason.APPROVAL_DENIED, f"denied by {said.by}: {said.comment}"), "plan_hash": said.plan_hash}
        await self._course.advance(State.CANCELLED, "decision.cancelled", body)

    async def no_rule(self, miss: NoMatch) -> None:
        nearest = f"; nearest rule {miss.nearest}: {miss.why}" if miss.nearest else ""
        body = {**_no(Reason.NO_RULE, f"no rule matches{nearest}"), "nearest": miss.nearest}
        await self._course.advance(State.DECLINED, "decision.declined", body)

    def matched(self, rule: Rule, severity: int) -> None:
        """What all later records name. Said again once the target may have changed the severity."""
        self._course.severity, self._course.sense = severity, rule.sense
        self._course.known |= {"rule": rule.name, "rule_digest": rule.digest, "severity": severity}
        self._course.known |= {"contact": self._rules.escalation.row(rule.contact), "runbook_url": rule.runbook_url}
        self._course.known |= {"rules_commit": self._rules.commit} if self._rules.commit else {}

    async def no_target(self, rule: Rule, answer: NoTarget) -> None:
        change = Change(reason=answer.reason, rule=rule.name, severity=self._course.severity)
        await self._course.advance(State.DECLINED, "decision.declined", _no(answer.reason, answer.detail), change)

    def found(self, resolved: Resolved) -> None:
        self._course.known |= {**object_of(resolved.target), "target_chain": list(resolved.chain)}

    async def target_gone(self, rule: Rule, target: Target) -> None:
        change = Change(rule=rule.name, severity=self._course.severity, target=target)
        body = _no(Reason.TARGET_NOT_FOUND, f"{target} went away while it was looked at")
        await self._course.advance(State.DECLINED, "decision.declined", body, change)

    async def planned(
        self, rule: Rule, target: Target, diagnosis: Diagnosis, affected: Sequence[AffectedPod], planned: Planned
    ) -> None:
        """A plan, or the row's, action's or precondition's "no" with its advice. Where that is to call people, it is
        still open whether there are many to be called for."""
        facts = {"cause": diagnosis.cause.value, "rows": planned.trace, "rule_text": rule.as_json()}
        facts |= {"evidence": [finding.summary for finding in diagnosis.evidence], "facts": planned.evidence.as_json()}
        if (owner := diagnosis.owner) is not None:
            self._course.known |= {"contact": self._rules.escalation.row(owner)}
        change = Change(
            rule=rule.name,
            severity=self._course.severity,
            target=target,
            diagnosis=diagnosis.as_json(),
            affected=affected,
        )
        if isinstance(planned.answer, Plan):
            body = {**facts, **self._course.told(planned.answer), **_no(Reason.NONE, planned.answer.summary)}
            await self._course.advance(State.PLANNED, "step.planned", body, _with(change, plan=planned.answer))
            return
        await self._not_planned(planned.answer, facts, change)

    async def _not_planned(self, answer: NoPlan, facts: Mapping[str, Json], change: Change) -> None:
        if answer.is_escalation:
            await self._course.advance(State.DIAGNOSING, "step.diagnosed", facts, change)
            return
        body = {**facts, **_no(answer.reason, answer.detail), "advice": answer.advice}
        if answer.reason is Reason.NOT_OBSERVED and self.remediation.tries < MAX_TRIES:
            due = self._clock.now() + timedelta(seconds=10)
            again = _with(change, due_at=due, tries=self.remediation.tries + 1)
            await self._course.advance(State.HELD, "decision.held", {**body, "until": rfc3339(due)}, again)
        else:
            await self._course.advance(State.RECOMMENDED, "decision.recommended", body, change)

    async def call_people(self, answer: NoPlan, ruling: Ruling) -> None:
        """Of this target; or, where a gate says that many fail together, of that, once."""
        verdict = ruling.deciding
        body = {**_no(answer.reason, answer.detail), "advice": answer.advice, "verdicts": _verdicts(ruling)}
        if verdict.reason not in SPOKEN_FOR:  # also where a gate cannot tell
            await self._course.advance(State.ESCALATED, "decision.escalated", body)
            return
        body |= {"guard": verdict.guard, **_no(verdict.reason, f"{answer.detail}; {verdict.guard}: {verdict.detail}")}
        change = Change(gates=ruling.gates, gate_calls=self._course.gate_calls(ruling))
        if verdict.decision is Decision.HOLD and verdict.until is not None:
            body["until"] = rfc3339(verdict.until)
            await self._course.advance(State.HELD, "decision.held", body, _with(change, due_at=verdict.until))
        else:
            await self._course.advance(State.RECOMMENDED, "decision.recommended", body, change)

    async def not_allowed(self, ruling: Ruling, mode: Mode, proven: Proven | None) -> None:
        """A guard said no, not yet, or ask; or only the mode keeps it from being done. `proven` says whether it could
        have been."""
        verdict, plan = ruling.deciding, self.plan
        body = {**self._course.told(plan), **_no(verdict.reason, verdict.detail), "guard": verdict.guard}
        body["verdicts"] = _verdicts(ruling)
        body |= {} if proven is None else {"proof": proven.as_json()}
        change = Change(mode=mode, gates=ruling.gates, gate_calls=self._course.gate_calls(ruling))
        match verdict.decision:
            case Decision.HOLD:
                until = verdict.until or self._clock.now() + timedelta(minutes=1)
                body["until"] = rfc3339(until)
                await self._course.advance(State.HELD, "decision.held", body, _with(change, due_at=until))
            case Decision.ASK:
                until = self._clock.now() + APPROVAL_WITHIN
                body |= {"until": rfc3339(until), "plan_hash": plan_hash(plan)}
                body["costs"] = [str(budget) for budget in ruling.budgets]
                asked = [step.request for step in plan.steps]
                body["requests"] = [disclosed_request(one, self._course.redactor, salt=plan.salt) for one in asked]
                change = _with(change, due_at=until, scored=self._course.sense)
                await self._course.advance(State.AWAITING_APPROVAL, "decision.awaiting-approval", body, change)
            case Decision.RECOMMEND:
                body["detail"] = f"would {plan.summary}"
                body["advice"] = plan.details.get("kubectl", "")
                if verdict.reason is Reason.MODE_SILENT:  # nothing else keeps it from being done: it would have cost
                    course = self._course
                    costs = {"budgets": ruling.budgets, "rule_digest": course.rule_digest, "scored": course.sense}
                    change = _with(change, **costs)
                try:
                    await self._course.advance(State.RECOMMENDED, "decision.recommended", body, change)
                except BudgetUsed as error:
                    await self._no_room(error.use, mode)
            case Decision.ESCALATE:
                body["detail"] = f"would {plan.summary}, but {verdict.guard}: {verdict.detail}"
                await self._course.advance(State.ESCALATED, "decision.escalated", body, change)
            case _ if verdict.reason is Reason.ALERT_RESOLVED:
                await self._course.advance(State.CANCELLED, "decision.cancelled", body, change)
            case _ if verdict.reason is Reason.MODE_OFF:
                await self._course.advance(State.DECLINED, "decision.declined", body, change)
            case _:
                body["detail"] = f"would {plan.summary}, but {verdict.guard}: {verdict.detail}"
                await self._course.advance(State.RECOMMENDED, "decision.recommended", body, change)

    async def intend(self, ruling: Ruling, view: View, *, clock_offset_seconds: float | None) -> bool:
        """Commit the exact first request before it is sent, and debit what it costs. False: someone else took the last
        slot of a budget since the guards looked; it is held until there is room."""
        approval = view.approval if view.approval is not None and view.approval.is_granted else None
        body = {"verdicts": _verdicts(ruling), "detail": self.plan.summary, "generation": self.plan.generation}
        body |= {"mode": view.mode.value, "clock_offset_seconds": clock_offset_seconds}
        body |= {} if approval is None else {"approver": approval.by, "approved_at": rfc3339(approval.at)}
        request = self.plan.steps[0].request
        try:
            await self._intend(State.ACTING, "action.intent", 0, body, request, budgets=ruling.budgets, mode=view.mode)
        except BudgetUsed as error:
            await self._no_room(error.use, view.mode)
            return False
        return True

    async def _no_room(self, use: Use, mode: Mode) -> None:
        due = room_at(use, self._clock.now())
        body = {**self._course.told(self.plan), **_no(reason_of(use), str(use)), "until": rfc3339(due)}
        await self._course.advance(State.HELD, "decision.held", body, Change(due_at=due, mode=mode))

    async def _intend(
        self,
        to: State,
        kind: str,
        number: int,
        body: Mapping[str, Json],
        request: Request,
        *,
        budgets: tuple[Bound, ...] = (),
        mode: Mode | None = None,
    ) -> None:
        is_again = to is self.state and number == self.step
        audit_id = str(uuid.uuid4())
        steps = {"step": number + 1, "of": len(self.plan.steps), "audit_id": audit_id}
        progress = {**self._memory(), "step": number, "audit_id": audit_id}
        tries = self.remediation.tries + 1 if is_again else None
        change = Change(
            mode=mode,
            acted_at=self._clock.now(),
            progress=progress,
            tries=tries,
            budgets=budgets,
            rule_digest=self._course.rule_digest,
        )
        told = disclosed_request(request, self._course.redactor, salt=self.plan.salt)
        written = {**self._course.told(self.plan), **steps, **self._what(number, request), **body, "request": told}
        await self._course.advance(to, kind, written, change)

    def _what(self, number: int, request: Request) -> dict[str, Json]:
        """The write in names and hashes, which stay in the record whatever is taken back of it."""
        step, salt = self.plan.steps[number], self.plan.salt
        before, after = (step.before, step.after) if request is step.request else (step.after, step.before)
        return {
            "verb": request.method,
            "touched": {"kind": step.touched.kind, "namespace": step.touched.namespace, "name": step.touched.name},
            "touched_uid": step.touched.uid,
            "request_hash": commitment(request, salt=salt),
            "before_hash": hash_of(before, salt=salt),
            "after_hash": hash_of(after, salt=salt),
        }

    def _memory(self) -> Mapping[str, Json]:
        """What the steps before left to remember, and nothing of a check's memory."""
        return {name: self.remediation.progress[name] for name in ("worst",) if name in self.remediation.progress}

    async def stopped(self, stop: Stop) -> None:
        """What forbids it came between the intent and the write: nothing was sent."""
        due = stop.ask_again_at(self._clock.now())
        body = {**self._course.told(self.plan), **_no(stop.reason, stop.detail), "until": rfc3339(due)}
        await self._course.advance(State.HELD, "decision.held", body, Change(due_at=due))

    async def acted(self, written: Written) -> bool:
        """Applied: on to the next step, after the last one watch it. Not applied: decide again, a few times, then hand
        it to people; after an earlier step was done, watch what it led to. Unknown: people. True: the intent of a
        further step is committed, and it may be sent.

        While the intent is fresh, a request whose reply was lost may still be on its way: only look again, never send.
        """
        plan, number, now = self.plan, self.step, self._clock.now()
        body = {**self._course.told(plan), **_no(written.reason, written.detail), "generation": written.generation}
        body |= {"step": number + 1, "of": len(plan.steps)}
        if self._may_still_arrive(written, now):
            await self._course.release(due_at=now + READ_BACK_PAUSE, progress={"step": number})
            return False
        if written.answer is Answer.UNKNOWN:
            await self._course.advance(State.UNKNOWN, "outcome.unknown", body)
        elif written.answer is Answer.APPLIED and number + 1 < len(plan.steps):
            done = {"detail": f"{written.detail} ({plan.steps[number].touched})"}
            following = plan.steps[number + 1].request
            await self._intend(State.ACTING, "action.intent", number + 1, {"before": {**body, **done}}, following)
            return True
        elif number > 0 and self._may_send_again(written):
            again = {"detail": f"{written.detail}: sending it again"}
            await self._intend(State.ACTING, "action.intent", number, again, plan.steps[number].request)
            return True
        elif written.answer is Answer.APPLIED or number > 0:
            # What was not done after a first step was, verification tells; the inverse is of what was done.
            done_steps = plan.steps[: number + 1 if written.answer is Answer.APPLIED else number]
            if written.answer is Answer.APPLIED:
                body["detail"] = plan.summary
            change = Change(plan=replace(plan, steps=done_steps), progress={}, ledger=self._installed(plan))
            await self._course.advance(State.VERIFYING, "action.applied", body, change)
        elif written.reason in DECIDE_AGAIN and self.remediation.tries < MAX_TRIES:
            change = Change(tries=self.remediation.tries + 1)
            await self._course.advance(State.DIAGNOSING, "action.not-applied", body, change)
            await self._course.release(due_at=now + CONFLICT_PAUSE, progress={})
        else:
            await self._course.advance(State.ESCALATED, "decision.escalated", body)
        return False

    async def look_again(self, seen: Verification, *, at: datetime) -> None:
        await self._course.release(due_at=at, progress=seen.memory)

    async def concluded(self, seen: Verification) -> None:
        """Verified, failed or unknown, with the evidence of each check."""
        assert seen.outcome is not None
        body = {**self._course.told(self.plan), "evidence": dict(seen.evidence), "detail": _evidence_line(seen)}
        match seen.outcome:
            case Outcome.VERIFIED if self.plan.restore_after is not None and self.plan.is_reversible:
                due = self._clock.now() + self.plan.restore_after
                body["until"] = rfc3339(due)
                change = Change(due_at=due, progress={})
                await self._course.advance(State.TEMPORARY, "outcome.temporary", body, change)
            case Outcome.VERIFIED:
                good = self._course.event(SEEN_GOOD, self.plan.details.get("to_hash"))
                await self._course.advance(State.VERIFIED, "outcome.verified", body, Change(ledger=good))
            case Outcome.FAILED:
                body |= {"reason": Reason.NOT_VERIFIED.value}
                await self._course.advance(State.FAILED, "outcome.failed", body)
            case Outcome.UNKNOWN:
                body |= {"reason": Reason.EVIDENCE_MISSING.value}
                await self._course.advance(State.UNKNOWN, "outcome.unknown", body)

    async def escalate_failure(self, detail: str) -> None:
        body = {**self._course.told(self.plan), **_no(Reason.NOT_VERIFIED, detail)}
        await self._course.advance(State.ESCALATED, "decision.escalated", body)

    async def intend_revert(self) -> None:
        """Commit the inverse of the last step that has one before it is sent."""
        await self._intend_undo(State.REVERTING, len(self.plan.steps), "restoring what was before")

    async def intend_restore(self) -> None:
        """As `intend_revert`, for what helped and was meant for a time only."""
        await self._intend_undo(State.RESTORING, len(self.plan.steps), "it helped and is over: giving back")

    async def _intend_undo(self, to: State, below: int, detail: str) -> None:
        number = self._undoable(below)
        assert number is not None
        inverse = self.plan.steps[number].inverse
        assert inverse is not None
        kind = "revert.intent" if to is State.REVERTING else "restore.intent"
        await self._intend(to, kind, number, {"detail": detail}, inverse)

    def _undoable(self, below: int) -> int | None:
        return next((n for n in range(below - 1, -1, -1) if self.plan.steps[n].inverse is not None), None)

    async def undone(self, written: Written) -> bool:
        """As `acted`, for an inverse, the last step's first. True: one may be sent.

        What somebody changed meanwhile is left as it is. After a restore that is an end like any other; after a
        failure it is people's, and so is whatever cannot be told.
        """
        now, number = self._clock.now(), self.step
        if self._may_still_arrive(written, now):
            progress = {**self._memory(), "step": number}
            await self._course.release(due_at=now + READ_BACK_PAUSE, progress=progress)
            return False
        if self._may_send_again(written):
            await self._intend_undo(self.state, number + 1, f"{written.detail}: sending it again")
            return True
        worst = max(self.remediation.progress.get("worst", "done"), _what_became_of(written), key=_BY_HARM.index)
        if self._undoable(number) is not None:
            self._course.remediation = replace(self.remediation, progress={**self.remediation.progress, "worst": worst})
            await self._intend_undo(self.state, number, f"{written.detail} ({self.plan.steps[number].touched})")
            return True
        is_restore = self.state is State.RESTORING
        body = {**self._course.told(self.plan), **_no(written.reason or Reason.NOT_VERIFIED, written.detail)}
        if worst == "unknown":
            await self._course.advance(State.UNKNOWN, "outcome.unknown", body)
        elif is_restore and worst in ("done", "theirs"):
            given = "given back" if worst == "done" else "what someone changed meanwhile stays as they want it"
            detail = f"it helped; {given}: {self.plan.summary}"
            await self._course.advance(State.VERIFIED, "outcome.verified", {**body, **_no(Reason.NONE, detail)})
        elif worst == "done":
            body["detail"] = f"the action did not help and was reverted: {self.plan.summary}"
            await self._course.advance(State.REVERTED, "outcome.reverted", body)
        else:
            await self._course.advance(State.ESCALATED, "decision.escalated", body)
        return False

    def _may_send_again(self, written: Written) -> bool:
        """Provably not done, and too old to arrive any more; the request's own tests still guard it."""
        is_lost = written.reason is Reason.REPLY_LOST and written.answer is Answer.NOT_APPLIED
        return is_lost and self.remediation.tries < MAX_TRIES

    def _may_still_arrive(self, written: Written, now: datetime) -> bool:
        sent = self.remediation.acted_at
        is_fresh = sent is not None and now - sent < INTENT_LIVES
        is_unsent = bool(self.audit_id) and self.remediation.progress.get("unsent") == self.audit_id
        is_lost = written.reason is Reason.REPLY_LOST and written.answer is not Answer.APPLIED
        return is_lost and is_fresh and not is_unsent

    async def broken(self, detail: str) -> None:
        """A fault of ours: never act on it, never lose it."""
        body = _no(Reason.INTERNAL_ERROR, detail)
        match self.state:
            case State.VERIFYING | State.REVERTING | State.RESTORING | State.ACTING:
                await self._course.advance(State.UNKNOWN, "outcome.unknown", body)
            case State.DIAGNOSING | State.PLANNED | State.FAILED | State.TEMPORARY:
                await self._course.advance(State.ESCALATED, "decision.escalated", body)
            case _ if self.state not in TERMINAL:
                await self.begin()
                await self._course.advance(State.ESCALATED, "decision.escalated", body)

    def _installed(self, plan: Plan) -> tuple[TemplateEvent, ...]:
        return (
            *self._course.event(ROLLED_BACK_FROM, plan.details.get("from_hash")),
            *self._course.event(INSTALLED, plan.details.get("to_hash")),
        )



def _what_became_of(inverse: Written) -> str:
    if inverse.answer is Answer.NOT_APPLIED:
        return "theirs" if inverse.reason in (Reason.CONFLICT, Reason.TARGET_NOT_FOUND) else "not-done"
    return "done" if inverse.answer is Answer.APPLIED else "unknown"


def _no(reason: Reason, detail: str) -> dict[str, Json]:
    return {"reason": reason.value, "detail": detail}


def _with(change: Change, **columns: Json) -> Change:
    return replace(change, **columns)


def _verdicts(ruling: Ruling) -> Json:
    return [
        {"guard": v.guard, "decision": v.decision.value, "reason": v.reason.value, "detail": v.detail}
        for v in ruling.verdicts
    ]


def _evidence_line(seen: Verification) -> str:
    return "; ".join(f"{name} {entry['look']}: {entry['detail']}" for name, entry in seen.evidence.items())
