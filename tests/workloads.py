"""Raw Kubernetes objects as the API server returns them, for tables over pure functions.

One story: `shop/checkout` went from revision 2 (image 1.4) to revision 3 (image 1.5) ten minutes before `NOW`, and the
pods of revision 3 crash while those of revision 2 are still ready.
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.actions.base import Case
from remediator.clock import rfc3339
from remediator.kube.rollout import REVISION, REVISION_HISTORY
from remediator.kube.workload import Workload
from remediator.model import ActionId, Alert, AlertStatus, Cause, Finding, Proof, Target
from remediator.store.base import TemplateEvent

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ROLLOUT_AT = NOW - timedelta(minutes=10)
UID = "d-1"
TARGET = Target("test", "Deployment", "shop", "checkout", UID)
PROOF = Proof(("rollout-complete", "pods-ready"), timedelta(minutes=10), timedelta(minutes=2), "revert")


def template(image: str = "shop/checkout:1.5", **metadata: Any) -> dict[str, Any]:
    """A pod template as stored, with the defaults that matter."""
    return {
        "metadata": {"labels": {"app": "checkout"}, **metadata},
        "spec": {"containers": [{"name": "app", "image": image}], "restartPolicy": "Always"},
    }


def replica_set(
    number: int,
    pod_template: dict[str, Any],
    *,
    created: datetime,
    ready: int = 0,
    reused: bool = False,
) -> dict[str, Any]:
    """The ReplicaSet of one revision, owned by the Deployment."""
    owned = copy.deepcopy(pod_template)
    owned["metadata"].setdefault("labels", {})["pod-template-hash"] = f"hash{number}"
    annotations = {REVISION: str(number)}
    if reused:
        annotations[REVISION_HISTORY] = "1"
    return {
        "metadata": {
            "name": f"checkout-{number}",
            "namespace": "shop",
            "uid": f"rs-{number}",
            "creationTimestamp": rfc3339(created),
            "annotations": annotations,
            "ownerReferences": [{"kind": "Deployment", "name": "checkout", "uid": UID, "controller": True}],
        },
        "spec": {"template": owned, "replicas": ready},
        "status": {"readyReplicas": ready},
    }


def deployment(pod_template: dict[str, Any], *, revision: int = 3, **spec: Any) -> dict[str, Any]:
    """The Deployment at that revision, observed."""
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "checkout",
            "namespace": "shop",
            "uid": UID,
            "generation": 7,
            "creationTimestamp": "2026-11-01T00:00:00Z",
            "annotations": {REVISION: str(revision)},
        },
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "checkout"}},
            "strategy": {"type": "RollingUpdate"},
            "template": pod_template,
            **spec,
        },
        "status": {
            "observedGeneration": 7,
            "conditions": [
                {
                    "type": "Progressing",
                    "status": "True",
                    "reason": "NewReplicaSetAvailable",
                    "lastUpdateTime": rfc3339(ROLLOUT_AT + timedelta(minutes=1)),
                }
            ],
        },
    }


def workload(**changes: Any) -> Workload:
    """The story above; `changes` replace fields of the picture."""
    facts: dict[str, Any] = {
        "taken_at": NOW,
        "object": deployment(template("shop/checkout:1.5")),
        "replica_sets": (
            replica_set(3, template("shop/checkout:1.5"), created=ROLLOUT_AT),
            replica_set(2, template("shop/checkout:1.4"), created=NOW - timedelta(days=2), ready=2),
        ),
        "pods": (),
        "namespace": {"metadata": {"name": "shop"}},
        "config_maps": {},
        "claims": frozenset(),
        "service_accounts": frozenset({"default"}),
    }
    return Workload(**{**facts, **changes})


def alert(**changes: Any) -> Alert:
    """KubePodCrashLooping of a pod of the workload, firing since five minutes before `NOW`."""
    facts: dict[str, Any] = {
        "fingerprint": "00112233aabbccdd",
        "status": AlertStatus.FIRING,
        "labels": {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "checkout-3-a", "container": "app"},
        "annotations": {},
        "starts_at": NOW - timedelta(minutes=5),
        "ends_at": None,
        "generator_url": "",
        "receiver": "remediator",
        "group_key": "{}",
    }
    return Alert(**{**facts, **changes})


def case(
    picture: Workload | None = None,
    *,
    ledger: tuple[TemplateEvent, ...] = (),
    findings: tuple[Finding, ...] = (),
    **changes: Any,
) -> Case:
    """The case an action decides on."""
    facts: dict[str, Any] = {
        "target": TARGET,
        "alert": alert(),
        "workload": picture or workload(),
        "cause": Cause.CODE_ERROR,
        "findings": findings,
        "ledger": ledger,
        "action_id": ActionId("a" * 32),
        "rule": "crash-loop",
        "proof": PROOF,
        "now": NOW,
    }
    return Case(**{**facts, **changes})
