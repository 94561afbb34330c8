"""`named`: the other workloads that an action of the rule would change, read whole before anything is planned.

Runs by itself where a rule names some (`shed`); a rule need not list it. A workload that cannot be read yields
`unavailable`, and is then not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remediator.diagnose.base import Named, Scene
from remediator.errors import RemediatorError, cut
from remediator.kube.base import Cluster, NotFound, controller_of, path_of, selector_text
from remediator.kube.ownership import gitops_owner, wishes_of
from remediator.kube.permissions import to
from remediator.kube.quantities import pod_requests
from remediator.kube.rollout import condition, is_observed, owned_by
from remediator.kube.selecting import is_selected, labels_of
from remediator.model import Finding, Json, Mode
from remediator.redact import redact

MAX_NAMED = 10
SCALABLE = ("Deployment", "StatefulSet")


class NamedWorkloads:
    name = "named"
    permissions = (
        to("Deployment", "get"),
        to("StatefulSet", "get"),
        to("Namespace", "get"),
        to("Pod", "list"),
        to("ReplicaSet", "list"),
        to("HorizontalPodAutoscaler", "list"),
        to("PodDisruptionBudget", "list"),
    )

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        findings = []
        for one in scene.named[:MAX_NAMED]:
            try:
                findings.append(await _read(one, scene))
            except NotFound:
                findings.append(Finding("unavailable", f"{one} does not exist", {"collector": self.name}))
            except RemediatorError as error:
                text = f"{one}: {cut(redact(str(error)))}"
                findings.append(Finding("unavailable", text, {"collector": self.name}))
        return findings


async def _read(one: Named, scene: Scene) -> Finding:
    cluster = scene.cluster
    item = await cluster.get(path_of(one.kind, namespace=one.namespace, name=one.name))
    space = await cluster.get(path_of("Namespace", namespace=None, name=one.namespace))
    pods = await _pods(item, one.namespace, cluster)
    scalers = await cluster.list(path_of("HorizontalPodAutoscaler", namespace=one.namespace))
    budgets = await cluster.list(path_of("PodDisruptionBudget", namespace=one.namespace))
    wanted = item["spec"].get("replicas", 1)
    ready = sum((condition(pod, "Ready") or {}).get("status") == "True" for pod in pods)
    facts: dict[str, Json] = {
        "workload": str(one),
        "kind": one.kind,
        "namespace": one.namespace,
        "name": one.name,
        "uid": item["metadata"]["uid"],
        "generation": item["metadata"]["generation"],
        "replicas": wanted,
        "ready": ready,
        "is_settled": is_observed(item) and not item["metadata"].get("deletionTimestamp"),
        "priority": max((pod["spec"].get("priority") or 0 for pod in pods), default=None),
        "requests": _requests(pods),
        "owner": _owner(item),
        "autoscaler": next((s["metadata"]["name"] for s in scalers if _scales(s, one)), None),
        "must_stay_healthy": max((_desired(b, pods) for b in budgets), default=0),
        "forbids": _forbids(item, "the workload", scene) or _forbids(space, "the namespace", scene),
    }
    return Finding("named-workload", f"{one}: {ready} of {wanted} replicas ready", facts)


async def _pods(item: Json, namespace: str, cluster: Cluster) -> Sequence[Json]:
    selector = selector_text(item["spec"]["selector"])
    pods = await cluster.list(path_of("Pod", namespace=namespace), label_selector=selector)
    if item.get("kind") == "StatefulSet":
        return owned_by(item, pods)
    sets = await cluster.list(path_of("ReplicaSet", namespace=namespace), label_selector=selector)
    return [pod for owner in owned_by(item, sets) for pod in owned_by(owner, pods)]


def _requests(pods: Sequence[Json]) -> Mapping[str, float] | None:
    """Of the smallest of its pods: what one replica less frees for sure. None: no pod runs."""
    asked = [pod_requests(pod) for pod in pods if (pod.get("status") or {}).get("phase") == "Running"]
    if not asked:
        return None
    return {name: float(min(one.get(name, 0) for one in asked)) for name in ("cpu", "memory")}


def _owner(item: Json) -> str | None:
    """Who would undo a change of its replicas."""
    if (owner := controller_of(item)) is not None:
        return f"{owner['kind']} {owner['name']}"
    return gitops_owner(item, field="replicas")


def _scales(scaler: Json, one: Named) -> bool:
    reference = (scaler.get("spec") or {}).get("scaleTargetRef") or {}
    group = str(reference.get("apiVersion", "")).partition("/")[0]
    return (group, reference.get("kind"), reference.get("name")) == ("apps", one.kind, one.name)


def _desired(budget: Json, pods: Sequence[Json]) -> int:
    """How many pods the budget wants healthy, where it selects pods of this workload; else 0."""
    if not any(is_selected((budget.get("spec") or {}).get("selector"), labels_of(pod)) for pod in pods):
        return 0
    return int((budget.get("status") or {}).get("desiredHealthy") or 0)


def _forbids(item: Json, what: str, scene: Scene) -> str | None:
    """The annotation that keeps us from scaling it down, in words."""
    wishes = wishes_of(item)
    if wishes.problems:
        return f"{what}: {wishes.problems[0]}"
    if wishes.mode is not None and wishes.mode is not Mode.ACTIVE:
        return f"{what} says remediator.io/mode: {wishes.mode}"
    if wishes.actions is not None and "shed" not in wishes.actions:
        return f"{what} allows only: {', '.join(sorted(wishes.actions)) or 'nothing'}"
    if wishes.pause_until is not None and wishes.pause_until > scene.now:
        return f"{what} is paused until {wishes.pause_until.isoformat()}"
    return None
