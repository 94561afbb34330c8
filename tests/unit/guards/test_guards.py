"""Each guard's yes and no; and that without it in the table the forbidden case would go through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.alertmanager.base import Listed
from remediator.anchor.base import Doubt
from remediator.authority import NOTHING, UNLIMITED, Authority
from remediator.guards import GUARDS
from remediator.guards.base import View
from remediator.guards.budgets import BudgetsGuard
from remediator.guards.check import check
from remediator.guards.faults import Faults
from remediator.guards.freeze import Freeze
from remediator.guards.stop import SwitchInCluster
from remediator.kube.base import Conflict, Forbidden
from remediator.kube.workload import Workload
from remediator.model import (
    AffectedPod,
    AtOnce,
    Bound,
    Decision,
    Mode,
    Outcome,
    Plan,
    Reason,
    RemediationId,
    Scope,
    Target,
)
from remediator.prometheus.base import AlertingRule, Sample
from remediator.redact import redact
from remediator.rules.automaton import compile_pattern
from remediator.rules.schema import PARAMETERS_OF_GUARDS
from remediator.store.base import KillSwitch
from remediator.store.budgets_base import Debit, Forgiven, PastAction, Reset, Spender, Use
from remediator.store.pauses_base import Pause, PauseOf
from remediator.units import Limit
from tests.clocks import FakeClock
from tests.fakes import FakeCluster
from tests.logkeys import DoubtfulLog
from tests.workloads import NOW, TARGET, alert, case
from tests.workloads import workload as bare_workload

PATH = "/apis/apps/v1/namespaces/shop/deployments/checkout"


class FakeStore:
    """What guards ask of the store."""

    def __init__(self) -> None:
        self.switch = KillSwitch(False, "", "", NOW, None)
        self.resolved = False
        self.last: datetime | None = None
        self.spent: dict[Scope, list[datetime]] = {}
        self.under_way: set[Scope] = set()
        self.past: list[PastAction] = []
        self.forgiven: dict[tuple[Forgiven, str], Reset] = {}
        self.workloads = 0
        self.paused: list[Pause] = []
        self.alerting = 1
        self.unseen = 0
        self.changes: list[datetime] = [NOW]
        self.affected: list[AffectedPod] = []
        self.gates: dict[str, datetime] = {}

    async def kill_switch(self) -> KillSwitch:
        return self.switch

    async def is_resolved(self, fingerprint: str, starts_at: datetime) -> bool:
        return self.resolved

    async def last_action_at(self, target: Target, *, is_shadow: bool = False) -> datetime | None:
        return self.last

    async def past_actions(
        self,
        *,
        cluster: str,
        since: datetime,
        rule: str | None = None,
        target: Target | None = None,
        limit: int = 1000,
    ) -> tuple[PastAction, ...]:
        own = [one for one in self.past if one.at > since and rule in (None, one.rule)]
        own = [one for one in own if target is None or one.target == target.key]
        return tuple(sorted(own, key=lambda one: one.at, reverse=True)[:limit])

    async def last_reset(self, what: Forgiven, subject: str) -> Reset | None:
        return self.forgiven.get((what, subject))

    async def alerting_targets(self, *, cluster: str, since: datetime) -> int:
        return self.alerting

    async def alerts_unseen(self, *, since: datetime, at_most: int) -> int:
        return min(self.unseen, at_most)

    async def alert_changes(self, fingerprint: str, *, since: datetime) -> Sequence[datetime]:
        return [at for at in self.changes if at > since]

    async def affected_pods(self, *, cluster: str, since: datetime, limit: int = 2000) -> Sequence[AffectedPod]:
        return self.affected

    async def gate_seen_at(self, key: str, *, cluster: str) -> datetime | None:
        return self.gates.get(key)

    async def pauses(self) -> Sequence[Pause]:
        return self.paused

    async def workload_count(self, *, cluster: str, namespace: str | None = None) -> int:
        return self.workloads

    async def budget_uses(self, spender: Spender, budgets: Sequence[Bound], *, at: datetime) -> Sequence[Use]:
        return [Use(one, tuple(self._inside(one, at))) for one in budgets]

    def _inside(self, budget: Bound, now: datetime) -> list[Debit]:
        if isinstance(budget, AtOnce):
            return [Debit(RemediationId(1), now)] * (budget.count if budget.scope in self.under_way else 0)
        times = self.spent.get(budget.scope, [])
        return [Debit(RemediationId(1), at) for at in times if at > now - budget.limit.per]


def workload(**changes: Any) -> Workload:
    """The workload of the story with the pod that the alert is about."""
    pod = {"metadata": {"namespace": "shop", "name": "checkout-3-a"}, "spec": {}, "status": {}}
    return bare_workload(**{"pods": (pod,), **changes})


class CrashMetrics:
    """A Prometheus that runs the alert's rule; its expression holds for these series."""

    def __init__(self, *series: dict[str, str], age: float = 0, health: str = "ok", is_known: bool = True) -> None:
        self._series = series or ({"namespace": "shop", "pod": "checkout-3-a"},)
        self._rule = AlertingRule(alert().name, "crashes", {}, health, 30.0, NOW - timedelta(seconds=age))
        self._is_known = is_known

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        return [Sample(labels, 1.0) for labels in self._series if labels]

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        return [self._rule] if self._is_known else []


