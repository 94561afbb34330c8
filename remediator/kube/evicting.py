"""The requests that end one pod, and only that one. Pure; used by the actions `evict` and `rollback`.

Eviction is a graceful deletion that disruption budgets may forbid. The uid is a precondition: a pod of a StatefulSet is
replaced by one of the same name. Source: kubernetes `pkg/registry/core/pod/storage/eviction.go`.
"""

from __future__ import annotations

from remediator.kube.base import path_of
from remediator.model import Request, Target

CONTENT_TYPE = "application/json"


def eviction_request(pod: Target) -> Request:
    """Never with `gracePeriodSeconds: 0`: a second pod of that name must not run beside the first."""
    return Request(
        method="POST",
        path=path_of("Pod", namespace=pod.namespace, name=pod.name, subresource="eviction"),
        content_type=CONTENT_TYPE,
        body={
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": pod.namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid}},
        },
    )


def deletion_request(pod: Target) -> Request:
    """For a pod that has ended: no budget counts it, and nothing of it runs any more."""
    return Request(
        method="DELETE",
        path=path_of("Pod", namespace=pod.namespace, name=pod.name),
        content_type=CONTENT_TYPE,
        body={"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": pod.uid}},
    )
