from typing import Any

import pytest

from remediator.simulate.answers import Refused
from remediator.simulate.podlogs import LogBook, read_log
from tests.unit.simulate.worlds import START, StillWorld

LINES = "one\ntwo\nthree\nfour\n"


def pod_of(image: str, *, seconds: int = 3) -> Any:
    world = StillWorld()
    pod = {"metadata": {"name": "p", "namespace": "shop"}, "spec": {"containers": [{"name": "app", "image": image}]}}
    world.cluster.apply({"apiVersion": "v1", "kind": "Pod", **pod})
    world.run(seconds)
    return world.cluster.get("Pod", "shop", "p")


def read(pod: Any, query: dict[str, str], **texts: str) -> str:
    book = LogBook()
    if texts:
        book.set("app", **texts)
    return read_log(pod, book, query, now=START).decode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, LINES),
        ({"tailLines": "2"}, "three\nfour\n"),
        ({"tailLines": "9"}, LINES),
        ({"tailLines": "0"}, ""),
        ({"limitBytes": "5"}, "one\nt"),
        # The tail first, then its oldest bytes: the newest line is what a byte limit loses.
        ({"tailLines": "2", "limitBytes": "6"}, "three\n"),
        ({"tailLines": "1", "timestamps": "true"}, "2026-11-23T12:00:00Z four\n"),
    ],
)
def test_the_tail_is_cut_first_and_then_its_oldest_bytes_are_kept(query: dict[str, str], expected: str) -> None:
    assert read(pod_of("app:1"), query, current=LINES) == expected


def test_previous_is_another_text_than_current() -> None:
    pod = pod_of("app:crash")
    assert read(pod, {"previous": "true"}, current="now", previous="before") == "before"
    assert read(pod, {}, current="now", previous="before") == "now"


def test_a_crash_prints_a_traceback_by_default() -> None:
    assert "KeyError" in read(pod_of("app:crash"), {"previous": "true"})


@pytest.mark.parametrize(
    ("image", "seconds", "query", "message"),
    [
        ("app:1", 3, {"previous": "true"}, 'previous terminated container "app" in pod "p" not found'),
        ("app:1", 1, {}, 'container "app" in pod "p" is waiting to start: ContainerCreating'),
        ("app:imagepull", 3, {}, 'container "app" in pod "p" is waiting to start: trying and failing to pull image'),
        ("app:noconfig", 3, {}, 'container "app" in pod "p" is waiting to start: CreateContainerConfigError'),
        ("app:1", 3, {"container": "zzz"}, "container zzz is not valid for pod p"),
    ],
)
def test_what_has_no_log_is_400_that_says_why(image: str, seconds: int, query: dict[str, str], message: str) -> None:
    with pytest.raises(Refused) as refused:
        read(pod_of(image, seconds=seconds), query)
    assert (refused.value.code, refused.value.body["message"]) == (400, message)
