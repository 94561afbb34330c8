"""The workload behind an object that is none itself: an autoscaler, a volume claim, a disruption budget, a Service.

Step 3 of the way of an alert; called by `resolve.py`. All but the first lead over pods, and the pods' owner references
must agree on one workload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from remediator.errors import cut
from remediator.kube.base import NotFound, controller_of, path_of, selector_text
from remediator.kube.permissions import Permission, to
from remediator.model import Json
from remediator.reasons import Reason
from remediator.target.labels import NoTarget
from remediator.target.owners import Owners, Workload, called, is_ours, passed
from remediator.target.protected import protection_of

MAX_OWNERS = 8
"""Distinct direct owners (such as ReplicaSets with pods) that are followed; more than that is not one workload."""

MAX_LISTED = 5000
"""Objects read of one list. A cut list could hide a second workload, so reaching it is a refusal."""

ENDED = frozenset({"Succeeded", "Failed"})
"""Phases of pods that hold no volume and take no traffic any more."""


SCALED = ("Deployment", "StatefulSet", "ReplicaSet")
"""What an autoscaler may scale, as far as we follow it."""


def ends_of(kind: str) -> frozenset[str]:
    """The kinds of workloads that an object of this kind can lead to."""
    match kind:
        case "HorizontalPodAutoscaler":
            firsts: tuple[str, ...] = SCALED
        case "PersistentVolumeClaim" | "PodDisruptionBudget" | "Service":
            firsts = ("Pod",)
        case _:
            firsts = (kind,)
    return frozenset(one for first in firsts for one in passed(first) if one != "Pod")


def permissions_for(kind: str) -> tuple[Permission, ...]:
    """What is read to follow an object of this kind to its workload, itself included."""
    pods = (to("Pod", "list"),)
    match kind:
        case "HorizontalPodAutoscaler":
            beside: tuple[Permission, ...] = tuple(to(one, "get") for one in SCALED)
        case "PersistentVolumeClaim" | "PodDisruptionBudget":
            beside = pods
        case "Service":
            beside = (to("EndpointSlice", "list"), *pods)
        case _:
            beside = ()
    return (to(kind, "get"), *beside, *(to(one, "get") for one in sorted(ends_of(kind))))


async def workload_behind(kind: str, item: Json, owners: Owners) -> Workload | NoTarget:
    """The one workload behind an object of any kind that an alert can name.

    At most two lists and `MAX_OWNERS` walks. Raises the errors of `kube.base` but NotFound.
    """
    match kind:
        case "HorizontalPodAutoscaler":
            return await _scaled_by(item, owners)
        case "PersistentVolumeClaim":
            name = item["metadata"]["name"]
            return await _one_of_pods(kind, item, await _pods(owners, "", lambda pod: name in _claims(pod)), owners)
        case "PodDisruptionBudget":
            return await _guarded_by(item, owners)
        case "Service":
            return await _served_by(item, owners)
        case _:
            return await owners.climb(kind, item)


async def _scaled_by(autoscaler: Json, owners: Owners) -> Workload | NoTarget:
    reference, who = autoscaler["spec"]["scaleTargetRef"], called("HorizontalPodAutoscaler", autoscaler)
    kind = reference["kind"]
    if kind not in SCALED or not is_ours(reference):
        foreign = cut(f"{kind} {reference['name']} ({reference.get('apiVersion')})")
        return NoTarget(Reason.TARGET_UNSUPPORTED, f"{who} scales {foreign}")
    try:
        item = await owners.cluster.get(path_of(kind, namespace=owners.namespace, name=reference["name"]))
    except NotFound:
        return NoTarget(Reason.TARGET_NOT_FOUND, f"{who} scales {kind} {cut(reference['name'])}, which is gone")
    return _after(who, await owners.climb(kind, item))


async def _guarded_by(budget: Json, owners: Owners) -> Workload | NoTarget:
    try:
        selector = selector_text(budget["spec"].get("selector") or {})
    except ValueError as error:
        return NoTarget(Reason.TARGET_AMBIGUOUS, f"{called('PodDisruptionBudget', budget)}: {error}")
    pods = await _pods(owners, selector, lambda _pod: True)
    return await _one_of_pods("PodDisruptionBudget", budget, pods, owners)


async def _served_by(service: Json, owners: Owners) -> Workload | NoTarget:
    """The workload behind a Service: what its EndpointSlices list, or what it selects while they are empty.

    The pods of the endpoints are read with one list by the Service's selector and matched by UID.
    """
    who = called("Service", service)
    selector: Mapping[str, str] = service["spec"].get("selector") or {}
    if not selector:
        return NoTarget(Reason.TARGET_UNSUPPORTED, f"{who} has no selector: its endpoints are not ours to follow")
    slices = await owners.cluster.list(
        path_of("EndpointSlice", namespace=owners.namespace),
        label_selector=f"kubernetes.io/service-name={service['metadata']['name']}",
        limit=MAX_LISTED,
    )
    endpoints = [endpoint for part in slices if _is_part_of(part, service) for endpoint in part.get("endpoints") or ()]
    if len(slices) >= MAX_LISTED:
        return NoTarget(Reason.TARGET_AMBIGUOUS, f"{who} has {MAX_LISTED} EndpointSlices or more: not all were read")
    if any((endpoint.get("targetRef") or {}).get("kind") != "Pod" for endpoint in endpoints):
        return NoTarget(Reason.TARGET_UNSUPPORTED, f"{who} has an endpoint that is not a pod")
    listed = {endpoint["targetRef"]["uid"] for endpoint in endpoints}
    text = selector_text({"matchLabels": selector})
    pods = await _pods(owners, text, lambda pod: not listed or pod["metadata"]["uid"] in listed)
    return await _one_of_pods("Service", service, pods, owners)


def _is_part_of(part: Json, service: Json) -> bool:
    """Whether a slice is the Service's own: mirrored and foreign slices carry the same label."""
    owner = controller_of(part)
    return owner is None or owner["uid"] == service["metadata"]["uid"]


