"""ResourceQuotas of the embedded cluster: what they count, and the pods that they do not let be created.

Scopes are not looked at: a quota counts every pod of its namespace. Source of the words: kubernetes/apiserver
`pkg/admission/plugin/resourcequota/controller.go`. Called by the controllers.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from remediator.kube.quantities import pod_limits, pod_requests, quantity
from remediator.model import Json
from remediator.simulate.storage import PLACES, POD, Storage

QUOTA = PLACES["ResourceQuota"]


def exceeded(storage: Storage, pod: Json) -> str | None:
    """Why no such pod may be created in its namespace, in the API server's words; None: it may."""
    meta = pod["metadata"]
    for quota in storage.all(QUOTA, meta["namespace"]):
        hard = {name: quantity(value) for name, value in (quota["spec"].get("hard") or {}).items()}
        used, asked = _used(storage, meta["namespace"], hard), _asked(pod, hard)
        over = [name for name in sorted(hard) if asked[name] and used[name] + asked[name] > hard[name]]
        if over:
            said = ", ".join(
                f"{word}: " + ",".join(f"{name}={amounts[name]:f}" for name in over)
                for word, amounts in (("requested", asked), ("used", used), ("limited", hard))
            )
            return f'pods "{meta["name"]}" is forbidden: exceeded quota: {quota["metadata"]["name"]}, {said}'
    return None


def quota_status(storage: Storage, quota: Json) -> Json:
    """`status` of a ResourceQuota, as its controller keeps it."""
    hard = quota["spec"].get("hard") or {}
    used = _used(storage, quota["metadata"]["namespace"], hard)
    return {"hard": dict(hard), "used": {name: f"{amount:f}" for name, amount in used.items()}}


def _used(storage: Storage, namespace: str, hard: Mapping[str, Json]) -> dict[str, Decimal]:
    pods = [pod for pod in storage.all(POD, namespace) if pod["status"]["phase"] not in ("Succeeded", "Failed")]
    asked = [_asked(pod, hard) for pod in pods]
    return {name: sum((one[name] for one in asked), Decimal()) for name in hard}


def _asked(pod: Json, hard: Mapping[str, Json]) -> dict[str, Decimal]:
    requests, limits = pod_requests(pod), pod_limits(pod)
    counted = {"pods": Decimal(1), "count/pods": Decimal(1)}
    counted |= dict(requests) | {f"requests.{name}": amount for name, amount in requests.items()}
    counted |= {f"limits.{name}": amount for name, amount in limits.items()}
    return {name: counted.get(name, Decimal()) for name in hard}
