"""The second half of a StatefulSet's rollback: its broken pod is in the way of the restored template. Pure.

With `podManagementPolicy: OrderedReady` the controller waits for the broken pod to become ready before it replaces any,
also after its template was mended (kubernetes/kubernetes issue 67250). Evicting it lets the controller go on; a
disruption budget may still say no. Deleted without force, since a second pod of that name must never run beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.actions.base import Case, NoPlan
from remediator.actions.rollback.revisions import Revision
from remediator.kube.controller_revisions import HASH
from remediator.kube.evicting import eviction_request
from remediator.kube.rollout import condition
from remediator.model import Json, Step, Target, ToldBy
from remediator.reasons import Reason


def evictions(case: Case, previous: Revision) -> tuple[Step, ...] | NoPlan:
    """Evict what is not ready and not of the restored revision, the highest ordinal first."""
    item = case.workload.object
    is_ordered = item["spec"].get("podManagementPolicy", "OrderedReady") == "OrderedReady"
    if case.target.kind != "StatefulSet" or not is_ordered:
        return ()
    broken = [pod for pod in case.workload.pods if _is_in_the_way(pod, previous)]
    for pod in broken:
        if (unknown := _node_refusal(case, pod)) is not None:
            return unknown
    return tuple(_eviction(case, pod) for pod in sorted(broken, key=_ordinal, reverse=True))


def _is_in_the_way(pod: Json, previous: Revision) -> bool:
    metadata = pod["metadata"]
    is_ready = (condition(pod, "Ready") or {}).get("status") == "True"
    is_restored = (metadata.get("labels") or {}).get(HASH) == previous.name
    return not is_ready and not is_restored and not metadata.get("deletionTimestamp")


def _node_refusal(case: Case, pod: Json) -> NoPlan | None:
    """A pod on a node that does not answer would hang while it is deleted, and its volume with it."""
    name = pod["spec"].get("nodeName")
    if not name:
        return None
    found = next((f for f in case.findings if f.kind == "node" and f.facts["node"] == name), None)
    if found is not None and found.facts["ready"] == "True":
        return None
    state = f"is ready {found.facts['ready']}" if found is not None else "was not looked at (`node` in `diagnose`)"
    detail = f"{pod['metadata']['name']} is in the way, and its node {name} {state}"
    return NoPlan(Reason.FACT_MISSING if found is None else Reason.NODE_NOT_READY, detail)


def _ordinal(pod: Json) -> int:
    return int(pod["metadata"]["name"].rpartition("-")[2])


def _eviction(case: Case, pod: Json) -> Step:
    metadata: Json = pod["metadata"]
    touched = Target(case.target.cluster, "Pod", metadata["namespace"], metadata["name"], metadata["uid"])
    return Step(
        request=eviction_request(touched),
        touched=touched,
        told_by=ToldBy.GONE,
        after_observed=True,
    )


def names_of(steps: Sequence[Step]) -> str:
    """For people: the pods that go."""
    return ", ".join(step.touched.name for step in steps)
