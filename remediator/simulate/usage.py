"""What a story's Prometheus has of pods: answers to the queries that the service itself makes, from `metrics:`.

It reads no PromQL. It knows the service's expressions (`diagnose/resources/expressions.py`, `prometheus/measures.py`,
`diagnose/rollout.py`) by the metric that they are of; each of them is asked in `tests/unit/simulate/test_usage.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from remediator.kube.base import Resource
from remediator.model import Json
from remediator.prometheus.base import Sample
from remediator.simulate.facts import MetricFacts, Ref
from remediator.simulate.storage import POD
from remediator.simulate.values import Course

MEMORY, TRAFFIC, CPU = (
    "container_memory_working_set_bytes",
    "container_network_receive_bytes_total",
    "container_cpu_usage_seconds_total",
)
THROTTLED = "container_cpu_cfs_throttled_periods_total"
ROOM, RELEASES, RESTARTS = (
    "kube_node_status_allocatable",
    "kube_replicaset_status_ready_replicas",
    "kube_pod_container_status_restarts_total",
)
ERRORS, LATENCY = "http_requests_total", "http_request_duration_seconds_bucket"
KNOWN = (MEMORY, TRAFFIC, CPU, THROTTLED, ROOM, RELEASES, RESTARTS, ERRORS, LATENCY)

_PART = re.compile(r'label_replace\((?P<inner>.*?), "ago", "(?P<ago>\d+)", "", ""\)')
_SPACE, _PODS = re.compile(r'namespace="([^"]*)"'), re.compile(r'pod=~"([^"]*)"')
_BEFORE = re.compile(r"\[6h\] offset (\d+)s")
_WINDOW = re.compile(r"\[(\d+)s\]")
PEAK_OF = timedelta(hours=6)
FIRST_SCRAPE = timedelta(seconds=30)
"""So long after its creation Prometheus has something of a pod."""


@dataclass(slots=True)
class SeenPod:
    """A pod that is or was there; `begins` is its first sample."""

    name: str
    workload: Ref
    images: Mapping[str, str]
    begins: datetime
    ends: datetime | None = None

    def lives(self, at: datetime) -> bool:
        return self.begins <= at and (self.ends is None or at < self.ends)


class Usage:
    """`workload_of` gives the workload that a pod is of; `zero` is the story's."""

    def __init__(
        self,
        facts: Sequence[MetricFacts],
        *,
        room: int | None,
        zero: datetime,
        now: Callable[[], datetime],
        workload_of: Callable[[Json], Ref | None],
    ) -> None:
        self._facts = facts
        self._room = room
        self._zero = zero
        self._now = now
        self._workload_of = workload_of
        self._pods: dict[str, SeenPod] = {}

    def changed(self, place: Resource, before: Json | None, after: Json | None) -> None:
        """Keep what pods there were. For `Storage.watch`."""
        if place != POD:
            return
        if after is None and before is not None and before["metadata"]["uid"] in self._pods:
            self._pods[before["metadata"]["uid"]].ends = self._now()
        elif after is not None and after["metadata"]["uid"] not in self._pods:
            workload = self._workload_of(after)
            if workload is not None:
                images = {one["name"]: one["image"] for one in after["spec"]["containers"]}
                name = after["metadata"]["name"]
                begins = self._now() + FIRST_SCRAPE
                self._pods[after["metadata"]["uid"]] = SeenPod(name, workload, images, begins)

    def answer(self, expression: str, at: datetime) -> Sequence[Sample] | None:
        """None: not an expression of ours."""
        if not any(metric in expression for metric in KNOWN):
            return None
        if ROOM in expression:
            return [] if self._room is None else [Sample({"resource": "all"}, float(self._room))]
        if RELEASES in expression or RESTARTS in expression:
            return []
        meant = list(self._meant(expression))
        if parts := list(_PART.finditer(expression)):
            return [sample for part in parts for sample in self._then(part["inner"], int(part["ago"]), meant, at)]
        if "max_over_time" in expression and MEMORY in expression:
            return self._peaks(expression, meant, at)
        if CPU in expression:
            return self._each("cpu", meant, at, {})
        name = next(name for metric, name in _OF_ALL.items() if metric in expression)
        values = [value for _, facts in self._living(meant, at) if (value := self._value(facts, name, at)) is not None]
        return [Sample({}, sum(values) / len(values))] if values else []

    def memory_of(self, pod: str, at: datetime) -> float | None:
        """The working set of the first container of the pod of that name."""
        seen = [one for one in self._pods.values() if one.name == pod]
        return next((value for _, facts in self._living(seen, at) if (value := self._value(facts, "memory", at))), None)

    def _meant(self, expression: str) -> Iterator[SeenPod]:
        space, pods = _SPACE.search(expression), _PODS.search(expression)
        pattern = re.compile(pods[1].replace("\\\\", "\\") if pods else ".*")
        for one in self._pods.values():
            if (space is None or one.workload.namespace == space[1]) and pattern.fullmatch(one.name):
                yield one

    def _then(self, inner: str, ago: int, meant: Sequence[SeenPod], at: datetime) -> Sequence[Sample]:
        then = at - timedelta(seconds=ago)
        field = "memory" if MEMORY in inner else "traffic" if TRAFFIC in inner else "cpu"
        if field == "memory":
            return self._each(field, meant, then, {"ago": str(ago)})
        return [
            Sample({"pod": pod.name, "ago": str(ago)}, value)
            for pod, facts in self._living(meant, then)
            if (value := self._value(facts, field, then)) is not None
        ]

    def _each(self, field: str, meant: Sequence[SeenPod], at: datetime, more: Mapping[str, str]) -> Sequence[Sample]:
        return [
            Sample({"pod": pod.name, "container": container, **more}, value)
            for pod, facts in self._living(meant, at)
            if (value := self._value(facts, field, at)) is not None
            for container in pod.images
        ]

    def _peaks(self, expression: str, meant: Sequence[SeenPod], at: datetime) -> Sequence[Sample]:
        """By container before an offset, or one number over a window."""
        before, window = _BEFORE.search(expression), _WINDOW.search(expression)
        last = at - timedelta(seconds=int(before[1])) if before else at
        first = last - (PEAK_OF if before or window is None else timedelta(seconds=int(window[1])))
        peaks: dict[str, float] = {}
        for pod in meant:
            begins, ends = max(first, pod.begins), min(last, pod.ends or last)
            courses = [] if begins > ends else [self._course(facts, "memory") for facts in self._facts_of(pod)]
            for course in filter(None, courses):
                peak = course.highest(begins - self._zero, ends - self._zero)
                for container in pod.images if peak is not None else ():
                    peaks[container] = max(peaks.get(container, 0.0), peak or 0.0)
        if before:
            return [Sample({"container": name}, peak) for name, peak in sorted(peaks.items())]
        return [Sample({}, max(peaks.values()))] if peaks else []

    def _living(self, meant: Sequence[SeenPod], at: datetime) -> Iterator[tuple[SeenPod, MetricFacts]]:
        for pod in meant:
            if pod.lives(at):
                yield from ((pod, facts) for facts in self._facts_of(pod))

    def _facts_of(self, pod: SeenPod) -> Iterator[MetricFacts]:
        for facts in self._facts:
            if facts.of == pod.workload and any(facts.image in image for image in pod.images.values()):
                yield facts

    def _value(self, facts: MetricFacts, field: str, at: datetime) -> float | None:
        course = self._course(facts, field)
        return None if course is None else course.at(at - self._zero)

    def _course(self, facts: MetricFacts, field: str) -> Course | None:
        values: Sequence[float | None] | None = getattr(facts, field)
        return None if values is None else Course(values, facts.begins, facts.every)


_OF_ALL: Mapping[str, str] = {THROTTLED: "throttled", LATENCY: "latency", ERRORS: "errors"}
