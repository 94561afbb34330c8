"""Every reason stands in a record of some alert's way: none is dead, and none is given without a record."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import pytest

from remediator.anchor.base import Doubt
from remediator.authority import Authority
from remediator.cli.explain import _last_lines, _recorded_answer, _table
from remediator.cli.recorded import Entry, _recorded
from remediator.clock import rfc3339
from remediator.errors import PermanentError
from remediator.guards.freeze import Freeze
from remediator.journal import Journal
from remediator.kube.base import Conflict, DisruptionBudget, Forbidden, ReplyLost, Unreachable
from remediator.kube.rollout import REVISION
from remediator.model import AlertStatus, Json, Mode, Outcome, Reason, Request, State
from remediator.prometheus.base import PrometheusUnavailable, Sample
from remediator.rules.automaton import compile_pattern
from remediator.rules.schema import RuleSet, rule_set
from remediator.sinks.kubernetes_event import KubernetesEventSink
from remediator.sinks.metrics import MetricsSink
from remediator.store.base import CommittedRecord, KillSwitch
from remediator.telemetry import Telemetry
from tests.clocks import FakeClock
from tests.fakes import FakeCluster
from tests.logkeys import DoubtfulLog
from tests.pipeline.history import (
    acted_before,
    comes_and_goes,
    denied,
    nodes_lost,
    not_listed,
    on_one_node,
    others_alert,
    shop_paused,
    silenced,
)
from tests.pipeline.test_ordered_rollback import Db
from tests.pipeline.world import DEPLOYMENT, PATIENCE, FakeMetrics, World, pod, rule, world
from tests.workloads import NOW, alert, replica_set, template

Way = Callable[[World], Awaitable[None]]
SELECTOR = {"selector": {"app": "checkout"}}
CRASH = {"alertname": "KubePodCrashLooping", "namespace": "shop"}
RESTARTED = {"kubectl.kubernetes.io/restartedAt": "2026-11-21T00:00:00Z"}
POD = "/api/v1/namespaces/shop/pods/checkout-3-a"


def with_labels(**labels: str) -> Way:
    """An alert with these labels."""

    async def way(one: World) -> None:
        await one.receive(alert(labels={**CRASH, **labels}))

    return way


def with_live(edit: Callable[[Json], Any]) -> Way:
    """The Deployment edited, before the alert comes."""

    async def way(one: World) -> None:
        edit(one.shop.live)
        await one.receive()

    return way


def with_old(edit: Callable[[Json], Any]) -> Way:
    """The ReplicaSet of the former revision edited."""

    async def way(one: World) -> None:
        edit(one.shop.peek("ReplicaSet", "shop", "checkout-2"))
        await one.receive()

    return way


def forbidden(path: str) -> Way:
    async def way(one: World) -> None:
        one.shop.errors[path] = Forbidden("no")
        await one.receive()

    return way


def answering(reply: Exception, *, dry: bool = False) -> Way:
    """The API server answers every real write (or every dry run too) so."""

    async def way(one: World) -> None:
        def answer(request: Request, dry_run: bool) -> Json:
            if dry_run and not dry:
                return one.shop.patch(request, dry_run)
            raise reply

        one.shop.replies["PATCH", DEPLOYMENT] = answer
        await one.receive()

    return way


async def as_it_is(one: World) -> None:
    await one.receive()


async def ambiguous(one: World) -> None:
    """A Service in front of two workloads."""
    other = copy.deepcopy(one.shop.live)
    other["metadata"] |= {"name": "cart", "uid": "d-2"}
    cart = copy.deepcopy(one.shop.peek("ReplicaSet", "shop", "checkout-3"))
    cart["metadata"] |= {"name": "cart-1", "uid": "rs-c"}
    cart["metadata"]["ownerReferences"][0] |= {"name": "cart", "uid": "d-2"}
    service = {"kind": "Service", "metadata": {"name": "web", "namespace": "shop", "uid": "s"}, "spec": SELECTOR}
    one.shop.add(other, cart, crashing("cart-1-a", "cart-1", "rs-c"), service)
    await one.receive(alert(labels={**CRASH, "service": "web"}))


async def unsupported(one: World) -> None:
    one.shop.add({"kind": "CronJob", "metadata": {"name": "nightly", "namespace": "shop", "uid": "c"}, "spec": {}})
    await one.receive(alert(labels={**CRASH, "resourcequota": "q", "pod": "x"}))


def not_observed(live: Json) -> None:
    live["status"]["observedGeneration"] = 6


def owned(live: Json) -> None:
    live["metadata"]["ownerReferences"] = [{"kind": "Canary", "name": "c", "uid": "c", "controller": True}]


def by_flux(live: Json) -> None:
    live["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "shop"}


def checksums(which: str) -> Json:
    return template("shop/checkout:1.5", annotations={"checksum/config": which})


def a_set(number: int, pod_template: Json, *, created: Any, ready: int = 0) -> Json:
    """A ReplicaSet of the Deployment, as the API server has it."""
    one = {**replica_set(number, pod_template, created=created, ready=ready), "kind": "ReplicaSet"}
    one["metadata"]["labels"] = {"app": "checkout"}
    one["metadata"]["ownerReferences"][0]["apiVersion"] = "apps/v1"
    return one


async def only_checksums(one: World) -> None:
    one.shop.live["spec"]["template"] = checksums("b")
    one.shop.add(a_set(3, checksums("b"), created=NOW - timedelta(minutes=10)))
    one.shop.add(a_set(2, checksums("a"), created=NOW - timedelta(days=2), ready=2))
    await one.receive()


def using_config(pod_template: Json) -> Json:
    pod_template["spec"]["containers"][0]["envFrom"] = [{"configMapRef": {"name": "app-config"}}]
    return pod_template


def config_map(changed: Any) -> Json:
    return {"kind": "ConfigMap", "metadata": {"name": "app-config", "namespace": "shop", "creationTimestamp": changed}}


async def config_changed(one: World) -> None:
    using_config(one.shop.live["spec"]["template"])
    using_config(one.shop.peek("ReplicaSet", "shop", "checkout-3")["spec"]["template"])
    one.shop.add(config_map(rfc3339(NOW - timedelta(minutes=1))))
    await one.receive()


async def deploy_another(one: World) -> None:
    """Someone deploys a third release, which crashes as well."""
    third = template("shop/checkout:1.6")
    one.shop.live["spec"]["template"] = third
    one.shop.live["metadata"]["annotations"][REVISION] = "9"
    one.shop.live["status"] |= {"replicas": 3, "updatedReplicas": 1, "availableReplicas": 0}
    one.shop.add(a_set(9, third, created=one.clock.now()), crashing("checkout-9-a", "checkout-9", "rs-9"))
    labels = {**CRASH, "pod": "checkout-9-a"}
    await one.receive(alert(fingerprint="e" * 16, labels=labels, starts_at=one.clock.now()))


def crashing(name: str, owner: str, uid: str) -> Json:
    """A pod in its crash loop."""
    refs = {"metadata": {"name": owner, "uid": uid}}
    return pod(name, refs, ready=False, since=NOW)


async def seen_before(one: World) -> None:
    """The release before the present one is one that we left ourselves."""
    one.shop.heals = False
    await one.receive()
    await one.run()
    await deploy_another(one)


async def helped_before(one: World) -> None:
    """We acted, it helped, and a few minutes later the next release crashes."""
    await one.receive()
    await one.run()
    await deploy_another(one)


async def deployed_again(one: World) -> None:
    one.shop.heals = False
    await one.receive()
    await one.run()
    one.clock.jump(minutes=16)
    await one.receive(alert(fingerprint="e" * 16, starts_at=one.clock.now()))


async def paused(one: World) -> None:
    await one.database.set_kill_switch(KillSwitch(True, "a test", "me", one.clock.now(), None))
    await one.receive()


def doubted(reason: Reason) -> tuple[Way, dict[str, Any]]:
    return as_it_is, {"log": DoubtfulLog(Doubt(reason, "so it is"))}


async def resolved(one: World) -> None:
    await one.receive()
    await one.receive(replace(alert(), status=AlertStatus.RESOLVED, ends_at=NOW))


async def resolved_by_death(one: World) -> None:
    """Prometheus died: all that fired is reported as resolved, and the watchdog does not come any more."""
    await one.bark()
    one.clock.jump(seconds=5)
    await resolved(one)


async def forgotten(one: World) -> None:
    await one.receive()
    one.clock.jump(hours=2)


async def someone_else(one: World) -> None:
    """The reply is lost, and the object that is found carries somebody's change."""

    def answer(request: Request, dry_run: bool) -> Json:
        if dry_run:
            return one.shop.patch(request, dry_run)
        one.shop.live["metadata"]["generation"] += 1
        raise ReplyLost("no answer")

    one.shop.replies["PATCH", DEPLOYMENT] = answer
    await one.receive()