class Lists:
    """An Alertmanager with this to say of every alert."""

    def __init__(self, listed: Listed | None) -> None:
        self._listed = listed

    async def look_up(self, alert: Any) -> Listed | None:
        return self._listed


def view(**changes: Any) -> View:
    """A plan that every guard allows, in active mode; `changes` replace parts of what they see."""
    plan = Rollback().plan(case(), Parameters())
    assert isinstance(plan, Plan)
    cluster = FakeCluster(workload().object, *nodes(4))
    reply = {"metadata": {}, "spec": {"template": plan.after}}
    cluster.replies["PATCH", PATH] = reply
    facts: dict[str, Any] = {
        "plan": plan,
        "alert": alert(),
        "workload": workload(),
        "modes": (Mode.ACTIVE, Mode.ACTIVE),
        "rule": "crash-loop",
        "rule_digest": "d1",
        "limits": (Limit(1, timedelta(minutes=10)), Limit(2, timedelta(hours=1))),
        "severity": 1,
        "severity_allows": frozenset({"rollback"}),
        "severity_wait_until": NOW,
        "now": NOW,
        "cluster": cluster,
        "store": FakeStore(),
        "authority": UNLIMITED,
        "metrics": CrashMetrics(),
        "alertmanager": Lists(Listed(())),
    }
    return View(**{**facts, **changes})


def store(**changes: Any) -> FakeStore:
    one = FakeStore()
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def annotated(**annotations: str) -> Any:
    item = {**workload().object}
    marks = {f"remediator.io/{key.replace('_', '-')}": value for key, value in annotations.items()}
    item["metadata"] = {**item["metadata"], "annotations": {**item["metadata"]["annotations"], **marks}}
    return workload(object=item)


def nodes(ready: int, bad: int = 0, zones: int = 1) -> list[Any]:
    """`n0`, `n1`, ... with the bad ones last, spread over zones in turn."""
    return [
        {
            "kind": "Node",
            "metadata": {"name": f"n{number}", "labels": {"topology.kubernetes.io/zone": f"z{number % zones}"}},
            "status": {"conditions": [{"type": "Ready", "status": "True" if number < ready else "Unknown"}]},
        }
        for number in range(ready + bad)
    ]


def with_nodes(ready: int, bad: int = 0, zones: int = 1) -> FakeCluster:
    seen = view().cluster
    assert isinstance(seen, FakeCluster)
    for number in range(4):
        seen.remove("Node", None, f"n{number}")
    seen.add(*nodes(ready, bad, zones))
    return seen


def counted(failed: int, calls: int) -> Faults:
    faults = Faults("the API server", FakeClock())
    for number in range(calls):
        faults._add(failed=number < failed)
    return faults


def sick(*pods: tuple[str, str], image: str = "", dependency: str = "") -> list[AffectedPod]:
    """Pods by (target, node); `checkout` is the plan's target."""
    return [
        AffectedPod(
            TARGET.key if target == "checkout" else target, f"p{number}", node, image or f"i-{target}", dependency
        )
        for number, (target, node) in enumerate(pods)
    ]


