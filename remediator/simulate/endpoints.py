"""EndpointSlices of the embedded cluster: for each Service that selects pods one slice with their addresses.

Source: kubernetes 1.36 `pkg/controller/endpointslice` (the reconciler and `podToEndpoint`). Called by `controllers.py`.
"""

from __future__ import annotations

from remediator.model import Json
from remediator.simulate.conditions import find
from remediator.simulate.ownership import owner_reference
from remediator.simulate.selectors import matches_labels
from remediator.simulate.storage import PLACES, POD, Storage

SLICE = PLACES["EndpointSlice"]
LABELS = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
SERVICE_NAME = "kubernetes.io/service-name"


class EndpointController:
    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def sync(self, service: Json) -> None:
        """Bring the Service's slice to what its pods are now. A Service without a selector has none from here."""
        spec, meta = service["spec"], service["metadata"]
        if not spec.get("selector") or spec.get("type") == "ExternalName":
            return
        pods = [
            pod
            for pod in self._storage.all(POD, meta["namespace"])
            if matches_labels({"matchLabels": spec["selector"]}, pod["metadata"].get("labels") or {})
            and pod["status"].get("podIP")
            and pod["status"]["phase"] not in ("Succeeded", "Failed")
        ]
        body = {
            "addressType": "IPv4",
            "endpoints": [_endpoint(pod) for pod in pods],
            "ports": [_port(port, pods) for port in spec.get("ports") or () if _number(port, pods) is not None],
        }
        old = self._storage.find(SLICE, meta["namespace"], f"{meta['name']}-slice")
        if old is not None:
            self._storage.replace(SLICE, {**old, **body})
            return
        owned = {"labels": {SERVICE_NAME: meta["name"], **LABELS}, "ownerReferences": [owner_reference(service)]}
        named = {"name": f"{meta['name']}-slice", "namespace": meta["namespace"], **owned}
        self._storage.create(SLICE, {"metadata": named, **body})


def _endpoint(pod: Json) -> Json:
    meta = pod["metadata"]
    is_terminating = "deletionTimestamp" in meta
    is_serving = (find(pod["status"].get("conditions") or (), "Ready") or {}).get("status") == "True"
    return {
        "addresses": [pod["status"]["podIP"]],
        "conditions": {
            "ready": is_serving and not is_terminating,
            "serving": is_serving,
            "terminating": is_terminating,
        },
        "nodeName": pod["spec"].get("nodeName"),
        "targetRef": {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]},
    }


def _port(port: Json, pods: list[Json]) -> Json:
    return {"name": port.get("name", ""), "port": _number(port, pods), "protocol": port.get("protocol", "TCP")}


def _number(port: Json, pods: list[Json]) -> int | None:
    """The port of the pods; a name that none of their containers has leads nowhere. Without pods none is known."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target if pods else None
    declared = (
        each["containerPort"]
        for pod in pods
        for container in pod["spec"]["containers"]
        for each in container.get("ports") or ()
        if each.get("name") == target
    )
    return next(declared, None)
