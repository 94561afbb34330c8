"""What a check sees: the story of `tests/workloads.py` two minutes after its rollback, and a Prometheus to match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.checks.base import Scene
from remediator.clock import rfc3339
from remediator.model import Plan
from remediator.prometheus.base import AlertingRule, Sample
from tests.fakes import FakeCluster
from tests.workloads import NOW, alert, case, deployment, replica_set, template

ACTED_AT = NOW
LATER = NOW + timedelta(minutes=2)
"""When the checks look, unless said otherwise: `stable_for` of the plan's proof has just passed."""

GOOD, BAD = template("shop/checkout:1.4"), template("shop/checkout:1.5")
QUERY = 'kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"} >= 1'
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/checkout"


def plan() -> Plan:
    answer = Rollback().plan(case(), Parameters())
    assert isinstance(answer, Plan)
    return answer


def pod(name: str, *, ready: bool = True, since: datetime = ACTED_AT, owner: str = "rs-2", **metadata: Any) -> Any:
    status = "True" if ready else "False"
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "labels": {"app": "checkout"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}],
            **metadata,
        },
        "status": {"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": rfc3339(since)}]},
    }


PODS = (pod("checkout-2-a"), pod("checkout-2-b"))


def rolled_back(
    *, pods: Sequence[Any] = PODS, status: dict[str, Any] | None = None, **spec: Any
) -> FakeCluster:
    """The Deployment at its old template again, complete; `status` and `spec` replace parts of it."""
    item = deployment(GOOD, revision=4, **spec)
    item["metadata"]["generation"] = 8
    item["status"] |= {"observedGeneration": 8, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
    item["status"] |= status or {}
    sets = [replica_set(2, GOOD, created=NOW - timedelta(days=2)), replica_set(3, BAD, created=NOW)]
    for one in sets:
        one |= {"kind": "ReplicaSet"}
        one["metadata"]["labels"] = {"app": "checkout"}
    return FakeCluster(item, *sets, *pods)


@dataclass
class FakeMetrics:
    """`series` are what every expression gives; `rules` are what Prometheus runs."""

    series: list[dict[str, str]] = field(default_factory=list)
    rules: list[AlertingRule] | None = None
    failure: Exception | None = None
    asked: list[str] = field(default_factory=list)

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        self.asked.append(expression)
        if self.failure is not None:
            raise self.failure
        return [Sample(labels, 1.0) for labels in self.series]

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        if self.failure is not None:
            raise self.failure
        return [rule()] if self.rules is None else self.rules

    async def is_ready(self) -> bool:
        return self.failure is None

    async def close(self) -> None: ...


def rule(**changes: Any) -> AlertingRule:
    facts: dict[str, Any] = {
        "name": "KubePodCrashLooping",
        "query": QUERY,
        "labels": {},
        "health": "ok",
        "interval_seconds": 30.0,
        "last_evaluated_at": LATER - timedelta(seconds=20),
    }
    return AlertingRule(**{**facts, **changes})


def scene(**changes: Any) -> Scene:
    facts: dict[str, Any] = {
        "plan": plan(),
        "alert": alert(),
        "acted_at": ACTED_AT,
        "now": LATER,
        "cluster": rolled_back(),
        "metrics": FakeMetrics(),
        "memory": {},
    }
    return Scene(**{**facts, **changes})
