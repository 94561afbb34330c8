"""`logs`: the last lines of the containers that fail, of this run and of the one before, redacted before they are kept.

Bounds (source: the kubelet's own tail handling): 200 lines and 128 KiB a container, the two worst pods, 512 KiB in all.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.diagnose.base import Scene
from remediator.errors import RemediatorError, cut
from remediator.kube.rollout import condition
from remediator.model import Finding, Json
from remediator.redact import redact

TAIL_LINES = 200
LIMIT_BYTES = 128 * 1024
MAX_PODS = 2
MAX_TOTAL_BYTES = 512 * 1024


class Logs:
    name = "logs"

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        findings: list[Finding] = []
        left = MAX_TOTAL_BYTES
        sick = [pod for pod in scene.workload.pods if (condition(pod, "Ready") or {}).get("status") != "True"]
        sick.sort(key=lambda pod: -_restarts(pod))
        for pod in sick[:MAX_PODS]:
            for container in statuses_of(pod):
                for previous in (True, False) if container.get("restartCount") else (False,):
                    if container.get("ready") or left <= 0:
                        continue
                    limit = min(LIMIT_BYTES, left)
                    finding = await self._read(scene, pod["metadata"]["name"], container["name"], previous, limit)
                    left -= len(finding.facts.get("text", "").encode())
                    findings.append(finding)
        return findings

    async def _read(self, scene: Scene, pod: str, container: str, previous: bool, limit: int) -> Finding:
        what = f"{'previous ' if previous else ''}log of {pod}/{container}"
        facts: dict[str, Json] = {"pod": pod, "container": container, "previous": previous}
        try:
            logs = await scene.cluster.logs(
                namespace=scene.target.namespace,
                pod=pod,
                container=container,
                previous=previous,
                tail_lines=TAIL_LINES,
                limit_bytes=limit,
            )
        except RemediatorError as error:
            return Finding("unavailable", f"{what}: {cut(redact(str(error)))}", {**facts, "collector": "logs"})
        text = redact(logs.text)
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "(empty)")
        return Finding("log", f"{what} ends: {cut(last, max_length=160)}", {**facts, "text": text})


def _restarts(pod: Json) -> int:
    return sum(container.get("restartCount") or 0 for container in statuses_of(pod))


def statuses_of(pod: Json) -> list[Json]:
    """Of all containers; an init container that did its work is `ready`, one that fails is not."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
