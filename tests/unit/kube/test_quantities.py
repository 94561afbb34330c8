"""Quantities, and what a pod asks for in all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from remediator.kube.quantities import pod_limits, pod_requests, quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("500m", "0.5"),
        ("1", "1"),
        (2, "2"),
        (0.5, "0.5"),
        ("1.5Gi", "1610612736"),
        ("128974848", "128974848"),
        ("129e6", "129000000"),
        ("129M", "129000000"),
        ("123Mi", "128974848"),
        ("5k", "5000"),
        ("100n", "1E-7"),
        ("1E", "1E+18"),
        ("1Ei", "1152921504606846976"),
        ("-3", "-3"),
    ],
)
def test_a_quantity_in_base_units(text: Any, amount: str) -> None:
    assert quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1gb", "1mi", "NaN", None, "1K", "1" * 40, "1e9999"])
def test_what_is_no_quantity_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        quantity(text)


def box(cpu: str, memory: str = "0", *, limit: str | None = None, **more: Any) -> dict[str, Any]:
    resources: dict[str, Any] = {"requests": {"cpu": cpu, "memory": memory}}
    if limit is not None:
        resources["limits"] = {"memory": limit}
    return {"name": "c", "resources": resources, **more}


SIDECAR = {"restartPolicy": "Always"}

PODS: list[tuple[str, dict[str, Any], str]] = [
    ("one container", {"containers": [box("1")]}, "1"),
    ("two containers", {"containers": [box("1"), box("500m")]}, "1.5"),
    ("a small init container counts for nothing", {"containers": [box("1")], "initContainers": [box("1")]}, "1"),
    ("a large init container decides", {"containers": [box("1")], "initContainers": [box("3"), box("2")]}, "3"),
    ("a sidecar is added", {"containers": [box("1")], "initContainers": [box("1", **SIDECAR)]}, "2"),
    (
        "an init container runs beside the sidecars before it",
        {"containers": [box("1")], "initContainers": [box("1", **SIDECAR), box("3")]},
        "4",
    ),
    (
        "and not beside those after it",
        {"containers": [box("1")], "initContainers": [box("3"), box("1", **SIDECAR)]},
        "3",
    ),
    ("overhead is added", {"containers": [box("1")], "overhead": {"cpu": "250m"}}, "1.25"),
    (
        "what the pod as a whole asks for replaces the sum",
        {"containers": [box("1")], "resources": {"requests": {"cpu": "5"}}},
        "5",
    ),
    ("nothing asked for", {"containers": [{"name": "c"}]}, "0"),
]


@pytest.mark.parametrize(("spec", "cpu"), [row[1:] for row in PODS], ids=[row[0] for row in PODS])
def test_what_a_pod_takes_of_a_node(spec: dict[str, Any], cpu: str) -> None:
    assert pod_requests({"spec": spec}).get("cpu", Decimal()) == Decimal(cpu)


def test_a_limit_counts_only_where_every_container_has_it() -> None:
    both = {"spec": {"containers": [box("1", limit="1Gi"), box("1", limit="2Gi")]}}
    one = {"spec": {"containers": [box("1", limit="1Gi"), box("1")]}}

    assert pod_limits(both)["memory"] == 3 * 2**30
    assert "memory" not in pod_limits(one)
