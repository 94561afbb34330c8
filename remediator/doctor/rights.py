"""What the service needs to be allowed to do, and the question whether it is: a SelfSubjectAccessReview for each right.

A review is a `create` on the authorization API and changes nothing: it is how an account asks what it may. Every
authenticated account may ask (ClusterRole system:basic-user). The list of reads is that of
`deploy/kustomize/base/reader.yaml`, compared by a test, and that one is compared with the API server's audit log.
Source: kubernetes/api `authorization/v1/types.go`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from remediator.actions import ACTIONS
from remediator.kube.base import Cluster, value_at
from remediator.model import MODES_BY_CAUTION, Json, Mode, Request, most_cautious
from remediator.rules.schema import RuleSet
from remediator.settings import Settings

REVIEW_PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@dataclass(frozen=True, slots=True)
class Right:
    """One right, as RBAC names it. `resource` may hold a subresource; no namespace: in all of them.

    `costs`: what is lost without it; empty: nothing works without it.
    """

    group: str
    resource: str
    verb: str
    name: str = ""
    namespace: str = ""
    costs: str = ""

    def __str__(self) -> str:
        place = f" in {self.namespace}" if self.namespace else ""
        whole = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {whole}{'/' + self.name if self.name else ''}{place}"


_READS: tuple[tuple[str, str, str, str], ...] = (
    ("", "pods", "get list", ""),
    ("apps", "deployments", "get list", ""),
    ("apps", "replicasets", "get list", ""),
    ("apps", "statefulsets", "get", "alerts about StatefulSets lead to nothing"),
    ("apps", "daemonsets", "get", "alerts about DaemonSets lead to nothing"),
    ("apps", "controllerrevisions", "list", "no rollback of StatefulSets and DaemonSets"),
    ("batch", "jobs", "get", "alerts about Jobs lead to nothing"),
    ("batch", "cronjobs", "get", "alerts about CronJobs lead to nothing"),
    ("", "services", "get list", "alerts about Services lead to nothing"),
    ("", "persistentvolumeclaims", "get list", "alerts about volumes lead to nothing"),
    ("discovery.k8s.io", "endpointslices", "list", "alerts about Services lead to nothing"),
    ("autoscaling", "horizontalpodautoscalers", "get list", "nothing is scaled"),
    ("policy", "poddisruptionbudgets", "get list", "no pod is replaced"),
    ("", "resourcequotas", "list", "nothing is scaled"),
    ("", "limitranges", "list", "nothing is scaled"),
    ("networking.k8s.io", "networkpolicies", "list", "network policies are unknown"),
    ("autoscaling.k8s.io", "verticalpodautoscalers", "list", "nothing is resized"),
    ("keda.sh", "scaledobjects", "list", "nothing is scaled"),
    ("", "pods/log", "get", "causes are seldom known"),
    ("", "events", "list", "causes are seldom known"),
    ("", "configmaps", "list", "a changed or missing ConfigMap is unknown"),
    ("", "serviceaccounts", "list", "a missing ServiceAccount is unknown"),
    ("", "namespaces", "get", "an opt-out on a namespace cannot be read, so that nothing is done"),
    ("", "nodes", "get list", "shared causes and lost nodes are unknown, so that nothing is done"),
)

EVENTS = Right("events.k8s.io", "events", "create", costs="nothing is shown by `kubectl describe`")


def reads(settings: Settings) -> Iterator[Right]:
    """What is read in every mode."""
    for group, resource, verbs, costs in _READS:
        for verb in verbs.split():
            yield Right(group, resource, verb, costs=costs)
    if (place := settings.switch_in_cluster()) is not None:
        namespace, name = place
        costs = "the kill switch counts as engaged"
        yield Right("", "configmaps", "get", name=name, namespace=namespace, costs=costs)


def acts(table: RuleSet, mode: Mode) -> Iterator[Right]:
    """What the rules that may do more than recommend need in this mode, once each."""
    seen = set()
    for rule in table.rules:
        if MODES_BY_CAUTION.index(most_cautious(rule.mode, mode)) <= MODES_BY_CAUTION.index(Mode.SILENT):
            continue
        for row in rule.respond:
            for needed in ACTIONS[row.do].permissions:
                for verb in needed.verbs:
                    right = Right(needed.group, needed.resource, verb, costs=f"{row.do} only recommends")
                    if (key := replace(right, costs="")) not in seen:
                        seen.add(key)
                        yield right


async def may(cluster: Cluster, right: Right) -> bool:
    """Whether the API server would let us. Raises the errors of `kube/base.py`."""
    resource, _, subresource = right.resource.partition("/")
    about = {
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "verb": right.verb,
        "name": right.name,
        "namespace": right.namespace,
    }
    review: Json = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in about.items() if value}},
    }
    request = Request(method="POST", path=REVIEW_PATH, content_type="application/json", body=review)
    return value_at(await cluster.send(request, dry_run=False), ("status", "allowed")) is True
