"""The course of memory over six hours: flat, a leak, load, or higher since the present rollout. Pure.

90 % that does not move is normal for a JVM or a cache, so the level alone says nothing. A leak rises in every run of a
container whatever the traffic, load rises with it in most pods. Where the two cannot be told apart the answer is
`unknown`: evicting a pod under load, or scaling out a leak, would both be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from remediator.prometheus.base import Sample

MINUTE, HOUR = 60, 3600
OFFSETS: tuple[int, ...] = (
    *(minutes * MINUTE for minutes in (0, 5, 10, 15, 20, 30, 45)),
    *(int(hours * HOUR) for hours in (1, 1.5, 2, 3, 4, 5, 6)),
)
"""Seconds ago, at which memory is looked at: denser towards now, for containers that run but shortly."""

WARM_UP = 10 * MINUTE
"""After its start a container fills its caches; that is no leak."""
MIN_SPAN = 20 * MINUTE
MIN_POINTS = 4
RISE = 0.10
"""Growth over the run, as a share, from which memory counts as rising."""
AT_TOP = 0.97
"""A rising container is near its own maximum now; one that fell back is not rising."""
TRAFFIC_ROSE = 1.25
TRAFFIC_SAME = 1.10
ABOVE_BEFORE = 1.25
"""How far above the peak of the former release memory has to be, to blame the rollout."""


class Shape(StrEnum):
    FLAT = "flat"
    LEAK = "leak"
    LOAD = "load"
    BEGAN_WITH_ROLLOUT = "began-with-rollout"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Course:
    """Working set of one container: `points` are (seconds ago, bytes), oldest first.

    `started_ago` is None when it is not known to run; `limit` in bytes.
    """

    pod: str
    container: str
    points: tuple[tuple[int, float], ...]
    started_ago: float | None = None
    was_oom_killed: bool = False
    limit: int | None = None

    @property
    def now(self) -> float | None:
        return next((value for ago, value in self.points if ago == 0), None)

    @property
    def level(self) -> float:
        """How near it is to its limit, else its bytes: to find the worst."""
        return (self.now or 0) / self.limit if self.limit else (self.now or 0) / 2**60

    def with_facts(self, *, started_ago: float | None, was_oom_killed: bool, limit: int | None) -> Course:
        return replace(self, started_ago=started_ago, was_oom_killed=was_oom_killed, limit=limit)

    def present_run(self) -> Sequence[tuple[int, float]]:
        """Since the container's own start, without its warm-up."""
        if self.started_ago is None:
            return ()
        return [point for point in self.points if point[0] <= self.started_ago - WARM_UP]

    def former_runs(self) -> Sequence[tuple[int, float]]:
        return [point for point in self.points if self.started_ago is not None and point[0] > self.started_ago]


@dataclass(frozen=True, slots=True)
class History:
    courses: Sequence[Course]

    @classmethod
    def read(cls, samples: Sequence[Sample], pods: frozenset[str]) -> Self:
        """From an answer to `over_time` of memory; pods that are gone are left out."""
        by: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for sample in samples:
            key = sample.labels.get("pod", ""), sample.labels.get("container", "")
            if key[0] in pods:
                by.setdefault(key, []).append((int(sample.labels["ago"]), sample.value))
        return cls([Course(*key, tuple(sorted(points, reverse=True))) for key, points in sorted(by.items())])


@dataclass(frozen=True, slots=True)
class Trend:
    shape: Shape
    worst_pod: str | None
    detail: str


def shape_of(
    courses: Sequence[Course],
    *,
    traffic: Sequence[tuple[int, float]],
    cpu: Sequence[tuple[int, float]],
    peaks_before: Mapping[str, float],
    rollout_ago: float | None,
) -> Trend:
    """`traffic` and `cpu` are averages by seconds ago, empty where unknown; `peaks_before` the highest working set by
    container before the present rollout, which began `rollout_ago` seconds ago."""
    live = [course for course in courses if course.now is not None]
    if not live:
        return Trend(Shape.UNKNOWN, None, "no container reports memory now")
    worst = max(live, key=lambda course: course.level)
    rise = _rollout_rise(worst, live, peaks_before)
    if rise is not None and rise >= ABOVE_BEFORE and rollout_ago is not None:
        change = _change(traffic or cpu, rollout_ago, 2 * rollout_ago + HOUR)
        if change is not None and change >= TRAFFIC_ROSE:
            text = f"{rise:.1f} times the peak before the rollout, but traffic is {change:.1f} times what it was"
            return Trend(Shape.UNKNOWN, worst.pod, text)
        text = f"{rise:.1f} times the peak before the rollout {rollout_ago / MINUTE:.0f} min ago"
        return Trend(Shape.BEGAN_WITH_ROLLOUT, worst.pod, text)
    judged = [(course, growth) for course in live if (growth := _growth(course.present_run())) is not None]
    rising = [(course, growth) for course, growth in judged if _is_rising(course.present_run(), growth)]
    sawtooth = [course for course in live if _is_sawtooth(course)]
    if sawtooth:
        top = max(sawtooth, key=lambda course: course.level)
        return Trend(Shape.LEAK, top.pod, f"{top.pod}/{top.container} rises until it is out of memory, again and again")
    if not judged:
        return Trend(Shape.UNKNOWN, worst.pod, "the containers have not run long enough to tell")
    if not rising:
        if worst not in [course for course, _ in judged]:
            return Trend(Shape.UNKNOWN, worst.pod, f"{worst.pod} has not run long enough to tell")
        return Trend(Shape.FLAT, worst.pod, f"no container rises; the fullest is {worst.pod}/{worst.container}")
    return _leak_or_load(rising, judged, traffic, cpu)


