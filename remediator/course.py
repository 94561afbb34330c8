"""One claimed remediation on its way: what is known of it, and the one move that commits a state with its record.

`journal.py` says what happened, in words; here it is put together, without secrets, and committed.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.clock import Clock, rfc3339, steady_seconds
from remediator.disclosed import NEEDS_REQUESTS, disclosed_plan, disclosed_summary
from remediator.guards import cluster_health, flap, storm
from remediator.guards.check import Ruling
from remediator.model import Json, Plan, Remediation, State, Target
from remediator.reasons import Reason
from remediator.redact import Redactor
from remediator.rules.escalation import INFRASTRUCTURE
from remediator.rules.ruleset import RuleSet
from remediator.store.base import Change, LostClaim, Record, Store, TemplateEvent
from remediator.store.escalations_base import Call
from remediator.verdicts import Gate

CALLS_PEOPLE = frozenset({State.ESCALATED, State.UNKNOWN, State.REVERTED})
"""What a remediation ends in when people are needed."""

ACTS_AT_ONCE = (1, 2)
"""Severities that wait for nothing (`rules/severity.py`): one of them whose time ran out is people's to look at. The
others have been watched for a while, and may heal as they did not for the question."""

MANY = 5
"""So many open escalations to one contact for the same reason: what runs out after them is told as one."""

MANY_QUIET = timedelta(hours=1)
"""How long none may run out until that one is over: severe ones are then passed on down a whole row."""


class Course:
    """`remediation` is always as last committed. `known` is what all later records name, `severity` the one that holds,
    `sense` says how the rule is scored; `decide_by` is when its time runs out, None: it is not being decided;
    `redactor` has seen the texts of the plan."""

    def __init__(self, remediation: Remediation, *, store: Store, clock: Clock, rules: RuleSet) -> None:
        """`rules` is the table in force, which says whom to call."""
        self.remediation = remediation
        self.known: dict[str, Json] = {}
        self.severity = remediation.severity
        self.sense = ""
        self.decide_by: datetime | None = None
        self.redactor = Redactor()
        self._store = store
        self._clock = clock
        self._rules = rules
        self._plan = remediation.plan

    @property
    def state(self) -> State:
        return self.remediation.state

    @property
    def plan(self) -> Plan:
        """The exact plan; committed from `acting` on."""
        assert self._plan is not None
        return self._plan

    @property
    def rule(self) -> str:
        """The name of the rule that asked for it; empty before one matched."""
        return str(self.known.get("rule") or self.remediation.rule or "")

    @property
    def step(self) -> int:
        """The step of the plan whose intent is committed, from 0; while reverting or restoring the one to be undone."""
        return int(self.remediation.progress.get("step", 0))

    @property
    def audit_id(self) -> str:
        """What the request whose intent is committed is called in the API server's audit log."""
        return str(self.remediation.progress.get("audit_id", ""))

    @property
    def acted_at(self) -> datetime:
        """When the write was sent; known from `acting` on."""
        assert self.remediation.acted_at is not None
        return self.remediation.acted_at

    @property
    def rule_digest(self) -> str:
        return str(self.known.get("rule_digest", ""))

    async def hold(self, lease: timedelta) -> float:
        """Find in the store that the claim is ours and lives, and let it hold for `lease` from now: the steady second
        at which that ends. Raises LostClaim: also for a claim that ran out and that nobody has taken yet."""
        asked, at = steady_seconds(), self._clock.now()  # before the store, whose answer may take its time
        await self._store.renew(self.remediation, at=at, lease=lease)
        if self._clock.now() - at >= lease:
            raise LostClaim(f"remediation {self.remediation.id}: the claim ran out while the store was asked for it")
        return asked + lease.total_seconds()

    async def advance(self, to: State, kind: str, body: Mapping[str, Json], change: Change | None = None) -> None:
        reason = body.get("reason")
        change = self._with_plan(to, change or Change())
        if to is State.HELD and self.decide_by is not None and change.due_at is not None:
            # A freeze or a budget may hold for days: that its time is over must be seen when it is.
            due_at = min(change.due_at, self.decide_by)
            change, body = replace(change, due_at=due_at), {**body, "until": rfc3339(due_at)}
        if change.reason is None and reason is not None:
            change = replace(change, reason=Reason(reason))
        alert = self.remediation.alert
        known = {
            "alertname": alert.name,
            "fingerprint": alert.fingerprint,
            "rule": self.remediation.rule,
            "severity": self.remediation.severity,
            "action_id": self.remediation.action_id,
            **(object_of(self.remediation.target) if self.remediation.target else {}),
        }
        told = {**known, **self.known, "from": self.state.value, "to": to.value, **body}
        # The rule is the operator's own text, and its digest stands beside it: it stays as it was.
        shown = self.redactor.object
        record = Record(kind, {name: told[name] if name == "rule_text" else shown(told[name]) for name in told})
        if to in CALLS_PEOPLE:
            change = replace(change, call=self._call(record.body))
        self.remediation = await self._store.advance(
            self.remediation, to=to, record=record, at=self._clock.now(), change=change
        )

    async def run_out(self, body: Mapping[str, Json]) -> None:
        """Its time is over while it fires, and it would have been acted on: what was not to wait calls people."""
        change = Change()
        if self.severity in ACTS_AT_ONCE and not await self._are_told(Reason(body["reason"])):
            change = await self._call_of_one_or_many(self._call(self.redactor.object(body)))
        await self.advance(State.EXPIRED, "decision.expired", body, change)

    async def _are_told(self, reason: Reason) -> bool:
        """Whether the gate that held it stands, and has called people when it was entered."""
        keys = {
            Reason.STORM: storm.KEY,
            Reason.CLUSTER_UNHEALTHY: cluster_health.KEY,
            Reason.FLAPPING: flap.key_of(self.remediation.fingerprint),
        }
        standing = await self._store.gates(at=self._clock.now())
        return any((gate.cluster, gate.key) == (self._cluster, keys.get(reason)) for gate in standing)

    async def _call_of_one_or_many(self, call: Call) -> Change:
        """A kill switch or a server that is away holds up a whole cluster's alerts, which then run out together."""
        same = (call.contact, call.reason, self._cluster)
        open_ones = await self._store.escalations()
        if sum((one.contact, one.reason, one.cluster) == same for one in open_ones) < MANY:
            return Change(call=call)
        key = f"ran-out/{call.reason}/{call.contact}"
        detail = f"more than {MANY} of severity 1 or 2 ran out of their time; one of them: {call.detail}"
        gate = Gate(key, call.reason, detail, MANY_QUIET)
        many = self._rules.escalation.call(call.contact, severity=1, reason=call.reason, detail=detail)
        return Change(gates=(gate,), gate_calls={key: many})

    @property
    def _cluster(self) -> str:
        """As escalations and gates have it; empty before the target is known."""
        return "" if self.remediation.target is None else self.remediation.target.cluster

    async def release(self, *, due_at: datetime, progress: Mapping[str, Json]) -> None:
        """Nothing moved: look at it again then. Raises LostClaim."""
        await self._store.release(self.remediation, due_at=due_at, progress=progress)

    def _call(self, body: Mapping[str, Json]) -> Call:
        """To the contact of the rule, or of the dependency that is to blame; who is called wants the advice too."""
        contact, reason = self.known.get("contact"), Reason(body.get("reason") or Reason.NONE)
        if contact is None and (rule := self._rules.rule(self.rule)) is not None:
            contact = rule.contact
        detail = "; ".join(str(body[name]) for name in ("detail", "advice") if body.get(name))
        return self._rules.escalation.call(contact, severity=self.severity, reason=reason, detail=detail)

    def gate_calls(self, ruling: Ruling) -> Mapping[str, Call]:
        return {gate.key: self._gate_call(gate) for gate in ruling.gates}

    def _gate_call(self, gate: Gate) -> Call:
        """An alert that flaps is its rule's; what many share is no single workload's, and the most severe. A dependency
        that they share is its owner's."""
        own, detail = gate.reason is Reason.FLAPPING, self.redactor.object(gate.detail)
        is_its = own or gate.key.startswith("shared-cause/dependency/")
        contact, severity = self.known["contact"] if is_its else INFRASTRUCTURE, self.severity if own else 1
        return self._rules.escalation.call(contact, severity=severity, reason=gate.reason, detail=detail)

    def _with_plan(self, to: State, change: Change) -> Change:
        """The exact requests are committed with the first intent, and replaced when none can be sent any more."""
        plan = change.plan or self._plan
        if plan is None or (change.plan is None and (to in NEEDS_REQUESTS) == (self.state in NEEDS_REQUESTS)):
            return change
        self._plan = plan if plan.salt else replace(plan, salt=secrets.token_hex(16))
        if to in NEEDS_REQUESTS:
            return replace(change, plan=self._plan)
        return replace(change, plan=replace(disclosed_plan(self._plan, self.redactor), salt=self._plan.salt))

    def told(self, plan: Plan) -> dict[str, Json]:
        return {"action": plan.action, "plan": disclosed_summary(plan, self.redactor)}

    def event(self, event: str, template_hash: Json) -> tuple[TemplateEvent, ...]:
        if not isinstance(template_hash, str):
            return ()
        return (TemplateEvent(self.plan.target.uid, template_hash, event, self._clock.now()),)


def object_of(target: Target) -> dict[str, Json]:
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
