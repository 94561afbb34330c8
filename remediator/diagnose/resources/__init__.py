"""`resources`: memory against its limit and its course over six hours, CPU saturation, and room for more pods.

Usage and the state of the nodes come from Prometheus (cAdvisor, kube-state-metrics), limits from the pods themselves,
quotas and limit ranges from the API. What is missing is unknown and said so; nothing here is guessed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from remediator.diagnose.base import Scene, attempt, is_ready, unavailable, words
from remediator.diagnose.resources import expressions
from remediator.diagnose.resources.headroom import UNLIMITED, Room, limit_range, node_room, quota_left, quota_room
from remediator.diagnose.resources.trend import OFFSETS, Course, History, shape_of
from remediator.kube.base import instant_of, path_of
from remediator.kube.permissions import to
from remediator.kube.quantities import quantity
from remediator.kube.rollout import rollout_times
from remediator.model import Finding, Json
from remediator.prometheus.base import Sample
from remediator.together import together

MAX_MEMORY_FINDINGS = 60
MAX_LISTED = 100

SATURATED_OF_LIMIT = 0.9
"""Share of its CPU limits that a saturated workload uses."""
SATURATED_OF_REQUEST = 1.0
"""Share of its CPU requests where there are no limits: beyond, it lives on what others leave."""
SATURATED_THROTTLED = 0.25
"""Share of CFS periods throttled, as kubernetes-mixin's CPUThrottlingHigh has it."""


class Resources:
    name = "resources"
    permissions = (to("ResourceQuota", "list"), to("LimitRange", "list"))

    async def collect(self, scene: Scene) -> Sequence[Finding]:
        if not scene.target.namespace:
            return []
        parts = await together(self._usage(scene), self._saturation(scene), self._headroom(scene))
        return [finding for part in parts for finding in part]

    async def _usage(self, scene: Scene) -> list[Finding]:
        pods = expressions.pods_of(scene.workload)
        if scene.metrics is None or pods is None:
            return [self._without(scene, "memory")]
        ago = _rollout_ago(scene)
        asked = [
            expressions.over_time(expressions.memory(scene.target.namespace, pods), OFFSETS),
            expressions.over_time(expressions.traffic(scene.target.namespace, pods), OFFSETS),
            expressions.over_time(expressions.cpu_of_pods(scene.target.namespace, pods), OFFSETS),
        ]
        former = expressions.former_pods_of(scene.workload)
        if ago is not None and 0 < ago <= max(OFFSETS) and former is not None:
            asked.append(expressions.memory_peak_before(scene.target.namespace, former, ago))
        memory, traffic, cpu, *before = await together(*(self._query(scene, "memory", text) for text in asked))
        if isinstance(memory, Finding):
            return [memory]
        by_name = _by_name(scene)
        history = History.read(memory, frozenset(by_name))
        if not history.courses:
            return [unavailable(self.name, "memory", "Prometheus has no series of these containers")]
        findings = _memory(by_name, history)
        peaks = {} if not before or isinstance(before[0], Finding) else _by_container(before[0])
        told = shape_of(
            [_course(by_name, course, scene.now) for course in history.courses],
            traffic=() if isinstance(traffic, Finding) else expressions.averages(traffic),
            cpu=() if isinstance(cpu, Finding) else expressions.averages(cpu),
            peaks_before=peaks,
            rollout_ago=ago,
        )
        facts = {"shape": told.shape.value, "worst_pod": told.worst_pod, "detail": told.detail}
        return [*findings, Finding("memory-trend", f"memory: {told.shape}: {told.detail}", facts)]

    async def _saturation(self, scene: Scene) -> list[Finding]:
        pods = expressions.pods_of(scene.workload)
        if scene.metrics is None or pods is None:
            return [self._without(scene, "CPU")]
        usage, throttled = await together(
            self._query(scene, "CPU", expressions.cpu(scene.target.namespace, pods)),
            self._query(scene, "CPU throttling", expressions.throttled(scene.target.namespace, pods)),
        )
        if isinstance(usage, Finding):
            return [usage]
        share = None if isinstance(throttled, Finding) or len(throttled) != 1 else round(throttled[0].value, 3)
        return [_saturation(scene, usage, share)]

    async def _headroom(self, scene: Scene) -> list[Finding]:
        space = scene.target.namespace
        quotas, ranges = await together(
            self._list(scene, "quotas", path_of("ResourceQuota", namespace=space)),
            self._list(scene, "limit ranges", path_of("LimitRange", namespace=space)),
        )
        findings: list[Finding] = []
        live = _live_pod(scene)
        quota: Room = Room(None, "quotas unknown")
        if isinstance(quotas, Finding):
            findings.append(quotas)
        else:
            findings += [Finding("quota-left", *quota_left(item)) for item in quotas]
            if live is not None:
                quota = quota_room(quotas, live)
        if isinstance(ranges, Finding):
            findings.append(ranges)
        else:
            findings += [Finding("limit-range", *found) for item in ranges for found in limit_range(item)]
        nodes = await self._nodes(scene, live)
        if isinstance(nodes, Finding):
            findings.append(nodes)
            nodes = Room(None, "nodes unknown")
        if live is None:
            quota = nodes = Room(None, "no pod to measure by")
        return [*findings, _headroom(quota, nodes)]

    async def _nodes(self, scene: Scene, live: Json | None) -> Room | Finding:
        if scene.metrics is None or live is None:
            return Room(None, "nodes unknown: no Prometheus" if scene.metrics is None else "no pod to measure by")
        expression = expressions.room_on_nodes(live)
        if isinstance(expression, expressions.NotComputable):
            return Room(None, f"nodes unknown: {expression.why}")
        samples = await self._query(scene, "room on nodes", expression)
        return samples if isinstance(samples, Finding) else node_room(samples)

    async def _list(self, scene: Scene, about: str, path: str) -> Sequence[Json] | Finding:
        return await attempt(self.name, about, scene.cluster.list(path, limit=MAX_LISTED))

    async def _query(self, scene: Scene, what: str, expression: str) -> Sequence[Sample] | Finding:
        assert scene.metrics is not None
        return await attempt(self.name, what, scene.metrics.query(expression), what=what)

    def _without(self, scene: Scene, what: str) -> Finding:
        why = "no Prometheus is configured" if scene.metrics is None else "the workload has no pods"
        return unavailable(self.name, what, why, what=what)