async def no_prometheus(one: World) -> None:
    await one.receive()
    await one.run(until=lambda state: state is State.VERIFYING)
    one.metrics.failure = PrometheusUnavailable("down")


async def no_help(one: World) -> None:
    one.shop.heals = False
    await one.receive()


async def fault_of_ours(one: World) -> None:
    await one.receive()
    [remediation] = await one.claim()
    await Journal(remediation, store=one.database, clock=one.clock, rules=one.rules).broken("KeyError: 'x'")


async def healed_meanwhile(one: World) -> None:
    """The pods came back between the diagnosis and the write, and Prometheus has not noticed yet."""

    def answer(request: Request, dry_run: bool) -> Json:
        one.shop.live["status"] |= {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
        return one.shop.patch(request, dry_run)

    one.shop.replies["PATCH", DEPLOYMENT] = answer
    await one.receive()


def table(**changes: Any) -> dict[str, RuleSet]:
    return {"rules": rule_set([rule(**changes)])}


CRASH_LOOP = rule()
ESCALATES: dict[str, Any] = {"respond": [{"do": "escalate"}], "verify": None}
ROLLS_BACK_FOR_IMAGES = {"respond": [{"when": {"cause": "image-error"}, "do": "rollback"}]}


def waiting_for(message: str) -> Way:
    """The pod of the new release has no node, and asks for a core."""

    async def way(one: World) -> None:
        pod = one.shop.peek("Pod", "shop", "checkout-3-a")
        del pod["spec"]["nodeName"]
        pod["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1"}}
        said = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        pod["status"] = {"phase": "Pending", "conditions": [said]}
        await one.receive()

    return way


