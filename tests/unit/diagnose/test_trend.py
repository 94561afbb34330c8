"""The course of memory: tables of six hours, in MiB, with the answer that people would give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from remediator.diagnose.resources.trend import HOUR, MINUTE, OFFSETS, Course, History, Shape, shape_of
from remediator.prometheus.base import Sample

MIB = 2**20
DAY = 24 * HOUR


def course(at: Callable[[float], float], *, pod: str = "a", limit: float | None = 1000, **facts: Any) -> Course:
    """The working set in MiB as a function of the hours that have passed, -6 to 0; running for a day by default."""
    since = facts.pop("since", max(OFFSETS))
    points = tuple((ago, at(-ago / HOUR) * MIB) for ago in sorted(OFFSETS, reverse=True) if ago <= since)
    full: dict[str, Any] = {"started_ago": DAY, **facts}
    return Course(pod, "app", points, limit=int(limit * MIB) if limit else None, **full)


def level(at: Callable[[float], float]) -> list[tuple[int, float]]:
    return [(ago, at(-ago / HOUR)) for ago in sorted(OFFSETS, reverse=True)]


def flat(hour: float) -> float:
    return 930 + (7 * hour) % 5


def leaking(hour: float) -> float:
    return 900 + 60 * hour


def surge(hour: float) -> float:
    """Twice as much since an hour and a half ago."""
    return 500 if hour < -1.5 else 950


def same(hour: float) -> float:
    return 100.0


def surge_of_traffic(hour: float) -> float:
    return 100.0 if hour < -1.5 else 200.0


def climbing(hour: float) -> float:
    return 200 + 5 * hour


def shape(*courses: Course, traffic: Any = same, cpu: Any = None, before: float | None = None, **more: Any) -> Shape:
    found = shape_of(
        courses,
        traffic=level(traffic) if traffic else (),
        cpu=level(cpu) if cpu else (),
        peaks_before={"app": before * MIB} if before else {},
        rollout_ago=more.get("rollout_ago"),
    )
    return found.shape


def sawtooth(hour: float) -> float:
    """Rises from 300 to 990 in two hours, again and again."""
    return 300 + 690 * ((hour % 2) / 2)


CASES: list[tuple[str, Shape, Callable[[], Shape]]] = [
    ("full and still", Shape.FLAT, lambda: shape(course(flat))),
    ("full and still under more traffic", Shape.FLAT, lambda: shape(course(flat), traffic=surge_of_traffic)),
    ("rises under the same traffic", Shape.LEAK, lambda: shape(course(leaking))),
    ("rises without a limit", Shape.LEAK, lambda: shape(course(leaking, limit=None))),
    (
        "rises with the traffic, in most pods",
        Shape.LOAD,
        lambda: shape(course(surge), course(surge, pod="b"), traffic=surge_of_traffic),
    ),
    (
        "one of four rises while all have more traffic",
        Shape.UNKNOWN,
        lambda: shape(course(surge), *(course(flat, pod=p) for p in "bcd"), traffic=surge_of_traffic),
    ),
    ("rises, and traffic a little", Shape.UNKNOWN, lambda: shape(course(leaking), traffic=climbing)),
    ("rises, traffic unknown", Shape.UNKNOWN, lambda: shape(course(leaking), traffic=None)),
    ("rises, traffic unknown, CPU the same", Shape.LEAK, lambda: shape(course(leaking), traffic=None, cpu=same)),
    (
        "rises, traffic unknown, CPU busy: garbage collection or load",
        Shape.UNKNOWN,
        lambda: shape(course(leaking), traffic=None, cpu=surge_of_traffic),
    ),
    (
        "a saw-tooth with out-of-memory kills",
        Shape.LEAK,
        lambda: shape(
            course(lambda h: sawtooth(h + 1.5), started_ago=1.5 * HOUR, was_oom_killed=True), traffic=None
        ),
    ),
    (
        "killed for memory, but still since",
        Shape.FLAT,
        lambda: shape(course(lambda h: 400.0, started_ago=5 * HOUR, was_oom_killed=True)),
    ),
    ("warming up", Shape.UNKNOWN, lambda: shape(course(leaking, started_ago=15 * MINUTE, since=15 * MINUTE))),
    (
        "warmed up long ago, still since",
        Shape.FLAT,
        lambda: shape(course(lambda h: 100.0 if h < -2.9 else 930.0, started_ago=3 * HOUR, since=3 * HOUR)),
    ),
    ("rose and fell back", Shape.FLAT, lambda: shape(course(lambda h: 990.0 if -3 < h < -0.5 else 600 + 10 * h))),
    ("its start is not known", Shape.UNKNOWN, lambda: shape(course(leaking, started_ago=None))),
    (
        "much more than the former release ever took",
        Shape.BEGAN_WITH_ROLLOUT,
        lambda: shape(
            course(flat, started_ago=2 * HOUR, since=2 * HOUR), before=500, rollout_ago=2 * HOUR
        ),
    ),
    (
        "a leak that the rollout brought",
        Shape.BEGAN_WITH_ROLLOUT,
        lambda: shape(
            course(leaking, started_ago=2 * HOUR, since=2 * HOUR), before=500, rollout_ago=2 * HOUR
        ),
    ),
    (
        "as much as the former release took",
        Shape.FLAT,
        lambda: shape(course(flat, started_ago=2 * HOUR, since=2 * HOUR), before=900, rollout_ago=2 * HOUR),
    ),
    (
        "more since the rollout, but traffic rose with it",
        Shape.UNKNOWN,
        lambda: shape(
            course(surge, started_ago=1.5 * HOUR, since=1.5 * HOUR),
            before=500,
            rollout_ago=1.5 * HOUR,
            traffic=surge_of_traffic,
        ),
    ),
    ("no container reports", Shape.UNKNOWN, lambda: shape()),
]


@pytest.mark.parametrize(("expected", "answer"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_the_shape_of_a_course(expected: Shape, answer: Callable[[], Shape]) -> None:
    assert answer() == expected


def test_the_worst_pod_is_the_one_nearest_to_its_limit_of_those_that_rise() -> None:
    rising = [course(leaking, pod="small", limit=2000), course(leaking, pod="near")]
    courses = [*rising, course(flat, pod="full", limit=931)]

    found = shape_of(courses, traffic=level(same), cpu=(), peaks_before={}, rollout_ago=None)

    assert (found.shape, found.worst_pod) == (Shape.LEAK, "near")


def test_history_is_read_by_container_and_without_pods_that_are_gone() -> None:
    samples = [
        Sample({"pod": pod, "container": "app", "ago": ago}, value)
        for pod, ago, value in (("a", "0", 3.0), ("a", "3600", 1.0), ("gone", "0", 9.0), ("a", "600", 2.0))
    ]

    [found] = History.read(samples, frozenset({"a"})).courses

    assert (found.pod, found.points, found.now) == ("a", ((3600, 1.0), (600, 2.0), (0, 3.0)), 3.0)
