"""What restarts have left in a workload's history, and what one more would push out of it. Pure.

Each restart by annotation is a revision of its own, with the same release in it; the history holds ten unless told
otherwise, so that ten restarts leave nothing to go back to. Sources: kubernetes `pkg/controller/deployment/sync.go`
(`cleanupDeployment`), `pkg/controller/statefulset/stateful_set_control.go` (`truncateHistory`),
`pkg/controller/daemon/update.go` (`cleanupHistory`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from remediator.kube.base import annotations_of, instant_of
from remediator.kube.controller_revisions import newest_first, template_of
from remediator.kube.rollout import meaningful_hash, revision_of
from remediator.kube.workload import Workload
from remediator.model import Json

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""The annotation that kubectl and Argo CD write."""

DEFAULT_HISTORY_LIMIT = 10


@dataclass(frozen=True, slots=True)
class Releases:
    """How many meaningfully different templates the history holds now, and after one more restart."""

    now: int
    after_restart: int


def restarts_of(workload: Workload) -> Sequence[datetime]:
    """When the present template and those of the history were restarted, newest first."""
    templates = [workload.template, *(_templates(workload) or ())]
    texts = {annotations_of(template).get(RESTARTED_AT) for template in templates}
    return sorted((at for text in texts if (at := _instant(text)) is not None), reverse=True)


def releases_of(workload: Workload) -> Releases | None:
    """None: the history may not be read.

    Old revisions are kept newest first, by number; older controllers keep ReplicaSets by the time of their creation, so
    that the smaller answer of both counts.
    """
    templates = _templates(workload)
    if templates is None:
        return None
    limit = workload.object["spec"].get("revisionHistoryLimit", DEFAULT_HISTORY_LIMIT)
    live = meaningful_hash(workload.template)
    by_age = templates
    if workload.controller_revisions is None:
        sets = sorted(workload.replica_sets, key=lambda rs: str(rs["metadata"]["creationTimestamp"]), reverse=True)
        by_age = [rs["spec"]["template"] for rs in sets]
    kept = [len({live, *map(meaningful_hash, order[:limit])}) for order in (templates, by_age)]
    return Releases(len({live, *map(meaningful_hash, templates)}), min(kept))


def _templates(workload: Workload) -> list[Json] | None:
    """Newest first."""
    if workload.controller_revisions is not None:
        held = [template_of(item) for item in newest_first(workload.controller_revisions)]
        return [template for template in held if template is not None]
    if workload.object.get("kind") != "Deployment":
        return None
    numbered = sorted(workload.replica_sets, key=lambda rs: revision_of(rs) or 0, reverse=True)
    return [rs["spec"]["template"] for rs in numbered]


def _instant(text: str | None) -> datetime | None:
    try:
        return instant_of(text)
    except ValueError:
        return None