def _rollout_ago(scene: Scene) -> float | None:
    """Seconds since the present rollout began; None where that is not known."""
    if scene.target.kind != "Deployment":
        return None
    started = rollout_times(scene.workload.object, scene.workload.replica_sets).started_at
    return (scene.now - started).total_seconds() if started is not None else None


def _by_container(samples: Sequence[Sample]) -> dict[str, float]:
    return {sample.labels.get("container", ""): sample.value for sample in samples}


def _memory(pods: Mapping[str, Json], history: History) -> list[Finding]:
    rows = []
    for course in history.courses:
        now = course.now
        if now is None:
            continue
        limit = _memory_limit(pods, course)
        ratio = now / limit if limit else None
        of = f"{ratio:.0%} of its limit" if ratio is not None else "no limit"
        facts: dict[str, Json] = {
            "pod": course.pod,
            "container": course.container,
            "working_set_bytes": int(now),
            "limit_bytes": limit,
            "ratio": round(ratio, 4) if ratio is not None else None,
        }
        summary = f"{course.pod}/{course.container} uses {now / 2**20:.0f} MiB, {of}"
        rows.append((-(ratio or 0), -now, Finding("memory", summary, facts)))
    rows.sort(key=lambda row: row[:2])
    return [finding for *_, finding in rows[:MAX_MEMORY_FINDINGS]]


def _course(pods: Mapping[str, Json], course: Course, now: datetime) -> Course:
    """With what the pod itself says: when its container started, how it ended before, its limit."""
    status = _status(pods, course)
    started = instant_of(((status.get("state") or {}).get("running") or {}).get("startedAt"))
    last = (status.get("lastState") or {}).get("terminated") or {}
    return course.with_facts(
        started_ago=_seconds_ago(started, now),
        was_oom_killed=last.get("reason") == "OOMKilled",
        limit=_memory_limit(pods, course),
    )


