"""The ReplicaSet controller of the embedded cluster.

Source: kubernetes 1.36 `pkg/controller/replicaset/replica_set.go`. Called by `controllers.py`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from remediator.clock import Clock, parse_rfc3339
from remediator.model import Json
from remediator.simulate import rolling
from remediator.simulate.admission import default_bare_pod
from remediator.simulate.conditions import find
from remediator.simulate.deployments import Emit
from remediator.simulate.ownership import owner_reference, pods_of
from remediator.simulate.quotas import exceeded
from remediator.simulate.resizing import quality_of
from remediator.simulate.storage import POD, REPLICA_SET, Storage, copied, seconds

FAILURE = "ReplicaFailure"


class ReplicaSetController:
    def __init__(self, storage: Storage, clock: Clock, emit: Emit) -> None:
        self._storage = storage
        self._clock = clock
        self._emit = emit

    def sync(self, replica_set: Json) -> datetime | None:
        """One pass over one ReplicaSet: as many living pods as it wants, and its status. When to come again without a
        change: once a ready pod has been so for `minReadySeconds`."""
        if "deletionTimestamp" in replica_set["metadata"]:
            return None
        living = [pod for pod in pods_of(self._storage, replica_set) if is_living(pod)]
        missing = rolling.size(replica_set) - len(living)
        refusal = next(filter(None, (self._create_pod(replica_set) for _ in range(missing))), None)
        for pod in sorted(living, key=_worth)[: max(0, -missing)]:
            grace = pod["spec"].get("terminationGracePeriodSeconds", 30)
            self._storage.begin_deletion(POD, pod, grace_seconds=grace)
            name = pod["metadata"]["name"]
            self._emit(replica_set, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")
        self._write_status(replica_set, refusal)
        return self._available_at(replica_set)

    def _available_at(self, replica_set: Json) -> datetime | None:
        waiting = [
            parse_rfc3339((find(pod["status"]["conditions"], "Ready") or {})["lastTransitionTime"])
            for pod in pods_of(self._storage, replica_set)
            if is_living(pod) and is_ready(pod) and not self._is_available(pod, replica_set)
        ]
        return min(waiting) + self._needed(replica_set) if waiting else None

    def _needed(self, replica_set: Json) -> timedelta:
        return timedelta(seconds=replica_set["spec"].get("minReadySeconds", 0))

    def _create_pod(self, replica_set: Json) -> str | None:
        """Create one more, or say why that is refused."""
        meta, template = replica_set["metadata"], copied(replica_set["spec"]["template"])
        spec = template["spec"]
        default_bare_pod(spec)
        name = self._storage.generated_name(f"{meta['name']}-")
        pod_meta = {key: value for key, value in template["metadata"].items() if key in ("labels", "annotations")}
        pod = {
            "metadata": {
                **pod_meta,
                "name": name,
                "generateName": f"{meta['name']}-",
                "namespace": meta["namespace"],
                "ownerReferences": [owner_reference(replica_set)],
            },
            "spec": spec,
            "status": {"phase": "Pending", "qosClass": quality_of(spec)},
        }
        if (refusal := exceeded(self._storage, pod)) is not None:
            self._emit(replica_set, "Warning", "FailedCreate", f"Error creating: {refusal}")
            return refusal
        self._storage.create(POD, pod)
        self._emit(replica_set, "Normal", "SuccessfulCreate", f"Created pod: {name}")
        return None

    def _write_status(self, replica_set: Json, refusal: str | None) -> None:
        pods = pods_of(self._storage, replica_set)
        living = [pod for pod in pods if is_living(pod)]
        ready = [pod for pod in living if is_ready(pod)]
        counts = {
            "fullyLabeledReplicas": len(living),
            "readyReplicas": len(ready),
            "availableReplicas": sum(1 for pod in ready if self._is_available(pod, replica_set)),
        }
        status = {"replicas": len(living), "observedGeneration": replica_set["metadata"]["generation"]}
        status["terminatingReplicas"] = sum(1 for pod in pods if "deletionTimestamp" in pod["metadata"])
        status |= {key: count for key, count in counts.items() if count}
        if refusal is not None:
            # Of several attempts the first one's words stay, as long as the condition does.
            old = find((replica_set.get("status") or {}).get("conditions") or (), FAILURE)
            status["conditions"] = [old or self._failure(refusal)]
        self._storage.replace(REPLICA_SET, replica_set | {"status": status}, subresource="status")

    def _failure(self, refusal: str) -> Json:
        at = seconds(self._clock.now())
        return {
            "type": FAILURE,
            "status": "True",
            "reason": "FailedCreate",
            "message": refusal,
            "lastTransitionTime": at,
        }

    def _is_available(self, pod: Json, replica_set: Json) -> bool:
        ready = find(pod["status"]["conditions"], "Ready") or {}
        needed = self._needed(replica_set)
        return not needed or parse_rfc3339(ready["lastTransitionTime"]) + needed <= self._clock.now()


def is_living(pod: Json) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] not in ("Succeeded", "Failed")


def is_ready(pod: Json) -> bool:
    ready = find(pod["status"].get("conditions") or (), "Ready")
    return ready is not None and bool(ready["status"] == "True")


def _worth(pod: Json) -> tuple[bool, bool, bool, str]:
    # Deleted first: not scheduled, pending, not ready. Names break ties so that a run can be repeated.
    is_running = pod["status"]["phase"] == "Running"
    return bool(pod["spec"].get("nodeName")), is_running, is_ready(pod), pod["metadata"]["name"]