async def _pods(owners: Owners, selector: str, is_meant: Callable[[Json], bool]) -> Sequence[Json] | NoTarget:
    """The live pods of the namespace that the selector matches and that are meant, by name."""
    path = path_of("Pod", namespace=owners.namespace)
    pods = await owners.cluster.list(path, label_selector=selector, limit=MAX_LISTED)
    if len(pods) >= MAX_LISTED:
        return NoTarget(Reason.TARGET_AMBIGUOUS, f"{MAX_LISTED} pods or more in the list: not all were read")
    live = [pod for pod in pods if (pod.get("status") or {}).get("phase") not in ENDED and is_meant(pod)]
    return sorted(live, key=lambda pod: str(pod["metadata"]["name"]))


async def _one_of_pods(kind: str, item: Json, pods: Sequence[Json] | NoTarget, owners: Owners) -> Workload | NoTarget:
    """The one workload that all the pods belong to. Pods of several, or of none, are a refusal that lists them."""
    who = called(kind, item)
    if isinstance(pods, NoTarget):
        return NoTarget(pods.reason, f"{who}: {pods.detail}")
    if why := next(filter(None, map(protection_of, pods)), None):
        return NoTarget(Reason.TARGET_PROTECTED, f"{who} leads to a pod: {why}")
    firsts = {(controller_of(pod) or pod["metadata"])["uid"]: pod for pod in reversed(pods)}
    if not firsts:
        return NoTarget(Reason.TARGET_NOT_FOUND, f"{who} leads to no live pod")
    if len(firsts) > MAX_OWNERS:
        return NoTarget(Reason.TARGET_AMBIGUOUS, f"{who} leads to pods of {len(firsts)} owners")
    ends = [await owners.climb("Pod", pod) for pod in reversed(firsts.values())]
    refusals = [end for end in ends if isinstance(end, NoTarget)]
    workloads = {end.object["metadata"]["uid"]: end for end in ends if isinstance(end, Workload)}
    if len(workloads) == 1 and not refusals:
        return _after(who, next(iter(workloads.values())))
    if not workloads and len({refusal.reason for refusal in refusals}) == 1:
        return _after(who, refusals[0])
    names = sorted({*(end.chain[-1] for end in workloads.values()), *(end.detail for end in refusals)})
    return NoTarget(Reason.TARGET_AMBIGUOUS, cut(f"{who} leads to several: {'; '.join(names)}", max_length=600))


def _after(who: str, end: Workload | NoTarget) -> Workload | NoTarget:
    if isinstance(end, NoTarget):
        return NoTarget(end.reason, f"{who}: {end.detail}")
    return Workload(kind=end.kind, object=end.object, chain=(who, *end.chain))


def _claims(pod: Json) -> frozenset[str]:
    """The PersistentVolumeClaims that a pod mounts; an ephemeral volume's is called pod-volume."""
    names = set()
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            names.add(volume["persistentVolumeClaim"]["claimName"])
        elif "ephemeral" in volume:
            names.add(f"{pod['metadata']['name']}-{volume['name']}")
    return frozenset(names)