SHED = table(diagnose=["scheduling"], respond=[{"do": "shed", "with": {"workloads": ["batch/deployment/nobody"]}}])


def scales(**parameters: Any) -> dict[str, RuleSet]:
    """A rule that scales out, with all that it has to know."""
    return table(
        diagnose=["resources", "autoscaling", "scheduling"],
        respond=[{"do": "scale", "with": {"max_replicas": 10, **parameters}}],
    )


def steady(*more: Json, edit: Callable[[Json], Any] = lambda live: None) -> Way:
    """The rollout is over, whatever its pods do, and these objects are there too."""

    async def way(one: World) -> None:
        live = one.shop.live
        live["status"] |= {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}
        edit(live)
        one.shop.add(*more)
        await one.receive()

    return way


def autoscaler(name: str = "checkout", *, limited: bool = False) -> Json:
    conditions = [{"type": "ScalingActive", "status": "True", "reason": "ValidMetricFound"}]
    limit = {"type": "ScalingLimited", "status": str(limited), "reason": "TooManyReplicas"}
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"}
    return {
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "shop", "uid": f"h-{name}"},
        "spec": {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 2},
        "status": {"currentReplicas": 2, "desiredReplicas": 2, "conditions": [*conditions, limit]},
    }


def quota(pods: int) -> Json:
    hard = {"hard": {"pods": str(pods)}}
    status = {**hard, "used": {"pods": "2"}}
    return {
        "kind": "ResourceQuota",
        "metadata": {"name": "small", "namespace": "shop", "uid": "q"},
        "spec": hard,
        "status": status,
    }


def mended(edit: Callable[[Json], Any] = lambda live: None) -> Way:
    """The rollout is over and all its pods are well, and the alert still fires."""

    async def way(one: World) -> None:
        new = one.shop.peek("ReplicaSet", "shop", "checkout-3")
        one.shop.add(pod("checkout-3-a", new, ready=True, since=NOW - timedelta(minutes=5)))
        await steady(edit=edit)(one)

    return way


def restarted_lately(live: Json) -> None:
    live["spec"]["template"]["metadata"]["annotations"] = dict.fromkeys(RESTARTED, "2026-11-23T11:50:00Z")


def all_away_at_once(live: Json) -> None:
    live["spec"]["strategy"] = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": "100%"}}


async def two_fail(one: World) -> None:
    one.shop.add(crashing("checkout-2-a", "checkout-2", "rs-2"))
    node = {"kind": "Node", "metadata": {"name": "node-1"}, "status": {"conditions": [READY]}}
    await steady(node)(one)


