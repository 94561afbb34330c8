"""What the rest of the service knows of a cluster: the protocol `Cluster`, its errors, and where objects live.

`kube/client.py` implements it for a real API server; the embedded cluster of `simulate/` is reached through the same
client. Objects are raw JSON (dict), never generated models: a model drops the fields it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from remediator.clock import parse_rfc3339
from remediator.errors import PermanentError, TransientError
from remediator.model import Json, Request


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a kind lives in the API."""

    group: str
    version: str
    plural: str
    namespaced: bool = True


RESOURCES: Mapping[str, Resource] = {
    "Pod": Resource("", "v1", "pods"),
    "Namespace": Resource("", "v1", "namespaces", namespaced=False),
    "Node": Resource("", "v1", "nodes", namespaced=False),
    "Service": Resource("", "v1", "services"),
    "ConfigMap": Resource("", "v1", "configmaps"),
    "Secret": Resource("", "v1", "secrets"),
    "ServiceAccount": Resource("", "v1", "serviceaccounts"),
    "PersistentVolumeClaim": Resource("", "v1", "persistentvolumeclaims"),
    "CoreEvent": Resource("", "v1", "events"),
    "Event": Resource("events.k8s.io", "v1", "events"),
    "Deployment": Resource("apps", "v1", "deployments"),
    "ReplicaSet": Resource("apps", "v1", "replicasets"),
    "StatefulSet": Resource("apps", "v1", "statefulsets"),
    "DaemonSet": Resource("apps", "v1", "daemonsets"),
    "ControllerRevision": Resource("apps", "v1", "controllerrevisions"),
    "Job": Resource("batch", "v1", "jobs"),
    "CronJob": Resource("batch", "v1", "cronjobs"),
    "HorizontalPodAutoscaler": Resource("autoscaling", "v2", "horizontalpodautoscalers"),
    "PodDisruptionBudget": Resource("policy", "v1", "poddisruptionbudgets"),
    "EndpointSlice": Resource("discovery.k8s.io", "v1", "endpointslices"),
    "ResourceQuota": Resource("", "v1", "resourcequotas"),
    "LimitRange": Resource("", "v1", "limitranges"),
    "NetworkPolicy": Resource("networking.k8s.io", "v1", "networkpolicies"),
    "VerticalPodAutoscaler": Resource("autoscaling.k8s.io", "v1", "verticalpodautoscalers"),
    "ScaledObject": Resource("keda.sh", "v1alpha1", "scaledobjects"),
}
"""Kind -> place. `CoreEvent` is the old API, which carries the field selectors that diagnosis needs."""


def path_of(kind: str, *, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
    """The URL path of an object (or, without a name, of its collection).

    Names are checked to be path-safe here, since they can come from alert labels. Raises ValueError.
    """
    place = RESOURCES[kind]
    parts = ["api", place.version] if not place.group else ["apis", place.group, place.version]
    if place.namespaced and namespace is not None:
        parts += ["namespaces", namespace]
    parts.append(place.plural)
    parts += [part for part in (name, subresource) if part is not None]
    for part in parts:
        if not part or part in (".", "..") or any(c in part for c in "/?#%\\") or not part.isprintable():
            raise ValueError(f"not a path segment: {part!r}")
    return "/" + "/".join(parts)


class NotFound(PermanentError):
    """404: the object or the resource does not exist."""


class Forbidden(PermanentError):
    """403, or 401 after the token was reloaded once."""


class Invalid(PermanentError):
    """400, 405, 422 with causes: the request is wrong and stays wrong. `causes` are the API server's own words."""

    def __init__(self, message: str, *, causes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.causes = tuple(causes)


class NotProvable(PermanentError):
    """A dry run that an admission webhook cannot answer (400 "does not support dry run")."""


class Conflict(PermanentError):
    """409, or 422 without details (a failed JSON patch `test`): the object is not as the request requires."""


class DisruptionBudget(TransientError):
    """429 whose cause is a PodDisruptionBudget: a policy's "not now", not the transport's."""


class Unreachable(TransientError):
    """Nothing was sent, or a read got no usable answer: refused, DNS, TLS, 429 with Retry-After, 5xx, timeout."""


class TooLate(TransientError):
    """Nothing was sent, or it was certainly not handled: the right to send it ends before its answer could come."""


class ReplyLost(TransientError):
    """A write went out and its answer did not come back: it may or may not have been done. Read the object back."""


@dataclass(frozen=True, slots=True)
class Logs:
    """The end of a container's log, decoded with replacement, oldest line first.

    `complete_tail` is False when a byte limit cut it, which would lose the newest lines.
    """

    text: str
    complete_tail: bool


class Cluster(Protocol):
    """One cluster. Every call ends within its own time limit and raises one of the errors above, never a library's."""

    @property
    def name(self) -> str: ...

    async def get(self, path: str) -> Json:
        """The object at `path`, read from the quorum (no resourceVersion)."""

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int | None = None,
    ) -> Sequence[Json]:
        """All items at `path`, over as many pages as it takes, or the first `limit` of them.

        With `metadata_only` the server sends PartialObjectMetadata: no `spec`, `status` or `data` reaches us.
        """

    async def logs(
        self, *, namespace: str, pod: str, container: str, previous: bool, tail_lines: int, limit_bytes: int
    ) -> Logs: ...

    async def send(self, request: Request, *, dry_run: bool) -> Json:
        """Send one write once. Never repeated after it may have been received: then `ReplyLost`. TooLate, and nothing
        is sent, when the request's `not_after` is nearer than the time that its answer may take."""

    async def is_ready(self) -> bool:
        """Whether the API server answers `/readyz` now."""

    async def close(self) -> None: ...


def selector_text(selector: Mapping[str, Json]) -> str:
    """A `metav1.LabelSelector` as the query string form.

    Raises ValueError for an empty selector: it would select everything.
    """
    terms = [f"{key}={value}" for key, value in sorted((selector.get("matchLabels") or {}).items())]
    for expression in selector.get("matchExpressions") or ():
        key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
        match operator:
            case "In" | "NotIn":
                terms.append(f"{key} {operator.lower()} ({','.join(sorted(values))})")
            case "Exists":
                terms.append(key)
            case "DoesNotExist":
                terms.append(f"!{key}")
            case _:
                raise ValueError(f"unknown selector operator {operator!r}")
    if not terms:
        raise ValueError("empty label selector: it would select everything")
    return ",".join(terms)


def controller_of(item: Json) -> Json | None:
    """The ownerReference with `controller: true`, if any."""
    for owner in item.get("metadata", {}).get("ownerReferences") or ():
        if owner.get("controller"):
            return owner
    return None


def annotations_of(item: Json) -> Mapping[str, str]:
    return item.get("metadata", {}).get("annotations") or {}


def value_at(item: Json, pointer: Sequence[str | int]) -> Json:
    """The value that the pointer leads to; None where the way ends early."""
    for part in pointer:
        try:
            item = item[part]
        except (KeyError, IndexError, TypeError):
            return None
    return item


def instant_of(text: str | None) -> datetime | None:
    """A Kubernetes time, or None where the API has none."""
    return parse_rfc3339(text) if text else None
