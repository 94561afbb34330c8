"""Which pods of a target do not do their work, and what others may share with them. Pure; for the shared-cause gate."""

from __future__ import annotations

from collections.abc import Sequence

from remediator.diagnose.base import Scene
from remediator.kube.pods import is_living, is_ready, name_of, statuses_of
from remediator.model import Finding, Json
from remediator.verdicts import AffectedPod

MAX_PODS = 20
"""Of one target: the shares are over all targets, and one large target must not be all of them."""


def affected_pods(scene: Scene, findings: Sequence[Finding]) -> Sequence[AffectedPod]:
    """The living pods that are not ready, with the image of the container that fails."""
    down = [one.facts["name"] for one in findings if one.kind == "dependency" and one.facts.get("healthy") is False]
    sick = [pod for pod in scene.workload.pods if is_living(pod) and not is_ready(pod)]
    return [
        AffectedPod(
            target=scene.target.key,
            name=name_of(pod),
            node=pod["spec"].get("nodeName") or "",
            image=_failing_image(pod),
            dependency=down[0] if down else "",
        )
        for pod in sick[:MAX_PODS]
    ]


def _failing_image(pod: Json) -> str:
    images = {one["name"]: one.get("image") or "" for one in pod["spec"].get("containers") or ()}
    failing = [one["name"] for one in statuses_of(pod) if not one.get("ready")]
    return next((images[name] for name in failing if images.get(name)), "")
