"""What this account must be allowed to do, as `check rbac` adds it up, and the question whether it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from remediator.kube.access_review import Access, permitted
from remediator.kube.base import Cluster
from remediator.lint.rights import Around, Need, Right, needed
from remediator.model import MODES_BY_CAUTION, Mode, most_cautious
from remediator.rules.ruleset import RuleSet, rule_set
from remediator.settings import Settings

AT_ALL = frozenset({"/readyz", "pods", "deployments", "replicasets"})
"""What cannot be read here leaves nothing that works."""


def reads(table: RuleSet | None, settings: Settings) -> Sequence[Need]:
    """What is read in every mode; without a table what is read whatever the rules are."""
    wanted = needed(rule_set([]) if table is None else table, Mode.SILENT, around=Around.of(settings))
    return [one for one in wanted if not one.right.is_write]


def events(settings: Settings) -> Sequence[Need]:
    """What telling in the cluster takes; none: it is switched off."""
    around = replace(Around.of(settings), anchor="")
    return [one for one in needed(rule_set([]), Mode.SILENT, around=around) if one.right.is_write]


def acts(table: RuleSet, mode: Mode) -> Sequence[Need]:
    """What the rules write that may do more than recommend in this mode."""
    may_act = [
        rule
        for rule in table.rules
        if MODES_BY_CAUTION.index(most_cautious(rule.mode, mode)) > MODES_BY_CAUTION.index(Mode.SILENT)
    ]
    around = Around(switch="", has_events=False)
    wanted = needed(replace(table, rules=tuple(may_act)), mode, around=around)
    return [one for one in wanted if one.right.is_write]


async def may(cluster: Cluster, right: Right) -> bool:
    """Whether the API server would let us; what cannot be asked is not taken for granted."""
    access = Access(right.verb, right.group, right.resource, right.namespace, right.name)
    return (await permitted(access, cluster)).is_allowed is True
