"""The kinds of workloads that a row of a rule can be about: by the rule's target, and by what the row asks. Pure."""

from __future__ import annotations

from remediator.rules.schema import Row, Rule
from remediator.target.behind import ends_of
from remediator.target.spec import KIND_OF_LABEL


def claimed_kinds(rule: Rule) -> frozenset[str]:
    """The kinds of objects that an alert of the rule can name."""
    target = rule.target
    if target.object is not None:
        return frozenset({target.object.kind})
    if target.labels is not None:
        return frozenset(kind for kind in target.labels if kind != "namespace")
    every = frozenset(KIND_OF_LABEL.values())
    return frozenset({"Node"}) if target.node_scope else every - {"Node"}


def target_kinds(rule: Rule) -> frozenset[str]:
    """The kinds of workloads that those lead to."""
    return frozenset(end for kind in claimed_kinds(rule) for end in ends_of(kind))


def row_kinds(rule: Rule, row: Row) -> frozenset[str]:
    """Of these the ones that the row asks for."""
    asked = getattr(row.when, "kind", None)
    return target_kinds(rule) if asked is None else target_kinds(rule) & frozenset(asked)
