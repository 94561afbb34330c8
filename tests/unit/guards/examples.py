"""A plan that every guard allows, and what each may see that changes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.alertmanager.base import Listed
from remediator.authority import UNLIMITED
from remediator.guards.base import View
from remediator.guards.faults import Faults
from remediator.guards.stop import SwitchInCluster
from remediator.kube.base import Forbidden
from remediator.kube.workload import Workload
from remediator.model import Mode, Outcome, Plan, RemediationId, Target
from remediator.prometheus.base import AlertingRule, Sample
from remediator.rules.schema import PARAMETERS_OF_GUARDS
from remediator.store.base import KillSwitch
from remediator.store.budgets_base import Debit, Forgiven, PastAction, Reset, Spender, Use
from remediator.store.pauses_base import Pause
from remediator.units import Limit
from remediator.verdicts import AffectedPod, AtOnce, Bound, Scope
from tests.clocks import FakeClock
from tests.fakes import FakeCluster
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


def parameters(name: str) -> Any:
    return PARAMETERS_OF_GUARDS[name]()
