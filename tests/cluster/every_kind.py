"""Objects of every kind that an alert can name, and all that the service reads about them: to test its rights."""

from datetime import UTC, datetime
from typing import Any

from remediator.authority import UNLIMITED
from remediator.clock import SystemClock
from remediator.diagnose import COLLECTORS
from remediator.diagnose.base import Scene
from remediator.diagnose.diagnose import diagnose
from remediator.kube.client import KubernetesCluster
from remediator.kube.workload import read_workload
from remediator.model import Alert, AlertStatus
from remediator.store.rollouts_base import Known, Look
from remediator.target.labels import NoTarget
from remediator.target.resolve import Resolved, resolve
from remediator.target.spec import TargetSpec
from remediator.watch.watcher import Pace, Watcher
from tests.cluster.controlplane import ControlPlane
from tests.cluster.waiting import wait_for


def deployment(name: str) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {
            "containers": [
                {"name": "app", "image": "app:crash-1", "envFrom": [{"configMapRef": {"name": "app-config"}}]}
            ]
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    }


def populate(control: ControlPlane, namespace: str) -> None:
    """One object of each kind that an alert can name, in front of a crash-looping Deployment."""
    pod = {"containers": [{"name": "app", "image": "app:ok"}]}
    template = {"metadata": {"labels": {"app": "idle"}}, "spec": pod}
    labelled = {"selector": {"matchLabels": {"app": "idle"}}, "template": template}
    job = {"template": {"spec": {**pod, "restartPolicy": "Never"}}, "suspend": True}
    specs: list[tuple[str, str, str, dict[str, Any]]] = [
        ("apps/v1", "StatefulSet", "idle", {**labelled, "serviceName": "idle", "replicas": 0}),
        ("apps/v1", "DaemonSet", "idle", labelled),
        ("batch/v1", "Job", "once", job),
        ("batch/v1", "CronJob", "nightly", {"schedule": "0 3 * * *", "suspend": True, "jobTemplate": {"spec": job}}),
        (
            "autoscaling/v2",
            "HorizontalPodAutoscaler",
            "shop",
            {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"}},
        ),
        ("policy/v1", "PodDisruptionBudget", "shop", {"selector": {"matchLabels": {"app": "shop"}}}),
        ("v1", "Service", "shop", {"selector": {"app": "shop"}, "ports": [{"port": 80}]}),
        (
            "v1",
            "PersistentVolumeClaim",
            "data",
            {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        ),
    ]
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app-config"}, "data": {"a": "b"}}
    objects = [{"apiVersion": a, "kind": k, "metadata": {"name": n}, "spec": s} for a, k, n, s in specs]
    control.apply([config, deployment("shop"), *objects], namespace)

    def is_crashing() -> bool:
        pods = control.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector=app%3Dshop")["items"]
        return any(status["restartCount"] for pod in pods for status in pod["status"].get("containerStatuses", ()))

    def has_endpoints() -> bool:
        return bool(control.get(f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices")["items"])

    wait_for(is_crashing, timeout_seconds=20, what="a crash loop")
    wait_for(has_endpoints, timeout_seconds=20, what="the EndpointSlice of the Service")


async def read_everything(cluster: KubernetesCluster, namespace: str) -> dict[str, Resolved | NoTarget]:
    """Steps 3 and 4 for an alert about each kind, and a look of the watch; the answers by the label of the object."""
    pods = await cluster.list(f"/api/v1/namespaces/{namespace}/pods", label_selector="app=shop")
    (shop,) = pods
    named = {
        "pod": shop["metadata"]["name"],
        "replicaset": shop["metadata"]["ownerReferences"][0]["name"],
        "deployment": "shop",
        "statefulset": "idle",
        "daemonset": "idle",
        "job_name": "once",
        "cronjob": "nightly",
        "horizontalpodautoscaler": "shop",
        "poddisruptionbudget": "shop",
        "service": "shop",
        "persistentvolumeclaim": "data",
        "node": "rig-node-0",
    }
    found = {}
    for label, name in named.items():
        spec = TargetSpec(from_alert=True, node_scope=label == "node")
        labels = {label: name} if label == "node" else {"namespace": namespace, label: name}
        found[label] = await resolve(
            firing(**labels), spec, cluster=cluster, protected_namespaces=frozenset(), authority=UNLIMITED
        )
    resolved = found["pod"]
    assert isinstance(resolved, Resolved), resolved
    await cluster.list("/api/v1/nodes")  # the cluster gates
    clock = SystemClock()
    workload = await read_workload(resolved.target, cluster, clock)
    assert workload is not None
    for label in ("statefulset", "daemonset"):
        other = found[label]
        assert isinstance(other, Resolved), other
        assert await read_workload(other.target, cluster, clock) is not None
    scene = Scene(resolved.target, firing(), workload, cluster, None, clock.now())
    diagnosis = await diagnose(tuple(COLLECTORS), scene)
    kinds = {finding.kind for finding in diagnosis.findings}
    assert "log" in kinds
    assert "config-changed" in kinds
    unread = {finding.summary for finding in diagnosis.findings if finding.kind == "unavailable"}
    assert unread == {f"could not read {what}: no Prometheus is configured" for what in ("memory", "CPU")}
    await look_once(cluster, clock)
    return found


class NoMemory:
    """A store in which the watch finds nothing and keeps nothing."""

    async def known(self, cluster: str) -> Known:
        return Known((), {}, None)

    async def keep(self, look: Look) -> None: ...


async def look_once(cluster: KubernetesCluster, clock: SystemClock) -> None:
    store: Any = NoMemory()
    watcher = Watcher(
        store,
        cluster=cluster,
        metrics=None,
        clock=clock,
        protected_namespaces=frozenset(),
        pace=Pace(30),
        count=lambda _: None,
    )
    await watcher.look()


def firing(**labels: str) -> Alert:
    return Alert(
        fingerprint="0" * 16,
        status=AlertStatus.FIRING,
        labels=labels,
        annotations={},
        starts_at=datetime.now(UTC),
        ends_at=None,
        generator_url="",
        receiver="remediator",
        group_key="{}",
    )