def _seconds_ago(at: datetime | None, now: datetime) -> float | None:
    return (now - at).total_seconds() if at is not None else None


def _by_name(scene: Scene) -> Mapping[str, Json]:
    return {pod["metadata"]["name"]: pod for pod in scene.workload.pods}


def _status(pods: Mapping[str, Json], course: Course) -> Json:
    status = pods[course.pod].get("status") or {}
    every = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return next((one for one in every if one["name"] == course.container), {})


def _memory_limit(pods: Mapping[str, Json], course: Course) -> int | None:
    """What the kubelet has set, which a resize in place changes, else what the pod asks for. In bytes."""
    spec = pods[course.pod]["spec"]
    every = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    wanted: Json = next((one for one in every if one["name"] == course.container), {})
    for holder in (_status(pods, course), wanted):
        text = ((holder.get("resources") or {}).get("limits") or {}).get("memory")
        if text is not None:
            return int(quantity(text))
    return None


def _saturation(scene: Scene, usage: Sequence[Sample], throttled: float | None) -> Finding:
    ratio, of_limit = _cpu_ratio(_by_name(scene), usage)
    threshold = SATURATED_OF_LIMIT if of_limit else SATURATED_OF_REQUEST
    said = [ratio >= threshold] if ratio is not None else []
    said += [throttled >= SATURATED_THROTTLED] if throttled is not None else []
    is_saturated = any(said) if said else None
    parts = [f"{ratio:.0%} of its CPU {'limits' if of_limit else 'requests'}"] if ratio is not None else []
    parts += [f"{throttled:.0%} of periods throttled"] if throttled is not None else []
    return Finding(
        "saturation",
        f"CPU: {', '.join(parts) or 'unknown'}",
        {
            "cpu_ratio": round(ratio, 3) if ratio is not None else None,
            "throttled_ratio": throttled,
            "is_saturated": is_saturated,
        },
    )


def _cpu_ratio(pods: Mapping[str, Json], usage: Sequence[Sample]) -> tuple[float | None, bool]:
    """Of the container that is nearest to its limit over all pods, else to its request; and whether it is the limit."""
    for field in ("limits", "requests"):
        used: dict[str, float] = {}
        given: dict[str, float] = {}
        for sample in usage:
            pod, name = pods.get(sample.labels.get("pod", ""), {"spec": {}}), sample.labels.get("container", "")
            container: Json = next((one for one in pod["spec"].get("containers") or () if one["name"] == name), {})
            amount = ((container.get("resources") or {}).get(field) or {}).get("cpu")
            if amount is not None and quantity(amount) > 0:
                used[name] = used.get(name, 0) + sample.value
                given[name] = given.get(name, 0) + float(quantity(amount))
        if given:
            return max(used[name] / given[name] for name in given), field == "limits"
    return None, False


def _live_pod(scene: Scene) -> Json | None:
    """A pod as admission left it, with all defaults: a ready one if there is one."""
    pods = [pod for pod in scene.workload.pods if not pod["metadata"].get("deletionTimestamp")]
    pods = [pod for pod in pods if pod["spec"].get("containers")]
    return min(pods, key=lambda pod: (not is_ready(pod), pod["metadata"]["name"]), default=None)


def _headroom(quota: Room, nodes: Room) -> Finding:
    known = [room for room in (quota, nodes) if room.pods is not None]
    tightest = min(known, key=lambda room: room.pods or 0).what if known else "unknown"
    unknown = [room.what for room in (quota, nodes) if room.pods is None]
    said = [f"{'any number of' if room.pods == UNLIMITED else room.pods} more pods by {room.what}" for room in known]
    return Finding(
        "headroom",
        words(f"room: {', '.join([*said, *unknown])}"),
        {"quota_pods": quota.pods, "node_pods": nodes.pods, "tightest": words(tightest)},
    )
