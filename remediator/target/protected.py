"""Objects that no rule may touch, whatever an alert says: the never-touch list of safety.md 2.3 (20), step 3. Pure.

Not removable by rules. Namespaces are checked before anything is read, objects once they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediator.model import Json

EXPORTER = "kube-state-metrics"
"""The exporter whose own pod stands under the labels of alerts about others."""

NAME_LABELS = ("app.kubernetes.io/name", "k8s-app", "app")

CRITICAL_PRIORITIES = frozenset({"system-cluster-critical", "system-node-critical"})
"""Priority classes of DNS, CNI, CSI and the like."""


def protection_of(item: Json) -> str | None:
    """Why a pod or workload must not be touched, in words; None: nothing speaks against it here."""
    spec = item.get("spec") or {}
    template = spec.get("template") or ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
    for labels in (_labels(item), _labels(template)):
        if EXPORTER in (labels.get(key) for key in NAME_LABELS):
            return f"it is {EXPORTER} itself, which only reports on others"
    for pod in (spec, template.get("spec") or {}):
        if (priority := pod.get("priorityClassName")) in CRITICAL_PRIORITIES:
            return f"its priority class is {priority}"
    return None


def _labels(item: Json) -> Mapping[str, Any]:
    return (item.get("metadata") or {}).get("labels") or {}