ONE_NODE = sick(("checkout", "n1"), ("a", "n1"), ("b", "n1"), ("c", "n2"))
SPREAD = [("checkout", "n0"), ("a", "n1"), ("b", "n2"), ("c", "n3")]
ELSEWHERE = [("d", "n0"), ("e", "n0"), ("f", "n2"), ("g", "n3")]
ONE_ZONE = sick(("checkout", "n0"), ("a", "n2"), ("b", "n4"), ("c", "n6"))


def answering(reply: Any) -> FakeCluster:
    cluster = FakeCluster(workload().object, *nodes(4))
    cluster.replies["PATCH", PATH] = reply
    return cluster


def changed(**metadata: Any) -> FakeCluster:
    seen = view().cluster
    assert isinstance(seen, FakeCluster)
    seen.peek("Deployment", "shop", "checkout")["metadata"].update(metadata)
    return seen


def past(*outcomes: Outcome | None, target: str = "other", **changes: Any) -> FakeStore:
    """A day with these actions, oldest first, ten minutes apart."""
    first = NOW - timedelta(minutes=10 * len(outcomes) + 60)
    facts: dict[str, Any] = {"rule": "crash-loop", "rule_digest": "d0", "action": "rollback", "namespace": "shop"}
    return store(
        past=[
            PastAction(
                remediation=RemediationId(number),
                target=target,
                at=first + timedelta(minutes=10 * number),
                outcome=outcome,
                is_under_way=outcome is None,
                **{**facts, **changes},
            )
            for number, outcome in enumerate(outcomes, start=1)
        ]
    )


GOOD, BAD, UNKNOWN = Outcome.VERIFIED, Outcome.FAILED, Outcome.UNKNOWN


def switch(**data: str) -> SwitchInCluster:
    item = {"kind": "ConfigMap", "metadata": {"namespace": "r", "name": "switch"}, "data": data}
    return SwitchInCluster("r", "switch", FakeCluster(item))


def unreadable_switch() -> SwitchInCluster:
    cluster = FakeCluster()
    cluster.errors["/api/v1/namespaces/r/configmaps/switch"] = Forbidden("no")
    return SwitchInCluster("r", "switch", cluster)


def elsewhere() -> Plan:
    """The rollback, with a second step on a workload of another namespace."""
    plan = view().plan
    [step] = plan.steps
    return replace(plan, steps=(step, replace(step, touched=replace(TARGET, namespace="pay"))))


