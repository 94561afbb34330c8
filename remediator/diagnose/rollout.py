"""`rollout`: the present rollout, who made it, what it changed, and whether the former revision was good."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from remediator.clock import rfc3339
from remediator.diagnose.base import Scene, attempt
from remediator.errors import cut
from remediator.kube.base import annotations_of
from remediator.kube.ownership import gitops_owner, template_writer
from remediator.kube.permissions import Permission
from remediator.kube.rollout import (
    WATCH_FOR,
    RolloutTimes,
    current_replica_set,
    deployed_ago,
    differing_paths,
    revision_of,
    rollout_status,
)
from remediator.kube.workload import times_of
from remediator.model import Finding, Json
from remediator.prometheus.base import label_value
from remediator.redact import redact

MAX_PATHS = 20
CHANGE_CAUSE = "kubernetes.io/change-cause"


class Rollout:
    name = "rollout"
    permissions: tuple[Permission, ...] = ()

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        workload = scene.workload
        if scene.target.kind != "Deployment":
            return []
        current = current_replica_set(workload.object, workload.replica_sets)
        times = times_of(workload)
        ago = deployed_ago(times, scene.now)
        status = rollout_status(workload.object)
        number = (revision_of(current) or 0) if current is not None else 0
        facts: dict[str, Json] = {
            "revision": number,
            "images": _images(workload.template),
            "started_at": rfc3339(times.started_at) if times.started_at else None,
            "completed_at": rfc3339(times.completed_at) if times.completed_at else None,
            "deployed_seconds_ago": ago.total_seconds() if ago is not None else None,
            "status": status.detail,
            "by": template_writer(workload.object),
            "change_cause": cut(redact(annotations_of(workload.object).get(CHANGE_CAUSE) or "")) or None,
            "gitops": gitops_owner(workload.object),
        }
        findings = [Finding("rollout", f"{_progress(number, times.is_running, ago)}: {status.detail}", facts)]
        findings += _began(scene, times)
        older = sorted(
            ((n, rs) for rs in workload.replica_sets if (n := revision_of(rs)) is not None and n < number),
            key=lambda pair: pair[0],
        )
        if older:
            before_number, before = older[-1]
            paths = differing_paths(before["spec"]["template"], workload.template)
            findings.append(
                Finding(
                    "rollout-diff",
                    f"revision {number} differs from {before_number} in {', '.join(paths[:5]) or 'restarts only'}",
                    {"paths": list(paths[:MAX_PATHS]), "before_images": _images(before["spec"]["template"])},
                )
            )
        findings += await self._availability(scene, [rs for _, rs in older])
        return findings

    async def _availability(self, scene: Scene, replica_sets: Sequence[Json]) -> list[Finding]:
        """For each former revision, how long Prometheus saw it fully available in the last two days."""
        if scene.metrics is None:
            return []
        found = []
        for item in replica_sets[-3:]:
            name = item["metadata"]["name"]
            selector = f"{{namespace={label_value(scene.target.namespace)},replicaset={label_value(name)}}}"
            expression = (
                f"count_over_time((kube_replicaset_status_ready_replicas{selector} >= on (namespace, replicaset) "
                f"(kube_replicaset_spec_replicas{selector} > 0))[2d:1m])"
            )
            samples = await attempt(self.name, "availability of former revisions", scene.metrics.query(expression))
            if isinstance(samples, Finding):
                return [samples]
            seconds = 60.0 * max((sample.value for sample in samples), default=0.0)
            if seconds:
                text = f"{name} was seen fully available for {seconds / 60:.0f} min"
                facts = {"replica_set": name, "seconds": seconds}
                found.append(Finding("revision-was-available", text, facts))
        return found


def _progress(number: int, is_running: bool, ago: timedelta | None) -> str:
    """What is under way counts as deployed this moment, however long it has been stuck: it is not said so."""
    if is_running:
        return f"rollout of revision {number} in progress"
    when = "at an unknown time" if ago is None else f"{ago.total_seconds() / 60:.0f} min ago"
    return f"revision {number} deployed {when}"


def _began(scene: Scene, times: RolloutTimes) -> list[Finding]:
    """Whether the alert began after the rollout did, and while the deployment was watched; nothing where not known.

    An alert between the earliest and the latest possible start may be older than the rollout: not known.
    """
    started, at = times.started_at, scene.alert.starts_at
    if started is None or (started <= at and (times.began_by is None or at < times.began_by)):
        return []
    began = started <= at <= max(started, times.completed_at or started) + WATCH_FOR
    text = f"the alert began {'' if began else 'not '}with the rollout: {rfc3339(at)}, the rollout {rfc3339(started)}"
    facts = {"began": began, "rollout_started_at": rfc3339(started), "alert_started_at": rfc3339(at)}
    return [Finding("began-with-rollout", text, facts)]


def _images(template: Json) -> Json:
    return {container["name"]: container.get("image") for container in template["spec"].get("containers") or ()}