class Measured(FakeMetrics):
    """One that has the memory of a container, which has no limit."""

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        if "container_memory_working_set_bytes" in expression:
            return [Sample({"pod": "checkout-3-a", "container": "app", "ago": "0"}, 1e8)]
        return await super().query(expression, at=at)


async def measured(one: World) -> None:
    one.metrics = Measured(one.shop, one.clock)
    await steady()(one)


READY = {"type": "Ready", "status": "True"}
RESTARTS = table(respond=[{"do": "restart"}])
EVICTS = table(diagnose=["autoscaling", "logs", "node"], respond=[{"do": "evict"}])
RESIZES = table(diagnose=["autoscaling", "resources"], respond=[{"do": "resize", "with": {"ceiling": "1Gi"}}])


async def broken_stateful_set(one: World) -> None:
    """Its pod is in the way of a rollback, on a node that does not answer."""
    for item in stateful_set_on_a_sick_node():
        one.shop.add(item)
    await one.receive(alert(labels={**CRASH, "pod": "db-2"}))


def stateful_set_on_a_sick_node() -> list[Json]:
    db = Db(FakeClock())
    node = {"kind": "Node", "metadata": {"name": "n-1"}, "status": {"conditions": []}}
    pods = [db.peek("Pod", "shop", f"db-{number}") for number in range(3)]
    return [db.live, *(db.peek("ControllerRevision", "shop", name) for name in ("db-good", "db-bad")), *pods, node]


