"""The history of StatefulSets and DaemonSets: the template in a revision, which is current, and when it came."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.kube.controller_revisions import current_revision, newest_first, ordered_times, pods_of, template_of
from tests.unit.actions.test_rollback_ordered import NEW, OLD, pod, revision, workload_of
from tests.workloads import NOW

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"raw": "AAEC"},
        {"spec": {"template": {"spec": {}}}},
        {"spec": {"template": {"$patch": "replace"}}},
    ],
    ids=["none", "empty", "bytes", "a merge and no replacement", "no pods"],
)
def test_another_format_holds_no_template(data: Any) -> None:
    assert template_of({"metadata": {"name": "db-1"}, "data": data}) is None


def test_the_template_is_what_a_workload_would_have() -> None:
    """Without the instruction to replace, and without the null time of older encoders."""
    held = revision(1, {**OLD, "metadata": {**OLD["metadata"], "creationTimestamp": None}})

    assert template_of(held) == OLD
    assert held["data"]["spec"]["template"]["$patch"] == "replace", "a copy"


def test_the_number_and_not_the_age_says_which_is_newest() -> None:
    """A revision that is used again gets the next number and keeps its time."""
    again = revision(3, OLD, name="checkout-a", created=NOW - HOUR)
    other = revision(2, NEW, name="checkout-b", created=NOW)

    assert [item["metadata"]["name"] for item in newest_first((other, again))] == ["checkout-a", "checkout-b"]
    assert current_revision(workload_of("StatefulSet", OLD), (other, again)) == again


def test_no_revision_is_current_until_the_controller_has_made_it() -> None:
    behind = workload_of("DaemonSet", NEW)
    behind["status"]["observedGeneration"] = 6

    assert current_revision(behind, (revision(2, NEW),)) is None
    assert current_revision(workload_of("DaemonSet", NEW), (revision(1, OLD),)) is None
    assert current_revision(workload_of("DaemonSet", NEW), ()) is None


@pytest.mark.parametrize("label", ["checkout-2", "2"], ids=["StatefulSet: the name", "DaemonSet: the hash"])
def test_pods_are_told_by_the_label_of_their_kind(label: str) -> None:
    mine, other = pod("a", label, ready=True), pod("b", "checkout-1", ready=True)

    assert pods_of(revision(2, NEW), (mine, other)) == (mine,)


TIMES: list[tuple[str, list[Any], list[Any], tuple[datetime | None, datetime | None, bool]]] = [
    (
        "between the making of its revision and its first pod",
        [revision(2, NEW, created=NOW - HOUR), revision(1, OLD, created=NOW - 9 * HOUR)],
        [
            pod("checkout-0", "checkout-2", ready=True, created=NOW - HOUR / 2),
            pod("checkout-1", "checkout-2", ready=True, created=NOW - HOUR / 3),
        ],
        (NOW - HOUR, NOW - HOUR / 2, False),
    ),
    (
        "used again: not before the newest revision was made",
        [revision(3, NEW, created=NOW - 9 * HOUR), revision(2, OLD, created=NOW - 2 * HOUR)],
        [pod("checkout-0", "checkout-3", ready=True, created=NOW - HOUR)],
        (NOW - 2 * HOUR, NOW - HOUR, False),
    ),
    (
        "running while others are left",
        [revision(2, NEW, created=NOW - HOUR), revision(1, OLD, created=NOW - 9 * HOUR)],
        [pod("checkout-0", "checkout-1", ready=True), pod("checkout-1", "checkout-2", ready=False, created=NOW)],
        (NOW - HOUR, NOW, True),
    ),
    (
        "those that go already do not count",
        [revision(2, NEW, created=NOW - HOUR)],
        [pod("checkout-0", "checkout-1", ready=True, deletionTimestamp="2026-11-23T12:00:00Z")],
        (NOW - HOUR, None, False),
    ),
    ("nothing is known of what is not observed", [revision(1, OLD)], [], (None, None, False)),
]


@pytest.mark.parametrize(("revisions", "pods", "expected"), [row[1:] for row in TIMES], ids=[row[0] for row in TIMES])
def test_when_a_rollout_began(
    revisions: list[Any], pods: list[Any], expected: tuple[datetime | None, datetime | None, bool]
) -> None:
    found = ordered_times(workload_of("StatefulSet", NEW), revisions, pods)

    assert (found.times.started_at, found.began_by, found.times.is_running) == expected
