"""The cluster that the captured payloads speak of, with traps beside the right answers; and builders of its objects."""

from __future__ import annotations

from typing import Any

from remediator.kube.base import RESOURCES
from tests.fakes import FakeCluster

Json = dict[str, Any]

PROTECTED = frozenset({"kube-system", "monitoring"})


def made(kind: str, name: str, *, namespace: str = "shop", uid: str = "", **more: Any) -> Json:
    """An object of a kind; `more` are its other top-level fields."""
    place = RESOURCES[kind]
    metadata: Json = {"name": name, "uid": uid or f"uid-{kind.lower()}-{name}"}
    if place.namespaced:
        metadata["namespace"] = namespace
    version = f"{place.group}/{place.version}" if place.group else place.version
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def owned(item: Json, owner: Json) -> Json:
    """The same object with a controller."""
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }
    return {**item, "metadata": {**item["metadata"], "ownerReferences": [reference]}}


def labelled(item: Json, **labels: str) -> Json:
    """The same object with labels; `NAMES` has those that Python cannot spell as an argument."""
    return {**item, "metadata": {**item["metadata"], "labels": {NAMES.get(key, key): labels[key] for key in labels}}}


NAMES = {"name": "app.kubernetes.io/name", "service_name": "kubernetes.io/service-name"}


def pod(
    name: str, *, uid: str = "", namespace: str = "shop", containers: tuple[str, ...] = ("api",), **more: Any
) -> Json:
    spec = {"containers": [{"name": one} for one in containers], **more}
    return made("Pod", name, uid=uid, namespace=namespace, spec=spec, status={"phase": "Running"})


def workload(kind: str, name: str, *, namespace: str = "shop", uid: str = "", **pod_spec: Any) -> Json:
    spec = {"template": {"metadata": {"labels": {"app": name}}, "spec": pod_spec}}
    return made(kind, name, namespace=namespace, uid=uid, spec=spec)


def service(name: str, pods: list[Json], *, app: str | None = None) -> list[Json]:
    """A Service that selects `app`, and two EndpointSlices of its own that list the pods alternately."""
    front = made("Service", name, spec={"selector": {"app": app or name}})
    return [front, *(owned(slice_of(name, pods[part::2], part=str(part)), front) for part in (0, 1))]


def slice_of(service_name: str, pods: list[Json], *, part: str) -> Json:
    endpoints = [
        {"targetRef": {"kind": "Pod", "name": one["metadata"]["name"], "uid": one["metadata"]["uid"]}} for one in pods
    ]
    piece = made("EndpointSlice", f"{service_name}-{part}", endpoints=endpoints)
    return labelled(piece, service_name=service_name)


def mounting(item: Json, claim: str) -> Json:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return {**item, "spec": {**item["spec"], "volumes": volumes}}


API_UIDS = {
    "aaaaa": "2c8d5a70-6f5e-4d1a-9f43-890669791920",
    "bbbbb": "2c8d5a70-6f5e-4d1a-9f43-273006079599",
    "ccccc": "2c8d5a70-6f5e-4d1a-9f43-024062098270",
    "ddddd": "2c8d5a70-6f5e-4d1a-9f43-338901589396",
    "eeeee": "2c8d5a70-6f5e-4d1a-9f43-337677363416",
    "fffff": "2c8d5a70-6f5e-4d1a-9f43-374689032321",
}
"""Last part of the pod name -> uid as in the payloads."""


def lab() -> FakeCluster:
    """The shop of the payloads. Its traps:

    - kube-state-metrics in monitoring, under both names that the payloads carry, and once more in a namespace of ours;
    - a Deployment, a Service and an autoscaler called checkout, the autoscaler of which scales checkout-web;
    - `web-abc` beside `web-abc-def`; two Deployments whose selectors overlap; a canary behind the Service mixed.
    """
    api = workload("Deployment", "api")
    api_set = owned(workload("ReplicaSet", "api-6d5f7c9b8"), api)
    checkout = workload("Deployment", "checkout")
    checkout_sets = [owned(workload("ReplicaSet", f"checkout-{end}"), checkout) for end in ("7c9d8b6f5d", "5d44f6b9c")]
    checkout_pods = [
        labelled(owned(pod("checkout-7c9d8b6f5d-ccccc"), checkout_sets[0]), app="checkout"),
        labelled(owned(pod("checkout-5d44f6b9c-ddddd"), checkout_sets[1]), app="checkout"),
    ]
    web = [workload("Deployment", name) for name in ("checkout-web", "web-abc", "web-abc-def", "mixed", "mixed-canary")]
    sets = {one["metadata"]["name"]: owned(workload("ReplicaSet", one["metadata"]["name"] + "-1"), one) for one in web}
    mixed = [labelled(owned(pod(f"{name}-1-x"), sets[name]), app="mixed") for name in ("mixed", "mixed-canary")]
    scaler = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout-web"}}
    return FakeCluster(
        api,
        api_set,
        *(owned(pod(f"api-6d5f7c9b8-{end}", uid=uid), api_set) for end, uid in API_UIDS.items()),
        checkout,
        *checkout_sets,
        *checkout_pods,
        *service("checkout", checkout_pods),
        made("HorizontalPodAutoscaler", "checkout", spec=scaler),
        *web,
        *sets.values(),
        *mixed,
        *service("mixed", mixed),
        owned(pod("web-abc-def-1-x"), sets["web-abc-def"]),
        made("Node", "node-b"),
        *exporter("monitoring", "kps-kube-state-metrics", "5cc5cc8bf4-zpvs7"),
        *exporter("monitoring", "kube-state-metrics", "5b9d8c7f6-x2x9z"),
        *exporter("tools", "kube-state-metrics", "5b9d8c7f6-x2x9z"),
        name="lab",
    )


def exporter(namespace: str, name: str, end: str) -> list[Json]:
    deployment = labelled(workload("Deployment", name, namespace=namespace), name="kube-state-metrics")
    replicas = owned(workload("ReplicaSet", f"{name}-{end.split('-')[0]}", namespace=namespace), deployment)
    one = owned(pod(f"{name}-{end}", namespace=namespace, containers=("kube-state-metrics",)), replicas)
    labels = {"app.kubernetes.io/name": "kube-state-metrics"}
    one["metadata"]["labels"] = labels
    front = made("Service", name, namespace=namespace, spec={"selector": labels})
    return [deployment, replicas, one, front]
