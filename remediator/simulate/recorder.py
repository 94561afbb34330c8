"""core/v1 Events of the embedded cluster's controllers and kubelets, counted up as the real recorder does."""

from __future__ import annotations

from remediator.clock import Clock
from remediator.model import Json
from remediator.simulate.storage import CORE_EVENT, Storage, seconds

COMPONENTS = {"Deployment": "deployment-controller", "ReplicaSet": "replicaset-controller"}


class EventRecorder:
    def __init__(self, storage: Storage, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        # (uid, reason, message) -> name of the Event that counts it.
        self._names: dict[tuple[str, str, str], str] = {}

    def record(self, about: Json, kind: str, reason: str, message: str) -> None:
        """Record that something happened to `about`; a `fieldPath` beside its metadata names the container."""
        meta = about["metadata"]
        now = seconds(self._clock.now())
        key = (meta["uid"], reason, message)
        old = self._storage.find(CORE_EVENT, meta["namespace"], self._names.get(key, ""))
        if old is not None:
            counted = old | {"count": old["count"] + 1, "lastTimestamp": now}
            self._storage.replace(CORE_EVENT, counted)
            return
        source = (
            "default-scheduler"
            if reason in ("Scheduled", "FailedScheduling")
            else COMPONENTS.get(about["kind"], "kubelet")
        )
        name = f"{meta['name']}.{self._storage.generated_name('')}{self._storage.generated_name('')}"
        self._names[key] = name
        involved = {
            "kind": about["kind"],
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "apiVersion": about["apiVersion"],
            "resourceVersion": meta["resourceVersion"],
        }
        if "fieldPath" in about:
            involved["fieldPath"] = about["fieldPath"]
        self._storage.create(
            CORE_EVENT,
            {
                "metadata": {"name": name, "namespace": meta["namespace"]},
                "involvedObject": involved,
                "reason": reason,
                "message": message,
                "source": {"component": source},
                "firstTimestamp": now,
                "lastTimestamp": now,
                "count": 1,
                "type": kind,
                "eventTime": None,
                "reportingComponent": source,
                "reportingInstance": "",
            },
        )
