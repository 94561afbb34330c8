import copy
from typing import Any

import pytest

from remediator.simulate.answers import Refused
from remediator.simulate.patching import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, patched

ITEM = {"a": {"x/y": 1, "m~n": 2}, "list": [1, 2, 3], "env": [{"name": "A", "value": "1"}, {"name": "B"}]}


@pytest.mark.parametrize(
    ("steps", "pointer", "value"),
    [
        ([{"op": "replace", "path": "/a/x~1y", "value": 9}], ("a", "x/y"), 9),
        ([{"op": "replace", "path": "/a/m~0n", "value": 9}], ("a", "m~n"), 9),
        ([{"op": "add", "path": "/a/new", "value": None}], ("a", "new"), None),
        ([{"op": "add", "path": "/list/1", "value": 9}], ("list",), [1, 9, 2, 3]),
        ([{"op": "add", "path": "/list/-", "value": 9}], ("list",), [1, 2, 3, 9]),
        ([{"op": "replace", "path": "/list/0", "value": 9}], ("list",), [9, 2, 3]),
        ([{"op": "remove", "path": "/list/0"}], ("list",), [2, 3]),
        ([{"op": "move", "from": "/a/m~0n", "path": "/b"}], ("b",), 2),
        ([{"op": "copy", "from": "/list", "path": "/b"}], ("b",), [1, 2, 3]),
        ([{"op": "test", "path": "/a/none", "value": None}], ("list",), [1, 2, 3]),
    ],
)
def test_json_patch_applies(steps: list[Any], pointer: tuple[str, ...], value: Any) -> None:
    found: Any = patched(ITEM, steps, JSON_PATCH)
    for key in pointer:
        found = found[key]
    assert found == value


@pytest.mark.parametrize(
    "step",
    [
        {"op": "test", "path": "/a/m~0n", "value": 3},
        {"op": "test", "path": "/none/at/all", "value": 3},
        {"op": "replace", "path": "/a/none", "value": 1},
        {"op": "add", "path": "/none/x", "value": 1},
        {"op": "add", "path": "/list/9", "value": 1},
        {"op": "remove", "path": "/a/none"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "a", "value": 1},
        {"op": "frobnicate", "path": "/a"},
    ],
)
def test_a_json_patch_that_does_not_apply_is_422_without_details(step: Any) -> None:
    with pytest.raises(Refused) as refused:
        patched(ITEM, [step], JSON_PATCH)
    assert (refused.value.code, refused.value.body["details"]) == (422, {})


def test_the_patched_object_is_a_copy() -> None:
    before = copy.deepcopy(ITEM)
    patched(ITEM, [{"op": "add", "path": "/list/-", "value": 9}], JSON_PATCH)
    assert before == ITEM


@pytest.mark.parametrize("content_type", [MERGE_PATCH, STRATEGIC_PATCH])
def test_merging_deletes_null_and_merges_maps(content_type: str) -> None:
    result = patched(ITEM, {"a": {"x/y": None, "new": {"deep": 1}}}, content_type)
    assert result["a"] == {"m~n": 2, "new": {"deep": 1}}


def test_a_merge_patch_replaces_lists() -> None:
    assert patched(ITEM, {"env": [{"name": "B", "value": "2"}]}, MERGE_PATCH)["env"] == [{"name": "B", "value": "2"}]


@pytest.mark.parametrize(
    ("patch", "names"),
    [
        ([{"name": "B", "value": "2"}, {"name": "C"}], {"A": "1", "B": "2", "C": None}),
        ([{"name": "A", "$patch": "delete"}], {"B": None}),
    ],
)
def test_a_strategic_patch_merges_lists_by_name(patch: list[Any], names: dict[str, Any]) -> None:
    env = patched(ITEM, {"env": patch}, STRATEGIC_PATCH)["env"]
    assert {entry["name"]: entry.get("value") for entry in env} == names


def test_a_strategic_patch_can_replace_a_map() -> None:
    assert patched(ITEM, {"a": {"$patch": "replace", "only": 1}}, STRATEGIC_PATCH)["a"] == {"only": 1}