WAYS: dict[Reason, tuple[Way, dict[str, Any]]] = {
    Reason.NO_RULE: (as_it_is, table(match=['alertname="Other"'])),
    Reason.NO_TARGET_LABEL: (with_labels(), {}),
    Reason.TARGET_NOT_FOUND: (with_labels(pod="gone"), {}),
    Reason.TARGET_AMBIGUOUS: (ambiguous, {}),
    Reason.TARGET_UNSUPPORTED: (unsupported, {}),
    Reason.TARGET_CHANGED: (with_labels(pod="checkout-3-a", uid="another"), {}),
    Reason.TARGET_PROTECTED: (with_labels(namespace="kube-system", pod="dns"), {}),
    Reason.TARGET_UNREADABLE: (forbidden(POD), {}),
    Reason.ROW_RECOMMENDS: (as_it_is, table(respond=[{"do": "recommend"}])),
    Reason.ROW_ESCALATES: (as_it_is, table(**ESCALATES)),
    Reason.NO_ROW: (as_it_is, table(**ROLLS_BACK_FOR_IMAGES)),
    Reason.FACT_MISSING: (forbidden("/api/v1/namespaces/shop"), {}),
    Reason.NOT_OBSERVED: (with_live(not_observed), {}),
    Reason.PAUSED: (with_live(lambda live: live["spec"].update(paused=True)), {}),
    Reason.BEING_DELETED: (
        with_live(lambda live: live["metadata"].update(deletionTimestamp="2026-11-23T11:59:00Z")),
        {},
    ),
    Reason.UNSUPPORTED_STRATEGY: (with_live(lambda live: live["spec"].update(strategy={"type": "Own"})), {}),
    Reason.OWNED_BY_CONTROLLER: (with_live(owned), {}),
    Reason.OWNED_BY_GITOPS: (with_live(by_flux), {}),
    Reason.NO_DIFFERENT_REVISION: (
        with_old(lambda old: old["spec"].update(template=template("shop/checkout:1.5", annotations=RESTARTED))),
        {},
    ),
    Reason.ONLY_CHECKSUM_DIFFERS: (only_checksums, {}),
    Reason.CONFIG_CHANGED: (config_changed, {}),
    Reason.REFERENCE_MISSING: (with_old(lambda old: using_config(old["spec"]["template"])), {}),
    Reason.NOT_RECENT: (
        as_it_is,
        table(respond=[{"do": "rollback", "with": {"recent": "1m"}}]),
    ),
    Reason.PREVIOUS_NOT_PROVEN_GOOD: (with_old(lambda old: old["status"].update(readyReplicas=0)), {}),
    Reason.ALREADY_ROLLED_BACK: (seen_before, table(respond=[{"do": "rollback"}])),
    Reason.REDEPLOYED_AFTER_ROLLBACK: (deployed_again, {}),
    Reason.NO_HISTORY: (with_live(lambda live: live["spec"].update(revisionHistoryLimit=0)), {}),
    Reason.NOT_CAPACITY: (waiting_for("0/3 nodes are available: 3 node(s) had untolerated taint {a: b}."), SHED),
    Reason.NOT_ENOUGH: (waiting_for("0/3 nodes are available: 3 Insufficient cpu."), SHED),
    Reason.ROLLOUT_RUNNING: (as_it_is, scales()),
    Reason.PODS_UNSCHEDULABLE: (waiting_for("0/3 nodes are available: 3 Insufficient cpu."), scales()),
    Reason.NODE_NOT_READY: (
        broken_stateful_set,
        table(diagnose=["node"], respond=[{"do": "rollback", "with": {"kinds": ["StatefulSet"]}}]),
    ),
    Reason.SINGLE_WRITER: (steady(edit=lambda live: live["spec"].update(strategy={"type": "Recreate"})), scales()),
    Reason.SCALED_TO_ZERO: (steady(edit=lambda live: live["spec"].update(replicas=0)), scales()),
    Reason.AT_CAP: (steady(), scales(max_replicas=2)),
    Reason.NO_ROOM: (steady(quota(2)), scales()),
    Reason.AUTOSCALER_ACTS: (steady(autoscaler()), scales()),
    Reason.AUTOSCALER_AT_LIMIT: (steady(autoscaler(limited=True)), scales()),
    Reason.AUTOSCALER_AMBIGUOUS: (steady(autoscaler(), autoscaler("second")), scales()),
    Reason.CRASH_LOOP: (steady(), RESTARTS),
    Reason.RESTARTED_LATELY: (mended(edit=restarted_lately), RESTARTS),
    Reason.HISTORY_WOULD_BE_LOST: (mended(edit=lambda live: live["spec"].update(revisionHistoryLimit=1)), RESTARTS),
    Reason.NO_SPARE_POD: (mended(edit=all_away_at_once), RESTARTS),
    Reason.NO_POD: (mended(), EVICTS),
    Reason.SEVERAL_PODS_FAIL: (two_fail, EVICTS),
    Reason.NOT_RESIZABLE: (measured, RESIZES),
    Reason.OPTED_OUT: (
        with_live(lambda live: live["metadata"]["annotations"].update({"remediator.io/actions": "restart"})),
        {},
    ),
    Reason.KILL_SWITCH: (paused, {}),
    Reason.AUDIT_UNSIGNED: doubted(Reason.AUDIT_UNSIGNED),
    Reason.AUDIT_BROKEN: doubted(Reason.AUDIT_BROKEN),
    Reason.AUDIT_UNCONFIRMED: doubted(Reason.AUDIT_UNCONFIRMED),
    Reason.AUDIT_NOT_ANCHORED: doubted(Reason.AUDIT_NOT_ANCHORED),
    Reason.MODE_OFF: (as_it_is, {"mode": Mode.OFF}),
    Reason.MODE_SILENT: (as_it_is, {"mode": Mode.SILENT}),
    Reason.MODE_INVALID: (
        with_live(lambda live: live["metadata"]["annotations"].update({"remediator.io/mode": "on"})),
        {},
    ),
    Reason.SEVERITY_WAITS: (lambda one: one.receive(alert(starts_at=NOW)), table(severity=3)),
    Reason.SEVERITY_FORBIDS: (as_it_is, table(severity=4)),
    Reason.COOLDOWN: (helped_before, {}),
    Reason.LIMIT_USED: (
        helped_before,
        table(limits=["1 per 1h"], guards={"cooldown": {"period": "1m"}}),
    ),
    Reason.TOO_MANY_AT_ONCE: (acted_before(None), {}),
    Reason.ATTEMPTS_USED: (acted_before(Outcome.FAILED, Outcome.FAILED, Outcome.VERIFIED, on="checkout"), {}),
    Reason.BREAKER_OPEN: (acted_before(Outcome.FAILED, Outcome.UNKNOWN), {}),
    Reason.RULE_CHANGED: (acted_before(None, digest=CRASH_LOOP.digest), {"rules": rule_set([CRASH_LOOP])}),
    Reason.PAUSED_BY_PERSON: (shop_paused, {}),
    Reason.ALERT_SILENCED: (silenced, {}),
    Reason.ALERT_NOT_FIRING: (not_listed, {}),
    Reason.CONDITION_GONE: (healed_meanwhile, {}),
    Reason.FREEZE_WINDOW: (as_it_is, {"rules": rule_set([CRASH_LOOP], freezes=[Freeze(name="always")])}),
    Reason.OUTSIDE_CREDENTIAL: (
        lambda one: one.receive(alert(credential="pay")),
        {"authority_of": {"pay": Authority(rules=compile_pattern("other"))}.get},
    ),
    Reason.APPROVAL_DENIED: (denied, {"mode": Mode.APPROVE}),
    Reason.STORM: (others_alert(4), {}),
    Reason.SHARED_CAUSE: (on_one_node, {}),
    Reason.CLUSTER_UNHEALTHY: (nodes_lost, {}),
    Reason.FLAPPING: (comes_and_goes, {}),
    Reason.NEEDS_APPROVAL: (as_it_is, {"mode": Mode.APPROVE}),
    Reason.ALERT_RESOLVED: (resolved, {}),
    Reason.RESOLVED_UNCONFIRMED: (resolved_by_death, {"patience": PATIENCE}),
    Reason.TRUNCATED: (lambda one: one.receive(alert(truncated=1)), {}),
    Reason.DRY_RUN_REFUSED: (answering(PermanentError("denied"), dry=True), {}),
    Reason.NOT_PROVABLE: (answering(Forbidden("no"), dry=True), {}),
    Reason.DECISION_EXPIRED: (forgotten, {}),
    Reason.CONFLICT: (answering(Conflict("changed")), {}),
    Reason.DISRUPTION_BUDGET: (answering(DisruptionBudget("0 allowed")), {}),
    Reason.NOT_SENT: (answering(Unreachable("refused")), {}),
    Reason.REPLY_LOST: (answering(ReplyLost("no answer")), {}),
    Reason.REFUSED_BY_API: (answering(Forbidden("no")), {}),
    Reason.NOT_VERIFIED: (no_help, {}),
    Reason.EVIDENCE_MISSING: (no_prometheus, {}),
    Reason.CHANGED_BY_SOMEONE_ELSE: (someone_else, {}),
    Reason.INTERNAL_ERROR: (fault_of_ours, {}),
}


