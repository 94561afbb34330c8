"""How a rule says where its target is, for step 3 of the way of an alert. Filled from the rule, read by `labels.py`.

Its own small type, so that `target` stays below `rules` in the layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

KIND_OF_LABEL: Mapping[str, str] = {
    "job_name": "Job",
    "cronjob": "CronJob",
    "deployment": "Deployment",
    "statefulset": "StatefulSet",
    "daemonset": "DaemonSet",
    "replicaset": "ReplicaSet",
    "horizontalpodautoscaler": "HorizontalPodAutoscaler",
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "poddisruptionbudget": "PodDisruptionBudget",
    "pod": "Pod",
    "service": "Service",
    "node": "Node",
}
"""Label of kube-state-metrics -> kind, most specific first: the first one present names the object, the rest do not
count. `job` is missing on purpose: it is the scrape job."""

KIND_OF_WORD: Mapping[str, str] = {kind.lower(): kind for kind in KIND_OF_LABEL.values()}
"""How rules and opt-in labels write a kind, in lower case -> kind."""

PROTECTED_BY_DEFAULT: frozenset[str] = frozenset({"kube-system", "kube-public", "kube-node-lease", "monitoring"})
"""Namespaces that no rule may touch (safety.md 2.3, 20). Settings add the service's own, and may allow `monitoring`."""


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """Exactly one form: from the alert's own labels, from named labels, or a fixed object.

    `labels` is kind -> label name (`{"deployment": "app", "namespace": "ns"}`); without `namespace` the alert's own
    counts. `fixed` is (kind, namespace, name), the namespace empty for a Node. `node_scope` says that the alert is
    about a node; without it no `node` label is read. Raises ValueError for anything else.
    """

    from_alert: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    fixed: tuple[str, str, str] | None = None
    node_scope: bool = False

    def __post_init__(self) -> None:
        if sum((self.from_alert, bool(self.labels), self.fixed is not None)) != 1:
            raise ValueError("a target is either from the alert, from named labels, or a fixed object")
        if self.node_scope and not self.from_alert:
            raise ValueError("node scope only says how to read the alert's own labels")
        kinds = [kind.lower() for kind in self.labels if kind.lower() != "namespace"]
        if self.labels and not kinds:
            raise ValueError("named labels need a kind beside the namespace")
        for kind in (*kinds, *((self.fixed[0].lower(),) if self.fixed else ())):
            if kind not in KIND_OF_WORD:
                raise ValueError(f"unknown kind {kind!r}; known: {', '.join(sorted(KIND_OF_WORD))}")