ENGAGED = KillSwitch(True, "stop", "me", NOW, None)
NOES: list[tuple[str, str, Decision, Reason, dict[str, Any]]] = [
    ("engaged", "kill-switch", Decision.HOLD, Reason.KILL_SWITCH, {"store": store(switch=ENGAGED)}),
    *(
        (reason.value, "audit", Decision.HOLD, reason, {"log": DoubtfulLog(Doubt(reason, "so it is"))})
        for reason in Reason
        if reason.value.startswith("audit-")
    ),
    (
        "engaged until later",
        "kill-switch",
        Decision.HOLD,
        Reason.KILL_SWITCH,
        {"store": store(switch=replace(ENGAGED, until=NOW + timedelta(minutes=1)))},
    ),
    *(
        (f"ConfigMap {name}", "kill-switch", Decision.HOLD, Reason.KILL_SWITCH, {"switch": one})
        for name, one in {
            "engaged": switch(engaged="true", comment="stop", by="me"),
            "with a typo": switch(engaged="fasle"),
            "without the word": switch(comment="stop"),
            "until later": switch(engaged="true", until="2026-11-23T12:30:00Z"),
            "until whenever": switch(engaged="true", until="tomorrow"),
            "not readable": unreadable_switch(),
        }.items()
    ),
    *(
        (
            f"paused: {what}",
            "pause",
            Decision.HOLD,
            Reason.PAUSED_BY_PERSON,
            {"store": store(paused=[Pause(what, subject, "me", "work", NOW, None)])},
        )
        for what, subject in (
            (PauseOf.RULE, "crash-loop"),
            (PauseOf.NAMESPACE, "shop"),
            (PauseOf.TARGET, "shop/deployment/checkout"),
        )
    ),
    *(
        (name, "freeze", Decision.HOLD, Reason.FREEZE_WINDOW, {"freezes": [Freeze.model_validate(window)]})
        for name, window in {
            "every night": {"name": "night", "from": "11:00", "to": "13:00"},
            "all day": {"name": "Monday", "days": ["mon"]},
            "over midnight": {"name": "night", "days": ["sun"], "from": "22:00", "to": "12:01"},
            "in its own zone": {"name": "morning", "time_zone": "Asia/Tokyo", "from": "20:00", "to": "22:00"},
            "these dates": {"name": "year's end", "dates": ["2026-11-20/2026-11-23"]},
            "this namespace": {"name": "sale", "namespaces": ["pay", "shop"]},
        }.items()
    ),
    *(
        (name, "scope", Decision.REFUSE, Reason.OUTSIDE_CREDENTIAL, {"alert": alert(credential="pay"), **changes})
        for name, changes in {
            "another namespace": {"authority": Authority(namespaces=compile_pattern("pay"))},
            "a part of the namespace": {"authority": Authority(namespaces=compile_pattern("sho"))},
            "another rule": {"authority": Authority(rules=compile_pattern("other"))},
            "no namespace any more": {"authority": NOTHING},
            "a credential that is gone": {"authority": None},
            "no credential where one is asked for": {"authority": None, "alert": alert()},
            "a step elsewhere": {"authority": Authority(namespaces=compile_pattern("shop")), "plan": elsewhere()},
        }.items()
    ),
    ("silent settings", "mode", Decision.RECOMMEND, Reason.MODE_SILENT, {"modes": (Mode.SILENT, Mode.ACTIVE)}),
    ("silent rule", "mode", Decision.RECOMMEND, Reason.MODE_SILENT, {"modes": (Mode.ACTIVE, Mode.SILENT)}),
    ("off", "mode", Decision.REFUSE, Reason.MODE_OFF, {"modes": (Mode.OFF, Mode.ACTIVE)}),
    ("approve", "mode", Decision.ASK, Reason.NEEDS_APPROVAL, {"modes": (Mode.APPROVE, Mode.ACTIVE)}),
    ("silent workload", "mode", Decision.RECOMMEND, Reason.MODE_SILENT, {"workload": annotated(mode="silent")}),
    ("a typo", "mode", Decision.RECOMMEND, Reason.MODE_INVALID, {"workload": annotated(mode="actve")}),
    ("other actions only", "opt-out", Decision.REFUSE, Reason.OPTED_OUT, {"workload": annotated(actions="restart")}),
    (
        "paused by its owner",
        "opt-out",
        Decision.HOLD,
        Reason.OPTED_OUT,
        {"workload": annotated(pause_until="2026-11-23T13:00:00Z")},
    ),
    ("namespace unreadable", "opt-out", Decision.REFUSE, Reason.FACT_MISSING, {"workload": workload(namespace=None)}),
    ("five targets", "storm", Decision.REFUSE, Reason.STORM, {"store": store(alerting=5)}),
    ("a fifth of few", "storm", Decision.REFUSE, Reason.STORM, {"store": store(alerting=4, workloads=20)}),
    ("three of very few", "storm", Decision.REFUSE, Reason.STORM, {"store": store(alerting=3, workloads=4)}),
    ("alerts that nobody looked at", "storm", Decision.HOLD, Reason.STORM, {"store": store(unseen=4)}),
    ("few, with those unseen", "storm", Decision.HOLD, Reason.STORM, {"store": store(unseen=2, workloads=4)}),
    (
        "not calm for long enough",
        "storm",
        Decision.REFUSE,
        Reason.STORM,
        {"store": store(gates={"storm": NOW - timedelta(minutes=9)})},
    ),
    ("one node", "shared-cause", Decision.REFUSE, Reason.SHARED_CAUSE, {"store": store(affected=ONE_NODE)}),
    (
        "one zone",
        "shared-cause",
        Decision.REFUSE,
        Reason.SHARED_CAUSE,
        {"store": store(affected=ONE_ZONE), "cluster": with_nodes(8, zones=2)},
    ),
    (
        "one image",
        "shared-cause",
        Decision.REFUSE,
        Reason.SHARED_CAUSE,
        {"store": store(affected=sick(*SPREAD, image="proxy:2"))},
    ),
    (
        "one dependency",
        "shared-cause",
        Decision.REFUSE,
        Reason.SHARED_CAUSE,
        {"store": store(affected=sick(*SPREAD, dependency="db"))},
    ),
    *(
        (
            f"{bad} of {ready + bad} nodes",
            "cluster-health",
            Decision.HOLD,
            Reason.CLUSTER_UNHEALTHY,
            {"cluster": with_nodes(ready, bad)},
        )
        for ready, bad in ((96, 4), (3, 2), (0, 1))
    ),
    ("no nodes at all", "cluster-health", Decision.REFUSE, Reason.FACT_MISSING, {"cluster": with_nodes(0)}),
    (
        "the API server fails",
        "cluster-health",
        Decision.HOLD,
        Reason.CLUSTER_UNHEALTHY,
        {"faults": [counted(3, 29)]},
    ),
    (
        "comes and goes",
        "flap",
        Decision.HOLD,
        Reason.FLAPPING,
        {"store": store(changes=[NOW - timedelta(minutes=minute) for minute in (29, 20, 10)])},
    ),
    ("resolved", "still-firing", Decision.REFUSE, Reason.ALERT_RESOLVED, {"store": store(resolved=True)}),
    (
        "silenced",
        "still-firing",
        Decision.HOLD,
        Reason.ALERT_SILENCED,
        {"alertmanager": Lists(Listed(("silence 5e6a",)))},
    ),
    ("not listed", "still-firing", Decision.HOLD, Reason.ALERT_NOT_FIRING, {"alertmanager": Lists(None)}),
    ("no longer true", "still-firing", Decision.HOLD, Reason.ALERT_NOT_FIRING, {"metrics": CrashMetrics({})}),
    (
        "true of others only",
        "still-firing",
        Decision.HOLD,
        Reason.ALERT_NOT_FIRING,
        {"metrics": CrashMetrics({"namespace": "pay", "pod": "a"}, {"namespace": "shop", "pod": "other"})},
    ),
    ("no Prometheus", "still-firing", Decision.REFUSE, Reason.FACT_MISSING, {"metrics": None}),
    ("no such rule", "still-firing", Decision.REFUSE, Reason.FACT_MISSING, {"metrics": CrashMetrics(is_known=False)}),
    ("a sick rule", "still-firing", Decision.REFUSE, Reason.FACT_MISSING, {"metrics": CrashMetrics(health="err")}),
    ("a stale rule", "still-firing", Decision.REFUSE, Reason.FACT_MISSING, {"metrics": CrashMetrics(age=91)}),
    ("truncated", "still-firing", Decision.RECOMMEND, Reason.TRUNCATED, {"alert": alert(truncated=2)}),
    (
        "too early",
        "severity",
        Decision.HOLD,
        Reason.SEVERITY_WAITS,
        {"severity_wait_until": NOW + timedelta(minutes=5)},
    ),
    ("another generation", "target-state", Decision.HOLD, Reason.CONFLICT, {"cluster": changed(generation=8)}),
    ("another object", "target-state", Decision.REFUSE, Reason.TARGET_CHANGED, {"cluster": changed(uid="d-2")}),
    ("just acted", "cooldown", Decision.HOLD, Reason.COOLDOWN, {"store": store(last=NOW - timedelta(minutes=14))}),
    (
        "two attempts on it",
        "attempts",
        Decision.ESCALATE,
        Reason.ATTEMPTS_USED,
        {"store": past(BAD, BAD, GOOD, target=TARGET.key, rule="other")},
    ),
    (
        "two in a row did not help",
        "breaker",
        Decision.REFUSE,
        Reason.BREAKER_OPEN,
        {"store": past(GOOD, GOOD, BAD, UNKNOWN)},
    ),
    (
        "three of ten did not help",
        "breaker",
        Decision.REFUSE,
        Reason.BREAKER_OPEN,
        {"store": past(BAD, GOOD, BAD, GOOD, BAD, GOOD, GOOD, GOOD, GOOD, GOOD)},
    ),
    (
        "other rules did not help",
        "breaker",
        Decision.REFUSE,
        Reason.BREAKER_OPEN,
        {"store": past(BAD, BAD, rule="other")},
    ),
    (
        "the changed rule is under way elsewhere",
        "canary",
        Decision.HOLD,
        Reason.RULE_CHANGED,
        {"store": store(under_way={Scope.RULE})},
    ),
    *(
        (
            f"under way: {scope}",
            "concurrency",
            Decision.HOLD,
            Reason.TOO_MANY_AT_ONCE,
            {"store": store(under_way={scope})},
        )
        for scope in (Scope.NAMESPACE, Scope.CLUSTER)
    ),
    (
        "short window used",
        "limits",
        Decision.HOLD,
        Reason.LIMIT_USED,
        {"store": store(spent={Scope.RULE: [NOW - timedelta(minutes=9)]})},
    ),
    (
        "long window used",
        "limits",
        Decision.HOLD,
        Reason.LIMIT_USED,
        {"store": store(spent={Scope.RULE: [NOW - timedelta(minutes=50), NOW - timedelta(minutes=20)]})},
    ),
    *(
        (
            f"used by others: {scope}",
            "budgets",
            Decision.HOLD,
            Reason.LIMIT_USED,
            {"store": store(spent={scope: [NOW - timedelta(minutes=minute) for minute in range(59, 59 - count, -1)]})},
        )
        for scope, count in ((Scope.ACTION, 1), (Scope.NAMESPACE, 1), (Scope.CLUSTER, 10))
    ),
    ("no right", "dry-run", Decision.RECOMMEND, Reason.NOT_PROVABLE, {"cluster": answering(Forbidden("no"))}),
    ("conflict", "dry-run", Decision.HOLD, Reason.CONFLICT, {"cluster": answering(Conflict("changed"))}),
    (
        "a webhook rewrites it",
        "dry-run",
        Decision.REFUSE,
        Reason.DRY_RUN_REFUSED,
        {"cluster": answering({"metadata": {}, "spec": {"template": {"spec": {"containers": []}}}})},
    ),
]


