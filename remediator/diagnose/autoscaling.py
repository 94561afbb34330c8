"""`autoscaling`: who else decides on the number and the size of the pods, and which disruption budgets guard them.

Autoscalers are matched by the kind, name and API group that they scale, budgets by their selector on the pods' labels.
An add-on that is not installed (KEDA, VPA) is "none"; one that may not be read is unknown and said so.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.diagnose.base import Scene, attempt, words
from remediator.kube.base import NotFound, annotations_of, controller_of, path_of
from remediator.kube.ownership import gitops_owner
from remediator.kube.permissions import to
from remediator.kube.quantities import quantity
from remediator.kube.rollout import condition
from remediator.kube.selecting import is_selected, labels_of
from remediator.model import Finding, Json
from remediator.together import together

MAX_LISTED = 1000
GROUPS = {"Deployment": "apps", "ReplicaSet": "apps", "StatefulSet": "apps", "DaemonSet": "apps", "Job": "batch"}

# kedacore/keda `apis/keda/v1alpha1/scaledobject_types.go`: what it means when they are not given.
KEDA_MIN, KEDA_MAX = 0, 100


class Autoscaling:
    name = "autoscaling"
    permissions = (
        to("HorizontalPodAutoscaler", "list"),
        to("ScaledObject", "list"),
        to("VerticalPodAutoscaler", "list"),
        to("PodDisruptionBudget", "list"),
    )

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        if not scene.target.namespace:
            return []
        horizontal, scaled, vertical, budgets = await together(
            self._list(scene, "HorizontalPodAutoscaler"),
            self._list(scene, "ScaledObject"),
            self._list(scene, "VerticalPodAutoscaler"),
            self._list(scene, "PodDisruptionBudget"),
        )
        findings = [one for one in (horizontal, scaled, vertical, budgets) if isinstance(one, Finding)]
        if not isinstance(horizontal, Finding):
            owned = [] if isinstance(scaled, Finding) else scaled
            sized = [] if isinstance(vertical, Finding) else vertical
            findings.append(_autoscaling(scene, horizontal, owned, sized))
        if not isinstance(budgets, Finding):
            findings.append(_budgets(scene, budgets))
        return findings

    async def _list(self, scene: Scene, kind: str) -> Sequence[Json] | Finding:
        async def ask() -> Sequence[Json]:
            try:
                return await scene.cluster.list(path_of(kind, namespace=scene.target.namespace), limit=MAX_LISTED)
            except NotFound:  # the API does not exist here
                return ()

        return await attempt(self.name, f"{kind} objects", ask(), what=kind)


def _autoscaling(scene: Scene, horizontal: Sequence[Json], scaled: Sequence[Json], sized: Sequence[Json]) -> Finding:
    found = [_horizontal(item) for item in horizontal if _is_ours(scene, item["spec"].get("scaleTargetRef"), "")]
    owners = {one["owner"] for one in found}
    # KEDA takes its autoscaler away while it is paused: then only its own object says that it scales this workload.
    found += [
        _keda(item)
        for item in scaled
        if _is_ours(scene, item["spec"].get("scaleTargetRef"), "Deployment")
        and f"ScaledObject/{item['metadata']['name']}" not in owners
    ]
    vertical = [_vertical(item) for item in sized if _is_ours(scene, item["spec"].get("targetRef"), "")]
    who = [f"{one['kind']} {one['name']} ({one['min']} to {one['max']})" for one in found]
    who += [f"VerticalPodAutoscaler {one['name']} ({one['mode']})" for one in vertical]
    text = f"scaled by {', '.join(who)}" if who else "no autoscaler"
    return Finding("autoscaling", words(text), {"autoscalers": found, "vertical": vertical})


def _is_ours(scene: Scene, reference: Json | None, default_kind: str) -> bool:
    """Whether the reference means the target: same kind, name and API group, in whatever version."""
    if not reference or reference.get("name") != scene.target.name:
        return False
    group, slash, _ = str(reference.get("apiVersion") or "").partition("/")
    is_group = not reference.get("apiVersion") or (group if slash else "") == GROUPS.get(scene.target.kind, "")
    return bool((reference.get("kind") or default_kind) == scene.target.kind and is_group)


def _horizontal(item: Json) -> Json:
    """Source: `autoscaling/v2` types; the words of its conditions: kubernetes `pkg/controller/podautoscaler`."""
    spec, status, owner = item["spec"], item.get("status") or {}, controller_of(item)
    current, desired = status.get("currentReplicas"), status.get("desiredReplicas")
    limited = condition(item, "ScalingLimited") or {}
    is_limited = limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas"
    return {
        "kind": "HorizontalPodAutoscaler",
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "generation": item["metadata"].get("generation"),
        "min": spec.get("minReplicas", 1),
        "max": spec["maxReplicas"],
        "current": current,
        "desired": desired,
        "at_max": is_limited or max(current or 0, desired or 0) >= spec["maxReplicas"],
        "is_active": _is_true(item, "ScalingActive"),
        "is_limited": is_limited,
        "owner": f"{owner['kind']}/{owner['name']}" if owner else None,
        # For a change of its bounds: who would revert it, and whether there is a place for a mark.
        "gitops": _gitops(item, "maxReplicas", "minReplicas"),
        "is_annotated": bool(annotations_of(item)),
    }


def _gitops(item: Json, *fields: str) -> str | None:
    # An item of a list carries no kind of its own.
    whole = {"kind": "HorizontalPodAutoscaler", **item}
    owners = [gitops_owner(whole, field=field) for field in fields]
    return next((owner for owner in owners if owner is not None), None)


def _keda(item: Json) -> Json:
    spec = item["spec"]
    return {
        "kind": "ScaledObject",
        "name": item["metadata"]["name"],
        "uid": item["metadata"]["uid"],
        "generation": item["metadata"].get("generation"),
        "min": spec.get("minReplicaCount", KEDA_MIN),
        "max": spec.get("maxReplicaCount", KEDA_MAX),
        "current": None,
        "desired": None,
        "at_max": None,
        "is_active": _is_true(item, "Active"),
        "is_limited": None,
        "owner": None,
        "gitops": None,
        "is_annotated": bool(annotations_of(item)),
    }


def _is_true(item: Json, kind: str) -> bool | None:
    found = condition(item, kind)
    return None if found is None or found.get("status") == "Unknown" else found.get("status") == "True"


def _vertical(item: Json) -> Json:
    """Source: kubernetes/autoscaler `vertical-pod-autoscaler/pkg/apis/autoscaling.k8s.io/v1/types.go`."""
    recommended = ((item.get("status") or {}).get("recommendation") or {}).get("containerRecommendations") or ()
    targets = [quantity(one["target"]["memory"]) for one in recommended if (one.get("target") or {}).get("memory")]
    return {
        "name": item["metadata"]["name"],
        "mode": (item["spec"].get("updatePolicy") or {}).get("updateMode") or "Auto",
        "target_memory_bytes": int(max(targets)) if targets else None,
    }


def _budgets(scene: Scene, items: Sequence[Json]) -> Finding:
    # Also without pods it is known which they will be.
    labels = [labels_of(pod) for pod in scene.workload.pods] or [labels_of(scene.workload.template)]
    found = [
        _budget(item)
        for item in items
        if any(is_selected(item["spec"].get("selector"), one) for one in labels)
    ]
    each = [f"{one['name']} allows {one['allowed']}" for one in found]
    text = f"disruption budgets: {', '.join(each)}" if each else "no disruption budget"
    return Finding("disruption-budgets", words(text), {"budgets": found})


def _budget(item: Json) -> Json:
    status = item.get("status") or {}
    # A status that is older than the spec allows nothing, as the eviction API has it.
    is_observed = (status.get("observedGeneration") or 0) >= item["metadata"].get("generation", 0)
    return {
        "name": item["metadata"]["name"],
        "allowed": status.get("disruptionsAllowed", 0) if is_observed else 0,
        "healthy": status.get("currentHealthy", 0),
        "desired": status.get("desiredHealthy", 0),
        "unhealthy_policy": item["spec"].get("unhealthyPodEvictionPolicy"),
    }
