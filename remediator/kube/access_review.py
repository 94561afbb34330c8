"""May we? The API server's own word on whether this account may send a request, without sending it.

A SelfSubjectAccessReview is stored nowhere and needs no right that an authenticated user has not (the ClusterRole
`system:basic-user`). It goes out as a dry run, so that a policy which lets this account write nothing else lets it
through, and so that the API server's audit log shows it as what it is.
Source: kubernetes `pkg/registry/authorization/selfsubjectaccessreview/rest.go`. Called by `proof.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from remediator.errors import RemediatorError, cut
from remediator.kube.base import Cluster, NotFound
from remediator.kube.permissions import Permission
from remediator.model import Json, Request

REVIEW_PATH = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
FENCE = "remediator-silent-writes-nothing"
"""The policy by which the API server lets the account of silent mode write dry runs only, and its binding
(`deploy/kustomize/components/dry-run`)."""

FENCE_PATH = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/{FENCE}"
FENCE_PERMISSION = Permission(
    "admissionregistration.k8s.io", "validatingadmissionpolicybindings", ("get",), names=(FENCE,)
)
VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Access:
    """What a request needs, as RBAC names it. `resource` holds the subresource too: `pods/eviction`."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        whole = f"{self.resource}.{self.group}" if self.group and "/" not in self.resource else self.resource
        return f"{self.verb} {whole} {self.name}".rstrip() + (f" in {self.namespace}" if self.namespace else "")


@dataclass(frozen=True, slots=True)
class Permitted:
    """The API server's answer; `reason` is its own word, often empty. `is_allowed` None: it could not be asked."""

    access: Access
    is_allowed: bool | None
    reason: str = ""


class Fence(StrEnum):
    """Whether the API server itself keeps the account of silent mode from real writes."""

    THERE = "there"
    NONE = "none"
    UNKNOWN = "unknown"


async def fence_of(cluster: Cluster) -> Fence:
    """Whether the policy is bound. Without a right to look that is not known."""
    try:
        await cluster.get(FENCE_PATH)
    except NotFound:
        return Fence.NONE
    except RemediatorError:
        return Fence.UNKNOWN
    return Fence.THERE


def access_of(request: Request) -> Access:
    """What a write needs, from its path. Raises ValueError for a path of no object or collection."""
    parts = request.path.strip("/").split("/")
    if len(parts) > 2 and parts[0] == "api":
        group, rest = "", parts[2:]
    elif len(parts) > 3 and parts[0] == "apis":
        group, rest = parts[1], parts[3:]
    else:
        raise ValueError(f"no object of the API: {request.path}")
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource = "/".join((rest[0], *rest[2:]))
    name = rest[1] if len(rest) > 1 else ""
    return Access(VERBS[request.method], group, resource, namespace, name)


async def permitted(access: Access, cluster: Cluster) -> Permitted:
    """Ask; where no answer came, that is said."""
    if access.resource.startswith("/"):  # a path that is no resource, as `/readyz`
        where = {"nonResourceAttributes": {"path": access.resource, "verb": access.verb}}
        return await _reviewed(access, where, cluster)
    resource, _, subresource = access.resource.partition("/")
    about = {
        "verb": access.verb,
        "group": access.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": access.namespace,
        "name": access.name,
    }
    where = {"resourceAttributes": {name: value for name, value in about.items() if value}}
    return await _reviewed(access, where, cluster)


async def _reviewed(access: Access, where: Json, cluster: Cluster) -> Permitted:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": where}
    try:
        answer = await cluster.send(Request("POST", REVIEW_PATH, "application/json", body), dry_run=True)
    except RemediatorError as error:
        return Permitted(access, None, cut(str(error)))
    status = answer.get("status") if isinstance(answer, dict) else None
    allowed = status.get("allowed") if isinstance(status, dict) else None
    if not isinstance(status, dict) or not isinstance(allowed, bool):
        return Permitted(access, None, "the answer does not say so")
    return Permitted(access, allowed, cut(str(status.get("reason") or "")))