def parameters(name: str) -> Any:
    return PARAMETERS_OF_GUARDS[name]()


@pytest.mark.parametrize(
    ("guard", "decision", "reason", "changes"), [no[1:] for no in NOES], ids=[no[0] for no in NOES]
)
async def test_guard_says_no_by_name(guard: str, decision: Decision, reason: Reason, changes: dict[str, Any]) -> None:
    ruling = await check(view(**changes), GUARDS, parameters)

    assert (ruling.deciding.guard, ruling.deciding.decision, ruling.deciding.reason) == (guard, decision, reason)
    assert not ruling.is_allowed
    assert ruling.deciding.detail


@pytest.mark.parametrize(("guard", "changes"), [(no[1], no[4]) for no in NOES], ids=[no[0] for no in NOES])
async def test_without_the_guard_it_would_be_allowed(guard: str, changes: dict[str, Any]) -> None:
    """The negative control: no other guard catches what this one refuses."""
    rest = [one for one in GUARDS if one.name != guard]

    assert (await check(view(**changes), rest, parameters)).is_allowed


async def test_all_allow_the_plan_as_it_is() -> None:
    ruling = await check(view(), GUARDS, parameters)

    assert ruling.is_allowed
    assert [verdict.guard for verdict in ruling.verdicts] == [guard.name for guard in GUARDS]


