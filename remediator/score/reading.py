"""One look at a recommendation's target: the reads, and nothing else. Called by `observer.py`.

At most three reads and one for each further object that the plan would have touched; nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from remediator.kube.base import Cluster, Forbidden, NotFound, path_of, selector_text
from remediator.kube.template import config_map_names
from remediator.kube.workload import changed_at
from remediator.model import Json, Target
from remediator.score.sight import Sight, Touched, sight_of, touched_of
from remediator.store.scores_base import Touch, Would


async def look_at(would: Would, cluster: Cluster, *, at: datetime) -> Sight:
    """Raises the errors of the cluster but NotFound: what is gone is seen to be gone."""
    target = would.target
    item = await _found(target, cluster)
    if item is None or item["metadata"].get("uid") != target.uid:
        return Sight(at, is_there=False)
    is_deployment = target.kind == "Deployment"
    return sight_of(
        item,
        would,
        at=at,
        pods=await _selected(item, "Pod", cluster),
        replica_sets=await _selected(item, "ReplicaSet", cluster) if is_deployment else (),
        touched=[await _touched(touch, target, item, cluster) for touch in would.touches],
        config_changed_at=await _config_changed_at(item, cluster),
    )


async def _found(target: Target, cluster: Cluster) -> Json | None:
    try:
        return await cluster.get(path_of(target.kind, namespace=target.namespace or None, name=target.name))
    except NotFound:
        return None


async def _selected(item: Json, kind: str, cluster: Cluster) -> Sequence[Json]:
    selector = (item.get("spec") or {}).get("selector")
    if not isinstance(selector, dict) or not (selector.get("matchLabels") or selector.get("matchExpressions")):
        return ()
    path = path_of(kind, namespace=item["metadata"]["namespace"])
    return await cluster.list(path, label_selector=selector_text(selector))


async def _touched(touch: Touch, target: Target, item: Json, cluster: Cluster) -> Touched:
    is_target = touch.touched.uid == target.uid
    found = item if is_target else await _found(touch.touched, cluster)
    return touched_of(found, touch.pointer, uid=touch.touched.uid)


async def _config_changed_at(item: Json, cluster: Cluster) -> datetime | None:
    """When one of the ConfigMaps that its pods need last changed."""
    template = (item.get("spec") or {}).get("template")
    names = config_map_names(template) if template else frozenset()
    if not names:
        return None
    try:
        path = path_of("ConfigMap", namespace=item["metadata"]["namespace"])
        found = await cluster.list(path, metadata_only=True)
    except Forbidden:
        return None
    return max((changed_at(one) for one in found if one["metadata"]["name"] in names), default=None)
