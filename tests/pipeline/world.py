"""A small world for the pipeline: the story of `tests/workloads.py` as a cluster that answers patches, a Prometheus,
the real store in memory, and the worker's loop without its waiting."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from remediator.access.credentials import Credentials
from remediator.alertmanager.base import Alertmanager
from remediator.authority import UNLIMITED, Authority
from remediator.clock import Clock, rfc3339
from remediator.guards.faults import Faults
from remediator.guards.stop import ProvableLog
from remediator.journal import Journal
from remediator.kube.base import Cluster, Conflict
from remediator.kube.rollout import REVISION, current_replica_set
from remediator.model import TERMINAL, Alert, AlertStatus, Json, Mode, Remediation, Request, State
from remediator.parts import Parts
from remediator.pipeline import admit, remediate
from remediator.prometheus.base import AlertingRule, Sample
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.rules.schema import Rule
from remediator.simulate.answers import Refused
from remediator.simulate.patching import patched
from remediator.store.base import CommittedRecord, LostClaim, Store
from remediator.store.database import Database
from remediator.store.opening import open_in_memory
from remediator.watchdog import Patience, Watchdog, watchdog_matchers
from tests.clocks import FakeClock
from tests.fakes import FakeCluster
from tests.workloads import NOW, ROLLOUT_AT, alert, deployment, replica_set, template

LEASE = timedelta(minutes=2)
PATIENCE = Patience(absent_after=timedelta(minutes=15), confirm_after=timedelta(minutes=2))
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/checkout"
BAD, GOOD = template("shop/checkout:1.5"), template("shop/checkout:1.4")
EXPRESSION = 'kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"} >= 1'


def pod(name: str, owner: Json, *, ready: bool, since: datetime) -> Json:
    """A pod of a ReplicaSet: ready, or in its crash loop."""
    state: Json = {"running": {}} if ready else {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    status: Json = {"name": "app", "ready": ready, "restartCount": 0 if ready else 5, "state": state}
    if not ready:
        status["lastState"] = {"terminated": {"exitCode": 1, "reason": "Error"}}
    return {
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-{name}",
            "labels": {"app": "checkout"},
            "creationTimestamp": rfc3339(since),
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "ReplicaSet",
                    "name": owner["metadata"]["name"],
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                }
            ],
        },
        "spec": {"nodeName": "node-1", "containers": [{"name": "app"}]},
        "status": {
            "phase": "Running",
            "conditions": [
                {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": rfc3339(since)}
            ],
            "containerStatuses": [status],
        },
    }


def node(name: str, *, ready: bool = True) -> Json:
    conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
    return {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": conditions}}


def crashing(cluster: FakeCluster) -> list[str]:
    """The names of the pods that are not ready."""
    pods = [path.rpartition("/")[2] for path in cluster._objects if "/pods/" in path]
    return [name for name in pods if not cluster.peek("Pod", "shop", name)["status"]["containerStatuses"][0]["ready"]]


class Shop(FakeCluster):
    """`shop/checkout` at a release that crashes. A patch is done at once; `heals` says whether the old one helps."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(name="test")
        self._clock = clock
        self.heals = True
        item = deployment(BAD)
        sets = [
            replica_set(3, BAD, created=ROLLOUT_AT),
            replica_set(2, GOOD, created=NOW - timedelta(days=2), ready=2),
        ]
        for one in sets:
            one |= {"kind": "ReplicaSet", "apiVersion": "apps/v1"}
            one["metadata"]["labels"] = {"app": "checkout"}
            one["metadata"]["ownerReferences"][0]["apiVersion"] = "apps/v1"
        self.add({"kind": "Namespace", "metadata": {"name": "shop"}}, item, *sets)
        for number in (1, 2, 3):
            self.add(node(f"node-{number}"))
        self._pods()
        self.replies["PATCH", DEPLOYMENT] = self.patch

    @property
    def live(self) -> Json:
        return self.peek("Deployment", "shop", "checkout")

    @property
    def image(self) -> str:
        return str(self.live["spec"]["template"]["spec"]["containers"][0]["image"])

    def writes(self) -> list[Request]:
        """Real writes that were sent to the Deployment, done or not."""
        return [request for request, dry_run in self.sent if not dry_run and request.path == DEPLOYMENT]

    def patch(self, request: Request, dry_run: bool) -> Json:
        try:
            after = patched(copy.deepcopy(self.live), request.body, request.content_type)
        except Refused as error:
            raise Conflict(str(error)) from error
        if dry_run:
            return after
        after["metadata"]["generation"] += 1
        after["status"]["observedGeneration"] = after["metadata"]["generation"]
        self.add(after)
        self.settle()
        return copy.deepcopy(after)

    def settle(self) -> None:
        """The deployment controller and the kubelet, in one step."""
        sets = [self.peek("ReplicaSet", "shop", f"checkout-{n}") for n in (2, 3)]
        current = current_replica_set(self.live, sets)
        if current is None:
            return
        newest = max(int(one["metadata"]["annotations"][REVISION]) for one in sets)
        if int(current["metadata"]["annotations"][REVISION]) < newest:
            newest += 1
            current["metadata"]["annotations"][REVISION] = str(newest)
        self.live["metadata"]["annotations"][REVISION] = current["metadata"]["annotations"][REVISION]
        self._pods()

    def _pods(self) -> None:
        for name in ("checkout-2-a", "checkout-2-b", "checkout-3-a"):
            path = f"/api/v1/namespaces/shop/pods/{name}"
            self._objects.pop(path, None)
        is_good = self.image == "shop/checkout:1.4"
        old, new = (self.peek("ReplicaSet", "shop", f"checkout-{n}") for n in (2, 3))
        now = self._clock.now()
        ready = 2 if not is_good or self.heals else 0
        for letter in "ab":
            self.add(pod(f"checkout-2-{letter}", old, ready=ready == 2, since=now))
        old["status"]["readyReplicas"] = ready
        if not is_good:
            self.add(pod("checkout-3-a", new, ready=False, since=ROLLOUT_AT))
        updated, total = (2, 2) if is_good else (1, 3)
        available = ready if is_good else 0
        self.live["status"] |= {"replicas": total, "updatedReplicas": updated, "availableReplicas": available}


