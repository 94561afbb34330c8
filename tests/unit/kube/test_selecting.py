"""Selectors evaluated here, with the API server's semantics."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.kube.selecting import is_routed, is_selected

LABELS = {"app": "web", "tier": "front"}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


SELECTORS: list[tuple[str, Any, bool]] = [
    ("none selects nothing", None, False),
    ("an empty one everything", {}, True),
    ("equal", {"matchLabels": {"app": "web"}}, True),
    ("one of two differs", {"matchLabels": {"app": "web", "tier": "back"}}, False),
    ("in", expression("tier", "In", "front", "back"), True),
    ("not in", expression("tier", "NotIn", "front"), False),
    ("not in holds without the label", expression("zone", "NotIn", "a"), True),
    ("exists", expression("tier", "Exists"), True),
    ("does not exist", expression("tier", "DoesNotExist"), False),
    ("an operator of a later release", expression("tier", "Like", "f*"), False),
    ("labels and expressions together", {"matchLabels": {"app": "web"}, **expression("tier", "In", "back")}, False),
]


@pytest.mark.parametrize(("selector", "expected"), [row[1:] for row in SELECTORS], ids=[row[0] for row in SELECTORS])
def test_a_label_selector(selector: Any, expected: bool) -> None:
    assert is_selected(selector, LABELS) is expected


@pytest.mark.parametrize(
    ("selector", "expected"), [({}, False), (None, False), ({"app": "web"}, True), ({"app": "db"}, False)]
)
def test_a_service_without_a_selector_routes_to_nothing(selector: Any, expected: bool) -> None:
    assert is_routed(selector, LABELS) is expected