def _leak_or_load(
    rising: Sequence[tuple[Course, float]],
    judged: Sequence[tuple[Course, float]],
    traffic: Sequence[tuple[int, float]],
    cpu: Sequence[tuple[int, float]],
) -> Trend:
    top, growth = max(rising, key=lambda pair: pair[0].level)
    span = max(ago for ago, _ in top.present_run())
    text = f"{top.pod}/{top.container} grew by {growth:.0%} in {span / HOUR:.1f} h"
    pods, all_pods = {course.pod for course, _ in rising}, {course.pod for course, _ in judged}
    change = _change(traffic, span / 2, span * 1.5)
    if change is None:
        # Work without traffic figures: idle CPU rules load out, busy CPU proves nothing, a leak collects garbage too.
        work = _change(cpu, span / 2, span * 1.5)
        if work is not None and work < TRAFFIC_SAME:
            return Trend(Shape.LEAK, top.pod, f"{text}, with the same use of CPU")
        return Trend(Shape.UNKNOWN, top.pod, f"{text}; traffic is not known")
    if change < TRAFFIC_SAME:
        return Trend(Shape.LEAK, top.pod, f"{text}, with the same traffic")
    if change >= TRAFFIC_ROSE and len(pods) * 2 >= len(all_pods):
        share = f"{len(pods)} of {len(all_pods)} pods"
        return Trend(Shape.LOAD, top.pod, f"{text}, {share} rise, traffic is {change:.1f} times what it was")
    return Trend(Shape.UNKNOWN, top.pod, f"{text}, traffic is {change:.1f} times what it was: leak or load")


def _growth(points: Sequence[tuple[int, float]]) -> float | None:
    """Growth over the points as a share of where the fitted line begins; None for too few."""
    if len(points) < MIN_POINTS or points[0][0] - points[-1][0] < MIN_SPAN:
        return None
    times, values = [-ago for ago, _ in points], [value for _, value in points]
    mean_time, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((time - mean_time) ** 2 for time in times)
    slope = sum((t - mean_time) * (v - mean) for t, v in zip(times, values, strict=True)) / spread
    first = mean + slope * (times[0] - mean_time)
    return slope * (times[-1] - times[0]) / max(first, mean / 10, 1.0)


def _is_rising(points: Sequence[tuple[int, float]], growth: float) -> bool:
    return growth >= RISE and points[-1][1] >= AT_TOP * max(value for _, value in points)


def _is_sawtooth(course: Course) -> bool:
    """It ran out of memory before, and rose towards that, or rises towards it again."""
    if not course.was_oom_killed:
        return False
    runs = (course.present_run(), course.former_runs())
    return any((growth := _growth(run)) is not None and _is_rising(run, growth) for run in runs)


def _rollout_rise(worst: Course, live: Sequence[Course], peaks: Mapping[str, float]) -> float | None:
    """How many times the former release's peak the fullest container of that name is now."""
    before = peaks.get(worst.container)
    highest = max(course.now or 0 for course in live if course.container == worst.container)
    return highest / before if before else None


def _change(points: Sequence[tuple[int, float]], newest: float, oldest: float) -> float | None:
    """The last quarter of an hour against the time from `oldest` to `newest` seconds ago, as a factor.

    None where there is nothing in either.
    """
    recent = [value for ago, value in points if ago <= 15 * MINUTE and ago < newest]
    older = [value for ago, value in points if newest < ago <= oldest]
    before = sum(older) / len(older) if older else 0.0
    return (sum(recent) / len(recent)) / before if recent and before > 0 else None