@dataclass
class FakeMetrics:
    """A Prometheus with the alert's rule; its expression holds for the pods that crash now."""

    shop: Shop
    clock: FakeClock
    failure: Exception | None = None
    extra: list[Sample] = field(default_factory=list)

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        if self.failure is not None:
            raise self.failure
        if expression != EXPRESSION:
            return []
        return [Sample({"namespace": "shop", "pod": name}, 1.0) for name in crashing(self.shop)] + self.extra

    async def alerting_rules(self, alertname: str) -> Sequence[AlertingRule]:
        if self.failure is not None:
            raise self.failure
        return [AlertingRule(alertname, EXPRESSION, {}, "ok", 30.0, self.clock.now())]

    async def is_ready(self) -> bool:
        return self.failure is None

    async def close(self) -> None: ...


def rule(**changes: Any) -> Rule:
    """The shipped crash-loop rule in short, active."""
    facts: dict[str, Any] = {
        "name": "crash-loop",
        "match": ['alertname="KubePodCrashLooping"'],
        "severity": 1,
        "diagnose": ["logs", "events", "config", "node"],
        "respond": [
            {"when": {"cause": ["code-error"], "deployed_within": "2h"}, "do": "rollback"},
            {"when": {"cause": "missing-config"}, "do": "recommend", "advice": "Restore {finding.missing} of {target}"},
            {"do": "escalate"},
        ],
        "verify": {
            "expect": ["rollout-complete", "pods-ready", "alert-clear"],
            "within": "10m",
            "stable_for": "2m",
            "otherwise": "revert",
        },
        "mode": "active",
    }
    return Rule.model_validate({**facts, **changes})