async def test_what_a_guard_says_is_not_taken_for_a_secret() -> None:
    for changes in ({}, *(no[4] for no in NOES)):
        ruling = await check(view(**changes), GUARDS, parameters)
        for verdict in ruling.verdicts:
            assert redact(verdict.detail) == verdict.detail, verdict.guard


async def test_silent_mode_says_what_the_log_lacks_and_recommends() -> None:
    doubtful = DoubtfulLog(Doubt(Reason.AUDIT_UNSIGNED, "there is no key"))

    ruling = await check(view(log=doubtful, modes=(Mode.SILENT, Mode.ACTIVE)), GUARDS, parameters)

    assert (ruling.deciding.guard, ruling.deciding.decision) == ("mode", Decision.RECOMMEND)
    assert Reason.AUDIT_UNSIGNED in [verdict.reason for verdict in ruling.verdicts]


def test_every_guard_has_a_case_that_it_refuses() -> None:
    assert {no[1] for no in NOES} == {guard.name for guard in GUARDS}


async def test_the_next_slot_of_a_limit_is_when_the_oldest_leaves_its_window() -> None:
    used = [NOW - timedelta(minutes=50), NOW - timedelta(minutes=20)]

    ruling = await check(view(store=store(spent={Scope.RULE: used})), GUARDS, parameters)

    assert ruling.deciding.until == NOW + timedelta(minutes=10)
    assert "2 of 2 per 1h used" in ruling.deciding.detail


