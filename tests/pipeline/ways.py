"""Ways that an alert goes in the world of these tests, each to the reason that it ends with."""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from remediator.anchor.base import Doubt
from remediator.clock import rfc3339
from remediator.journal import Journal
from remediator.kube.base import Forbidden, ReplyLost
from remediator.kube.rollout import REVISION
from remediator.model import AlertStatus, Json, Request, State
from remediator.prometheus.base import PrometheusUnavailable, Sample
from remediator.reasons import Reason
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.store.base import KillSwitch
from tests.clocks import FakeClock
from tests.logkeys import DoubtfulLog
from tests.pipeline.test_ordered_rollback import Db
from tests.pipeline.world import DEPLOYMENT, FakeMetrics, World, pod, rule
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
