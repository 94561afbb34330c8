"""`logs`: the last lines of up to three pods: the worst, the newest, and a well one to compare with. Redacted.

Of a failing pod those containers that fail or failed are read, init containers and sidecars included: how the run
before ended where there was one, and the present run. Bounds (the kubelet cuts off the *newest* lines where a byte
limit bites, so the client asks for fewer lines until they fit): 200 lines a container, 512 KiB in all, shared out
beforehand so that no pod takes the others' part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from remediator.diagnose.base import Scene, apart, attempt, is_ready, present_revision, words
from remediator.errors import cut
from remediator.kube.base import Logs as Tail
from remediator.kube.base import NotFound
from remediator.kube.permissions import to
from remediator.model import Finding, Json
from remediator.redact import redact
from remediator.together import together

TAIL_LINES = 200
LIMIT_BYTES = 128 * 1024
MAX_TOTAL_BYTES = 512 * 1024
MAX_READS = 12
MAX_PER_POD = 6

NOT_STARTED = frozenset(
    {
        *("ContainerCreating", "PodInitializing", "CreateContainerConfigError", "CreateContainerError"),
        *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError"),
    }
)
"""Reasons for waiting under which there never was a process to write anything."""


@dataclass(frozen=True, slots=True)
class Read:
    """One log to read. `role` is why the pod was chosen: worst, newest, healthy, alert."""

    pod: str
    container: str
    previous: bool
    role: str


class Logs:
    name = "logs"
    permissions = (to("Pod", "get", subresource="log"),)

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        reads = planned_reads(scene)
        if not reads:
            return []
        limit = min(LIMIT_BYTES, MAX_TOTAL_BYTES // len(reads))
        return await together(*(self._read(scene, read, limit) for read in reads))

    async def _read(self, scene: Scene, read: Read, limit: int) -> Finding:
        what = f"{'previous ' if read.previous else ''}log of {read.pod}/{read.container}"
        facts: dict[str, Json] = {
            "pod": read.pod,
            "container": read.container,
            "previous": read.previous,
            "role": read.role,
        }

        async def ask() -> Tail | str:
            try:
                return await scene.cluster.logs(
                    namespace=scene.target.namespace,
                    pod=read.pod,
                    container=read.container,
                    previous=read.previous,
                    tail_lines=TAIL_LINES,
                    limit_bytes=limit,
                )
            except NotFound as error:  # "waiting to start", "previous terminated container not found": that is the news
                return str(error)

        tail = await attempt(self.name, what, ask(), **facts)
        if isinstance(tail, Finding):
            return tail
        if isinstance(tail, str):
            return Finding("log", f"no {what}: {words(tail)}", {**facts, "text": "", "is_complete": True})
        text = _bounded(await apart(len(tail.text), partial(redact, tail.text)), limit)
        last = next((line for line in reversed(text.splitlines()) if line.strip()), "(empty)")
        part = "" if tail.complete_tail else " (one line longer than the limit; its end is missing)"
        summary = f"{what} ends{part}: {cut(last, max_length=160)}"
        return Finding("log", summary, {**facts, "text": text, "is_complete": tail.complete_tail})


def planned_reads(scene: Scene) -> list[Read]:
    """Which logs to read, at most `MAX_READS` of them; of each pod at most `MAX_PER_POD`."""
    reads: list[Read] = []
    failing: frozenset[str] = frozenset()
    for role, pod in _chosen(scene):
        name = pod["metadata"]["name"]
        if role in ("worst", "newest"):
            own = list(_of_failing(pod))
            failing |= {container for container, _ in own}
        else:
            own = [(container, False) for container in _running(pod) if not failing or container in failing]
        reads += [Read(name, container, previous, role) for container, previous in own[:MAX_PER_POD]]
    return reads[:MAX_READS]


def _chosen(scene: Scene) -> list[tuple[str, Json]]:
    is_present = present_revision(scene.workload)
    pods = sorted(scene.workload.pods, key=lambda pod: (not is_present(pod), pod["metadata"]["name"]))
    sick = [pod for pod in pods if _has_trouble(pod)]
    well = [pod for pod in pods if not _has_trouble(pod)]
    if not sick:
        # Slow or wrong answers come from pods that are ready: the alert's own pod, else the newest.
        named = [pod for pod in well if pod["metadata"]["name"] == scene.alert.labels.get("pod")]
        return [("alert", pod) for pod in [*named, *sorted(well, key=_created, reverse=True)][:1]]
    worst = min(sick, key=lambda pod: (is_ready(pod), not is_present(pod), -_restarts(pod)))
    others = sorted((pod for pod in sick if pod is not worst), key=_created, reverse=True)
    chosen = [("worst", worst), *(("newest", pod) for pod in others[:1])]
    return [*chosen, *(("healthy", pod) for pod in well[:1])]


def _has_trouble(pod: Json) -> bool:
    """Not ready, or caught between two crashes: without a readiness probe it is Ready for the seconds that it runs."""
    return not is_ready(pod) or any(_crashed(container) for container in statuses_of(pod))


def _crashed(container: Json) -> bool:
    last = (container.get("lastState") or {}).get("terminated")
    return bool(container.get("restartCount") and last and last.get("exitCode") != 0)


def _of_failing(pod: Json) -> Iterator[tuple[str, bool]]:
    """(container, previous) of what failed or is not ready; how it ended comes first."""
    for container in statuses_of(pod):
        state, name = container.get("state") or {}, container["name"]
        has_ended = bool((container.get("lastState") or {}).get("terminated"))
        if (container.get("ready") and not _crashed(container)) or _is_done(container):
            continue
        if container.get("restartCount") and (has_ended or "waiting" not in state):
            yield name, True
        waiting = state.get("waiting")
        if waiting is None or (waiting.get("reason") not in NOT_STARTED and not has_ended):
            # In back-off the plain log is the very one that `previous` gives (kubelet `validateContainerLogStatus`).
            yield name, False


def _is_done(container: Json) -> bool:
    """An init container that did its work."""
    ended = (container.get("state") or {}).get("terminated")
    return bool(ended and ended.get("exitCode") == 0 and not container.get("restartCount"))


def _running(pod: Json) -> list[str]:
    return [one["name"] for one in statuses_of(pod) if (one.get("state") or {}).get("running")]


def _created(pod: Json) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")


def _restarts(pod: Json) -> int:
    return sum(container.get("restartCount") or 0 for container in statuses_of(pod))


def statuses_of(pod: Json) -> list[Json]:
    """Of all containers; an init container that did its work is `ready`, one that fails is not."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _bounded(text: str, limit: int) -> str:
    """The end of the text within the limit: a mask can be longer than what it hides."""
    raw = text.encode()
    return text if len(raw) <= limit else raw[-limit:].decode(errors="ignore")