async def test_the_next_slot_is_when_every_budget_has_room() -> None:
    spent = {Scope.ACTION: [NOW - timedelta(minutes=40)], Scope.NAMESPACE: [NOW - timedelta(minutes=10)]}

    ruling = await check(view(store=store(spent=spent)), GUARDS, parameters)

    assert ruling.deciding.until == NOW + timedelta(minutes=50)
    assert "1 of 1 per 1h used for this namespace" in ruling.deciding.detail


async def test_what_is_allowed_names_every_budget_that_it_costs() -> None:
    ruling = await check(view(), GUARDS, parameters)

    assert [str(budget) for budget in ruling.budgets] == [
        "rule 1 at once",
        "namespace 1 at once",
        "cluster 3 at once",
        "rule 1 per 10m",
        "rule 2 per 1h",
        "action 1 per 1h",
        "namespace 1 per 1h",
        "cluster 10 per 1h",
        "cluster 30 per 1d",
    ]


@pytest.mark.parametrize(("action", "limit"), [("rollback", "1 per 1h"), ("restart", "2 per 20m")])
async def test_a_rollback_is_dearer_than_other_actions(action: str, limit: str) -> None:
    seen = view()
    ruling = await check(replace(seen, plan=replace(seen.plan, action=action)), [BudgetsGuard()], parameters)

    assert str(ruling.budgets[0]) == f"action {limit}"


@pytest.mark.parametrize(("workloads", "limit"), [(0, 1), (19, 1), (20, 2), (57, 5)])
async def test_the_share_of_a_namespace_is_a_tenth_of_its_workloads(workloads: int, limit: int) -> None:
    ruling = await check(view(store=store(workloads=workloads)), [BudgetsGuard()], parameters)

    assert f"namespace {limit} per 1h" in map(str, ruling.budgets)


CLUSTERS: list[tuple[str, dict[str, Any]]] = [
    ("cluster-health", {"cluster": with_nodes(2, 1)}),
    ("cluster-health", {"cluster": with_nodes(97, 3)}),
    ("cluster-health", {"faults": [counted(2, 20)]}),
    ("cluster-health", {"faults": [counted(10, 19)]}),
    ("shared-cause", {"store": store(affected=[*ONE_NODE, *sick(("d", "n2"))]), "cluster": with_nodes(2)}),
    ("shared-cause", {"store": store(affected=sick(*SPREAD)), "cluster": with_nodes(4, zones=2)}),
]


@pytest.mark.parametrize(("guard", "changes"), CLUSTERS)
async def test_what_a_healthy_cluster_shows_too_stops_nobody(guard: str, changes: dict[str, Any]) -> None:
    ruling = await check(view(**changes), [one for one in GUARDS if one.name == guard], parameters)

    assert ruling.is_allowed


@pytest.mark.parametrize(
    "name", ["five targets", "one node", "4 of 100 nodes", "the API server fails", "comes and goes"]
)
async def test_a_common_cause_is_named_for_all_that_share_it(name: str) -> None:
    [(guard, _decision, reason, changes)] = [no[1:] for no in NOES if no[0] == name]
    ruling = await check(view(**changes), GUARDS, parameters)
    [gate] = ruling.gates
    assert (gate.reason, guard) == (reason, ruling.deciding.guard)


