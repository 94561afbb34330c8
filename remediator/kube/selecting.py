"""Whether a selector of one object selects another, decided here instead of by a list of the API server. Pure.

Used by collectors that read all budgets, policies or Services of a namespace once and look which concern the workload.
Source: kubernetes/apimachinery `pkg/labels/selector.go`, `pkg/apis/meta/v1/helpers.go` (`LabelSelectorAsSelector`).
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.model import Json


def is_selected(selector: Json | None, labels: Mapping[str, str]) -> bool:
    """A `metav1.LabelSelector`: None selects nothing, an empty one everything. An unknown operator selects nothing."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def is_routed(selector: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """The selector of a Service: an empty one selects nothing."""
    return bool(selector) and all(labels.get(key) == value for key, value in (selector or {}).items())


def labels_of(item: Json) -> Mapping[str, str]:
    return item.get("metadata", {}).get("labels") or {}


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":  # holds for an object without the label too
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False
