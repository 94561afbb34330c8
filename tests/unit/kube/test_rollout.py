"""Two templates are one release or two, whatever is left empty in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.kube.rollout import TEMPLATE_HASH_LABEL, is_same_template

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.sampled_from(["a", "b", ""]) | st.integers(2, 3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("xyz"), VALUES, max_size=3)


def cleaned(value: Any) -> Any:
    """What the comparison means, in so many words: the maps and lists that hold nothing are not there."""
    if isinstance(value, dict):
        items = {key: cleaned(item) for key, item in value.items()}
        return {key: item for key, item in items.items() if item not in (None, {}, [])}
    return [cleaned(item) for item in value] if isinstance(value, list) else value


@given(OBJECTS, OBJECTS)
def test_what_is_empty_makes_no_difference(one: Any, other: Any) -> None:
    expected = json.dumps(cleaned(one), sort_keys=True) == json.dumps(cleaned(other), sort_keys=True)

    assert is_same_template(one, other) == expected
    assert is_same_template(one, cleaned(one))


@pytest.mark.parametrize("value", [0, False, "", [None], "x"])
def test_what_is_not_empty_makes_one(value: Any) -> None:
    assert not is_same_template({"spec": {"field": value}}, {"spec": {}})


def test_the_controller_s_label_makes_none() -> None:
    labels = {"app": "shop", TEMPLATE_HASH_LABEL: "5b8f"}

    assert is_same_template({"metadata": {"labels": labels}}, {"metadata": {"labels": {"app": "shop"}}})
    assert is_same_template({"metadata": {"labels": {TEMPLATE_HASH_LABEL: "5b8f"}}}, {})