async def is_told(record: CommittedRecord, reason: Reason) -> None:
    """As a label of a metric, and in an Event on the object, where there is one."""
    telemetry = Telemetry.create(version="1", mode=Mode.ACTIVE)
    await MetricsSink(telemetry).tell(record)
    _, text = telemetry.exposition("")
    telemetry.shutdown()
    assert f'reason="{reason}"' in text.decode()
    cluster = FakeCluster()
    await KubernetesEventSink(cluster).tell(record)
    assert len(cluster.sent) == bool(record.body.get("object"))
    for request, _ in cluster.sent:
        assert reason in request.body["note"]


@cache
def shipped() -> Any:
    return _table(None)


def is_explained(records: Sequence[CommittedRecord], reason: Reason) -> None:
    """By `explain --incident`, of what was recorded until then."""
    entries = [Entry(one.seq, rfc3339(one.at), one.kind, one.remediation_id, one.body) for one in records]
    [answer] = _recorded("inc-1", entries)
    assert f"[{reason}]: " in "\n".join(_last_lines(_recorded_answer(answer, shipped())))


def test_there_is_a_way_to_every_reason() -> None:
    assert WAYS.keys() == set(Reason) - {Reason.NONE}


@pytest.mark.parametrize("reason", WAYS, ids=str)
async def test_the_reason_stands_in_a_record_and_on_the_remediation(reason: Reason) -> None:
    way, changes = WAYS[reason]
    async with world(**changes) as one:
        await way(one)
        for _ in range(300):
            await one.one_pass()
            found = [r for r in await one.records() if r.remediation_id and r.body.get("reason") == reason]
            if found:
                break
            one.clock.jump(seconds=5)
        else:
            seen = [(r.kind, r.body.get("reason"), r.body.get("detail")) for r in await one.records()]
            raise AssertionError(f"{reason} never came: {seen[:12]}")

        assert found[0].body["detail"], "people are told more than the word"
        await is_told(found[0], reason)
        its = [r for r in await one.records() if r.remediation_id == found[0].remediation_id and r.seq <= found[0].seq]
        is_explained(its, reason)
        if found[-1] == await one.last() and found[-1].incident_id is not None:
            view = await one.database.incident(found[-1].incident_id)
            assert view is not None
            assert view.row.reason == reason
