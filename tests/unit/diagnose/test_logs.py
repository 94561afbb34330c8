"""`logs`: whose logs are read, which of them, and within which bounds."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.diagnose.logs import LIMIT_BYTES, MAX_READS, MAX_TOTAL_BYTES, planned_reads
from remediator.kube.base import Forbidden, Logs, NotFound, Unreachable
from remediator.model import Cause, Json
from tests.fakes import FakeCluster
from tests.unit.diagnose.scenes import LOG, OLD, cause_of, collect, container, node, pod, running, scene

PULLING = {"waiting": {"reason": "ImagePullBackOff"}}
DONE = {"terminated": {"exitCode": 0, "reason": "Completed"}}
ENDED = {"terminated": {"exitCode": 1, "reason": "Error"}}


def created(name: str, *containers: Json, day: int = 1, **more: Any) -> Json:
    one = pod(name, *containers, **more)
    one["metadata"]["creationTimestamp"] = f"2026-11-{day:02}T00:00:00Z"
    return one


def cluster(text: str, *pods: str, name: str = "app") -> FakeCluster:
    one = FakeCluster(node())
    for each in pods:
        one.log_texts |= {("shop", each, name, previous): text for previous in (True, False)}
    return one


def planned(*pods: Json, **more: Any) -> list[tuple[str, str, bool, str]]:
    return [(one.pod, one.container, one.previous, one.role) for one in planned_reads(scene(*pods, **more))]


def test_the_worst_the_newest_and_a_well_pod_to_compare_with() -> None:
    pods = [
        created("a", container(restartCount=2), day=1),
        created("b", container(restartCount=9), day=1),
        created("c", container(restartCount=1), day=5),
        created("d", container(restartCount=3), day=2),
        created("e", running(), owner=OLD),
        created("f", running("proxy"), running(), owner=OLD),
    ]

    assert planned(*pods) == [
        ("b", "app", True, "worst"),
        ("c", "app", True, "newest"),
        ("e", "app", False, "healthy"),
    ]


CONTAINERS: list[tuple[str, list[Json], list[Json], list[tuple[str, bool]]]] = [
    ("in back-off: how it ended; the plain log is the same one", [container()], [], [("app", True)]),
    ("between two crashes: both runs", [running(restartCount=3, lastState=ENDED)], [], [("app", True), ("app", False)]),
    ("just ended for the first time", [container(restartCount=0, state=ENDED, lastState={})], [], [("app", False)]),
    ("ended again: this end and the one before", [container(state=ENDED)], [], [("app", True), ("app", False)]),
    ("running and not ready", [running(ready=False)], [], [("app", False)]),
    ("nothing ran yet", [container(restartCount=0, state=PULLING, lastState={})], [], []),
    ("the image of a release that ran before", [container(state=PULLING)], [], [("app", True)]),
    ("a sidecar fails", [running(), container("proxy")], [], [("proxy", True)]),
    ("an init container fails", [], [container("migrate")], [("migrate", True)]),
    (
        "an init container that did its work is not read",
        [container()],
        [container("migrate", ready=True, restartCount=0, state=DONE, lastState={})],
        [("app", True)],
    ),
]


@pytest.mark.parametrize(("main", "init", "reads"), [row[1:] for row in CONTAINERS], ids=[r[0] for r in CONTAINERS])
def test_which_containers_of_a_failing_pod(main: list[Json], init: list[Json], reads: list[tuple[str, bool]]) -> None:
    found = planned(pod("a", *main, init=tuple(init)))

    assert [one[1:3] for one in found] == reads


def test_the_alert_s_own_pod_is_read_where_all_are_ready() -> None:
    """Errors and slowness come from pods that are ready."""
    pods = [created("a", running(), day=9), created("b", running(), running("proxy"))]

    assert planned(*pods, labels={"pod": "b"}) == [("b", "app", False, "alert"), ("b", "proxy", False, "alert")]


def test_else_the_newest_is() -> None:
    assert planned(created("a", running(), day=9), created("b", running())) == [("a", "app", False, "alert")]


def test_pods_of_the_present_revision_come_first() -> None:
    old = pod("a", container(restartCount=50), owner=OLD)

    assert [one[0] for one in planned(old, pod("b", container(restartCount=1)))] == ["b", "a"]


def test_however_many_containers_the_reads_are_bounded_and_shared() -> None:
    many = [container(f"c{number}") for number in range(12)]

    found = planned(pod("a", *many), pod("b", *many), pod("c", *many))

    assert len(found) <= MAX_READS
    assert [sum(one[0] == name for one in found) for name in "ab"] == [6, 6]


class _Chatty(FakeCluster):
    """Every log is as long as it may be, and full of short secrets whose masks are longer than they."""

    def __init__(self) -> None:
        super().__init__()
        self.limits: list[int] = []

    async def logs(self, *, limit_bytes: int, **_: Any) -> Logs:
        self.limits.append(limit_bytes)
        return Logs(("pwd=1\n" * limit_bytes)[:limit_bytes], complete_tail=False)


async def test_no_pod_takes_the_bytes_of_the_others() -> None:
    chatty = _Chatty()
    many = [container(f"c{number}") for number in range(6)]

    found = await collect("logs", scene(pod("a", *many), pod("b", *many), cluster=chatty))

    assert sum(len(one.facts["text"].encode()) for one in found) <= MAX_TOTAL_BYTES
    assert len(set(chatty.limits)) == 1
    assert {one.facts["pod"] for one in found} == {"a", "b"}


async def test_one_container_gets_no_more_than_its_own_limit() -> None:
    chatty = _Chatty()

    [found] = await collect("logs", scene(pod("a", container()), cluster=chatty))

    assert chatty.limits == [LIMIT_BYTES]
    assert found.facts["is_complete"] is False
    assert "its end is missing" in found.summary


async def test_one_log_that_cannot_be_read_costs_no_other() -> None:
    one = cluster("boom\n", "a", "b")
    one.errors[LOG.format("a")] = Unreachable("kubelet away")

    found = await collect("logs", scene(pod("a", container(restartCount=9)), pod("b", container()), cluster=one))

    assert [each.kind for each in found] == ["unavailable", "log"]
    assert found[0].summary == "could not read previous log of a/app: kubelet away"
    assert found[0].facts["collector"] == "logs"


async def test_a_log_that_is_forbidden_is_said() -> None:
    one = cluster("boom\n", "a")
    one.errors[LOG.format("a")] = Forbidden("pods/log is forbidden")

    [found] = await collect("logs", scene(pod("a", container()), cluster=one))

    assert (found.kind, found.facts["pod"]) == ("unavailable", "a")
    assert "forbidden" in found.summary


async def test_that_there_is_no_log_is_data() -> None:
    one = FakeCluster()
    one.errors[LOG.format("a")] = NotFound('400 BadRequest: previous terminated container "app" in pod "a" not found')

    [found] = await collect("logs", scene(pod("a", container()), cluster=one))

    assert (found.kind, found.facts["text"]) == ("log", "")
    assert "previous terminated container" in found.summary


async def test_secrets_do_not_come_through() -> None:
    found = await collect("logs", scene(pod("a", container()), cluster=cluster("password=hunter2\n", "a")))

    assert "hunter2" not in str(found)


async def test_a_sidecar_s_complaint_about_the_crashed_application_is_not_its_cause() -> None:
    """The proxy cannot connect because the application is down, not the other way round."""
    one = cluster("TypeError: boom\n", "a")
    one.log_texts |= {("shop", "a", "proxy", previous): "upstream connection refused\n" for previous in (True, False)}

    found = await cause_of(pod("a", container(), running("proxy", ready=False)), names=("logs",), cluster=one)

    assert found is Cause.CODE_ERROR


async def test_the_application_s_own_complaint_is() -> None:
    one = cluster("dial tcp: connection refused\n", "a")

    assert await cause_of(pod("a", container()), names=("logs",), cluster=one) is Cause.DEPENDENCY_DOWN
