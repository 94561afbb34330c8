"""PodDisruptionBudgets: their status, and the evictions that they forbid.

Source: kubernetes 1.36 `pkg/registry/core/pod/storage/eviction.go`. Called by `api.py`.
"""

from __future__ import annotations

import math

from remediator.model import Json
from remediator.simulate.answers import Refused, status
from remediator.simulate.conditions import with_condition
from remediator.simulate.replicasets import is_living, is_ready
from remediator.simulate.selectors import matches_labels
from remediator.simulate.storage import PLACES, POD, Storage


def check_budgets(storage: Storage, pod: Json) -> None:
    """Raises Refused: 429 if the one budget of the pod forbids it, 500 if it has several."""
    meta = pod["metadata"]
    budgets = [
        budget
        for budget in storage.all(PLACES["PodDisruptionBudget"], meta["namespace"])
        if matches_labels(budget["spec"].get("selector") or {}, meta.get("labels") or {})
    ]
    if len(budgets) > 1:
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise Refused(500, status(500, "", text))
    if not budgets or not is_living(pod) or pod["status"]["phase"] == "Pending":
        return
    healthy, needed, _ = _health(storage, budgets[0])
    allowed = healthy - needed if is_ready(pod) else healthy - needed + 1
    if allowed <= 0:
        name = budgets[0]["metadata"]["name"]
        text = f"The disruption budget {name} needs {needed} healthy pods and has {healthy} currently"
        message = "Cannot evict pod as it would violate the pod's disruption budget."
        causes = {"causes": [{"reason": "DisruptionBudget", "message": text}]}
        raise Refused(429, status(429, "TooManyRequests", message, causes))


def budget_status(storage: Storage, budget: Json, now: str) -> Json:
    """`status` of a PodDisruptionBudget, as the disruption controller keeps it."""
    healthy, needed, expected = _health(storage, budget)
    allowed = max(0, healthy - needed) if expected else 0
    word = ("True", "SufficientPods") if allowed else ("False", "InsufficientPods")
    conditions = (budget.get("status") or {}).get("conditions") or []
    new = {"type": "DisruptionAllowed", "status": word[0], "reason": word[1], "message": "", "lastTransitionTime": now}
    return {
        "observedGeneration": budget["metadata"]["generation"],
        "currentHealthy": healthy,
        "desiredHealthy": needed,
        "disruptionsAllowed": allowed,
        "expectedPods": expected,
        "conditions": with_condition(conditions, new | {"observedGeneration": budget["metadata"]["generation"]}),
    }


def _health(storage: Storage, budget: Json) -> tuple[int, int, int]:
    """How many of the budget's pods are healthy, how many have to be, and how many there are."""
    spec = budget["spec"]
    pods = [
        pod
        for pod in storage.all(POD, budget["metadata"]["namespace"])
        if is_living(pod) and matches_labels(spec.get("selector") or {}, pod["metadata"].get("labels") or {})
    ]
    healthy = sum(1 for pod in pods if is_ready(pod))
    if "maxUnavailable" in spec:
        return healthy, max(0, len(pods) - _resolved(spec["maxUnavailable"], len(pods))), len(pods)
    return healthy, _resolved(spec.get("minAvailable", 1), len(pods)), len(pods)


def _resolved(value: Json, total: int) -> int:
    return value if isinstance(value, int) else math.ceil(int(str(value).rstrip("%")) * total / 100)
