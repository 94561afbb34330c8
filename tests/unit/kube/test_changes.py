"""What a dry run changes, field by field, as people name fields."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.kube.changes import MAX_CHANGES, changes, of_object

CASES: list[tuple[str, Any, Any, list[tuple[str, Any, Any]]]] = [
    ("nothing", {"a": [1, {"b": 2}]}, {"a": [1, {"b": 2}]}, []),
    ("a value", {"spec": {"replicas": 2}}, {"spec": {"replicas": 3}}, [("spec.replicas", 2, 3)]),
    ("what is new", {"a": 1}, {"a": 1, "b": {"c": 2}}, [("b", None, {"c": 2})]),
    ("what is gone", {"a": 1, "b": 2}, {"a": 1}, [("b", 2, None)]),
    (
        "a container by its name, whatever its place",
        {"c": [{"name": "app", "image": "a:1"}, {"name": "proxy", "image": "p:1"}]},
        {"c": [{"name": "proxy", "image": "p:1"}, {"name": "app", "image": "a:2"}]},
        [("c[app].image", "a:1", "a:2")],
    ),
    (
        "an injected container",
        {"c": [{"name": "app"}]},
        {"c": [{"name": "app"}, {"name": "side"}]},
        [("c[side]", None, {"name": "side"})],
    ),
    ("words by their place", {"args": ["-a", "-b"]}, {"args": ["-a", "-c"]}, [("args[1]", "-b", "-c")]),
    ("lists of another length", {"args": ["-a"]}, {"args": ["-a", "-b"]}, [("args", ["-a"], ["-a", "-b"])]),
    ("another type", {"a": {"b": 1}}, {"a": [1]}, [("a", {"b": 1}, [1])]),
    (
        "a key with a dot",
        {"annotations": {"remediator.io/x": "1"}},
        {"annotations": {"remediator.io/x": "2"}},
        [("annotations['remediator.io/x']", "1", "2")],
    ),
]


@pytest.mark.parametrize(("before", "after", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_changed_fields(before: Any, after: Any, expected: list[tuple[str, Any, Any]]) -> None:
    assert [(one.field, one.before, one.after) for one in changes(before, after)] == expected


def test_the_path_of_the_whole_comes_first() -> None:
    assert [one.field for one in changes(2, 3, under=("spec", "replicas"))] == ["spec.replicas"]


def test_a_reply_that_is_another_object_says_so_in_its_first_fields() -> None:
    many = {str(n): n for n in range(3 * MAX_CHANGES)}
    assert len(changes({}, many)) == MAX_CHANGES


def test_what_every_write_changes_is_no_change() -> None:
    before = {"metadata": {"resourceVersion": "1", "generation": 3, "labels": {"a": "b"}}, "spec": {}}
    after = {"metadata": {"resourceVersion": "2", "generation": 4, "labels": {"a": "b"}}, "spec": {}, "status": {}}
    assert changes(of_object(before), of_object(after)) == ()