@pytest.mark.parametrize(
    "one",
    [
        switch(engaged="false"),
        switch(engaged="true", until="2026-11-23T11:59:59Z"),
        SwitchInCluster("r", "switch", FakeCluster()),
    ],
    ids=["released", "ran out", "not there"],
)
async def test_a_switch_in_the_cluster_that_is_not_engaged_stops_nobody(one: SwitchInCluster) -> None:
    assert (await check(view(switch=one), GUARDS, parameters)).is_allowed


WELL: list[tuple[str, str, FakeStore]] = [
    (
        "other things paused, and one that ran out",
        "pause",
        store(
            paused=[
                Pause(PauseOf.RULE, "other", "me", "x", NOW, None),
                Pause(PauseOf.NAMESPACE, "crash-loop", "me", "x", NOW, None),
                Pause(PauseOf.TARGET, "shop/deployment/cart", "me", "x", NOW, None),
                Pause(PauseOf.NAMESPACE, "shop", "me", "x", NOW - timedelta(hours=1), NOW),
            ]
        ),
    ),
    ("four targets", "storm", store(alerting=4)),
    ("four of many", "storm", store(alerting=4, workloads=500)),
    ("two of few", "storm", store(alerting=2, workloads=4)),
    ("too few, with those unseen", "storm", store(unseen=3)),
    ("calm for ten minutes", "storm", store(gates={"storm": NOW - timedelta(minutes=10)})),
    ("two targets share a node", "shared-cause", store(affected=sick(("checkout", "n1"), ("a", "n1"), ("a", "n1")))),
    ("it shares nothing", "shared-cause", store(affected=sick(("checkout", "n0"), *[(c, "n1") for c in "abcd"]))),
    ("less than half", "shared-cause", store(affected=sick(*[(c, "n1") for c in ("checkout", "a", "b")], *ELSEWHERE))),
    ("came and went once", "flap", store(changes=[NOW - timedelta(minutes=31), NOW - timedelta(minutes=9), NOW])),
    ("one attempt on it", "attempts", past(BAD, target=TARGET.key)),
    ("attempts that helped", "attempts", past(GOOD, GOOD, GOOD, target=TARGET.key)),
    ("one bad one", "breaker", past(GOOD, BAD)),
    ("two of ten", "breaker", past(BAD, GOOD, BAD, GOOD)),
    ("old ones", "breaker", past(BAD, BAD, *[GOOD] * 10)),
    ("one whose outcome is open", "breaker", past(BAD, None)),
    ("under way with the rule as it was", "canary", past(None, rule_digest="d0")),
    ("the rule has helped before", "canary", past(GOOD, None, rule_digest="d1")),
]


@pytest.mark.parametrize(("guard", "seen"), [one[1:] for one in WELL], ids=[one[0] for one in WELL])
async def test_guard_lets_pass(guard: str, seen: FakeStore) -> None:
    ruling = await check(view(store=seen), [one for one in GUARDS if one.name == guard], parameters)

    assert ruling.is_allowed


@pytest.mark.parametrize(
    ("guard", "what", "subject", "seen"),
    [
        ("breaker", Forgiven.RULE, "crash-loop", past(BAD, BAD)),
        ("attempts", Forgiven.TARGET, TARGET.key, past(BAD, BAD, target=TARGET.key)),
    ],
)
async def test_what_a_person_set_back_counts_no_more(guard: str, what: Forgiven, subject: str, seen: FakeStore) -> None:
    one = [each for each in GUARDS if each.name == guard]
    assert not (await check(view(store=seen), one, parameters)).is_allowed

    for each, named in ((what, subject), (Forgiven.CLUSTER, TARGET.cluster)):
        seen.forgiven[each, named] = Reset(each, named, "me", "looked at it", NOW - timedelta(minutes=1))

    assert (await check(view(store=seen), one, parameters)).is_allowed


def test_the_target_of_the_plan_is_that_of_the_story() -> None:
    assert view().plan.target == TARGET