@dataclass
class World:
    """Everything one alert needs. `store` and `cluster` may be wrapped by a test."""

    clock: FakeClock
    shop: Shop
    metrics: FakeMetrics
    database: Database
    rules: RuleSet = field(default_factory=lambda: rule_set([rule()]))
    mode: Mode = Mode.ACTIVE
    store: Store | None = None
    cluster: Cluster | None = None
    faults: Sequence[Faults] = ()
    alertmanager: Alertmanager | None = None
    log: ProvableLog | None = None
    patience: Patience | None = None
    """None: no watchdog is awaited."""
    authority_of: Callable[[str], Authority | None] = Credentials().authority_of

    @property
    def parts(self) -> Parts:
        return Parts(
            store=self.store or self.database,
            cluster=self.cluster or self.shop,
            metrics=self.metrics,
            clock=self.clock,
            rules=lambda: self.rules,
            mode=self.mode,
            faults=self.faults,
            alertmanager=self.alertmanager,
            log=self.log,
            watchdog=self.watchdog,
            protected_namespaces=frozenset({"kube-system"}),
            authority_of=self.authority_of,
            lease=LEASE,
        )

    @property
    def watchdog(self) -> Watchdog | None:
        if self.patience is None:
            return None
        return Watchdog(self.database.watchdog, watchdog_matchers('alertname="Watchdog"'), patience=self.patience)

    async def bark(self, *, fires: bool = True) -> None:
        """The watchdog alert comes."""
        assert self.watchdog is not None
        status = AlertStatus.FIRING if fires else AlertStatus.RESOLVED
        one = alert(labels={"alertname": "Watchdog", "severity": "none"}, status=status)
        await self.watchdog.heard([one], at=self.clock.now())

    async def receive(self, *alerts: Alert) -> None:
        await admit(alerts or (alert(),), store=self.database, clock=self.clock, authority=UNLIMITED)

    async def claim(self) -> Sequence[Remediation]:
        return await self.database.claim(owner="test", at=self.clock.now(), lease=LEASE, limit=10)

    async def one_pass(self) -> State | None:
        """Claim what is due and take each one as far as it goes; the state of the last one."""
        state = None
        for remediation in await self.claim():
            journal = Journal(remediation, store=self.parts.store, clock=self.clock, rules=self.rules)
            with suppress(LostClaim):
                await remediate(journal, self.parts)
            state = journal.state
        return state

    async def run(self, *, until: Callable[[State], bool] | None = None, minutes: float = 90) -> State:
        """Passes, five seconds apart, until the newest remediation is final (or `until` holds), maybe already."""
        end = self.clock.now() + timedelta(minutes=minutes)
        state = State(to) if (to := (await self.last_body()).get("to")) else None
        while self.clock.now() < end:
            if state not in TERMINAL:
                state = await self.one_pass() or state
            if state is not None and (state in TERMINAL or (until is not None and until(state))):
                return state
            self.clock.jump(seconds=5)
        raise AssertionError(f"no end after {minutes} min, in state {state}: {await self.kinds()}")

    async def records(self) -> Sequence[CommittedRecord]:
        return await self.database.records(after=0, limit=1000)

    async def ours(self) -> list[CommittedRecord]:
        """What was decided and done, in order; not what Alertmanager said, nor who was told."""
        return [one for one in await self.records() if not one.kind.startswith(("alert.", "escalation."))]

    async def kinds(self) -> list[str]:
        """The kinds of our own records, in order."""
        return [one.kind for one in await self.ours()]

    async def last_body(self) -> Json:
        return next((one.body for one in reversed(await self.ours())), {})

    async def last(self) -> CommittedRecord:
        return (await self.ours())[-1]

    async def told(self) -> list[CommittedRecord]:
        """What people were told of escalations."""
        return [one for one in await self.records() if one.kind.startswith("escalation.")]


@asynccontextmanager
async def world(**changes: Any) -> AsyncIterator[World]:
    clock = FakeClock()
    shop = Shop(clock)
    database = await open_in_memory(clock=clock)
    try:
        yield World(clock, shop, FakeMetrics(shop, clock), database, **changes)
    finally:
        await database.close()
