"""Labels -> object -> owner chain, or a refusal: step 3 of the way of an alert. Called by `pipeline.py`.

None, or two and more candidates, is a refusal and never a guess. `labels.py` says what the alert claims, this module
asks the API server whether it is so, `behind.py` and `owners.py` follow it to what a person deploys.
"""

from __future__ import annotations

from dataclasses import dataclass

from remediator.authority import Authority
from remediator.errors import cut
from remediator.kube.base import Cluster, Forbidden, NotFound, path_of
from remediator.model import Alert, Json, Target
from remediator.reasons import Reason
from remediator.target.behind import MAX_OWNERS, workload_behind
from remediator.target.labels import Claim, NoTarget, claim, claim_beside_pod
from remediator.target.owners import MAX_HOPS, Owners, Workload
from remediator.target.protected import protection_of
from remediator.target.spec import TargetSpec

MAX_CALLS = 4 + MAX_OWNERS * MAX_HOPS
"""A pod that is gone, the service beside it, its slices, its pods, and every owner with its owner."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """Exactly one target. `chain` is the way to it from the object the alert names, `via` says how it was found.

    `object` is what the target is, as just read.
    `pod` and `container` are the alerting ones, for the diagnosis; None where the alert names none that exists.
    """

    target: Target
    chain: tuple[str, ...]
    via: str
    object: Json
    pod: str | None = None
    container: str | None = None


async def resolve(
    alert: Alert,
    spec: TargetSpec,
    *,
    cluster: Cluster,
    protected_namespaces: frozenset[str],
    authority: Authority,
) -> Resolved | NoTarget:
    """The one object that the alert is about and that may be acted on, or why there is none.

    What is outside of `authority` is not even read: labels that a sender may choose lead there beside the one that its
    credential is bound to, and an alert that has a target counts in what is decided on that target.

    At most `MAX_CALLS` API calls (20), three for a pod of a Deployment; a list ends at 5000 items. What we are
    not permitted to read is `TARGET_UNREADABLE`. Raises TransientError (try again) and Invalid.
    """
    claimed = claim(alert.labels, spec)
    if isinstance(claimed, NoTarget):
        return claimed
    try:
        may = _Bounds(protected_namespaces, authority, alert.credential)
        found = await _look_up(claimed, cluster, may)
        if isinstance(found, _Gone) and claimed.kind == "Pod":
            beside = claim_beside_pod(alert.labels, spec)
            if isinstance(beside, Claim):
                found = await _look_up(beside, cluster, may)
    except Forbidden as error:
        return NoTarget(Reason.TARGET_UNREADABLE, cut(f"not permitted to read: {error}"))
    return found.refusal if isinstance(found, _Gone) else found


@dataclass(frozen=True, slots=True)
class _Gone:
    """The claimed object itself is not there, as opposed to something behind it."""

    refusal: NoTarget


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What may be looked at for an alert of that credential."""

    protected_namespaces: frozenset[str]
    authority: Authority
    credential: str


async def _look_up(claimed: Claim, cluster: Cluster, may: _Bounds) -> Resolved | NoTarget | _Gone:
    if claimed.namespace in may.protected_namespaces:
        return NoTarget(Reason.TARGET_PROTECTED, f"namespace {claimed.namespace} is protected ({claimed.why})")
    if outside := may.authority.outside([claimed.namespace]):
        who = f"what credential {may.credential} may speak of"
        return NoTarget(Reason.OUTSIDE_CREDENTIAL, f"{outside} is outside of {who} ({claimed.why})")
    who = f"{claimed.kind} {claimed.name}"
    try:
        item = await cluster.get(path_of(claimed.kind, namespace=claimed.namespace, name=claimed.name))
    except NotFound:
        return _Gone(NoTarget(Reason.TARGET_NOT_FOUND, f"{who} is gone or never was ({claimed.why})"))
    uid = item["metadata"]["uid"]
    if claimed.uid is not None and claimed.uid != uid:
        meant = cut(claimed.uid, max_length=60)
        return NoTarget(Reason.TARGET_CHANGED, f"{who} has uid {uid}, the alert is about {meant}")
    if why := protection_of(item):
        return NoTarget(Reason.TARGET_PROTECTED, f"{who}: {why}")
    owners = Owners(cluster=cluster, namespace=claimed.namespace)
    found = await workload_behind(claimed.kind, item, owners)
    if isinstance(found, NoTarget):
        return found
    if why := protection_of(found.object):
        return NoTarget(Reason.TARGET_PROTECTED, f"{found.chain[-1]}: {why}")
    return _resolved(claimed, item, found, cluster)


def _resolved(claimed: Claim, item: Json, found: Workload, cluster: Cluster) -> Resolved:
    metadata = found.object["metadata"]
    is_pod = claimed.kind == "Pod"
    return Resolved(
        target=Target(
            cluster=cluster.name,
            kind=found.kind,
            namespace=claimed.namespace,
            name=metadata["name"],
            uid=metadata["uid"],
        ),
        chain=found.chain,
        via=claimed.why,
        object=found.object,
        pod=claimed.name if is_pod else None,
        container=claimed.container if is_pod and claimed.container in _containers(item) else None,
    )


def _containers(pod: Json) -> frozenset[str]:
    groups = ("containers", "initContainers")
    return frozenset(one["name"] for group in groups for one in pod["spec"].get(group) or ())
