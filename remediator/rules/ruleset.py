"""The rule table in force: all rules in order, indexed for matching, with what holds for all of them.

`load.py` makes it from files; every step of an alert is handed it, `match.py` first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath

from remediator.diagnose.patterns import LogPattern
from remediator.guards.freeze import Freeze
from remediator.rules.calendar import CalendarFreeze
from remediator.rules.escalation import EscalationMatrix, escalation_matrix
from remediator.rules.patterns import LogPatternRow
from remediator.rules.schema import Rule, digest_of
from remediator.rules.severity import SeverityPolicy, SeverityRow, severity_policy

Path = tuple[str | int, ...]
"""Where in a rule: field names and list positions, as in the YAML: `("respond", 0, "do")`."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a file, both from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules in force, in order. Make it with `rule_set`, or from files with `load.load_rules`."""

    rules: tuple[Rule, ...]
    severities: SeverityPolicy
    digest: str
    places: Mapping[str, Mapping[Path, Place]]
    by_alertname: Mapping[str, tuple[Rule, ...]]
    """Alertname -> rules that can match it, in order, where their matchers list the names."""
    by_any_alertname: tuple[Rule, ...]
    """The rules whose matchers do not list alertnames."""
    log_patterns: tuple[LogPattern, ...] = ()
    """For `diagnose`: those that are shipped and those of the files."""
    freezes: tuple[Freeze | CalendarFreeze, ...] = ()
    calendars: tuple[FilePath, ...] = ()
    """The files that the freezes came from besides the rule files."""
    escalation: EscalationMatrix = field(default_factory=EscalationMatrix)
    commit: str = ""
    """The Git commit of the files, where it is known."""
    contact_places: Mapping[str, Place] = field(default_factory=dict)
    """Where each row of the escalation matrix stands."""

    def place(self, rule: str, path: Path = ()) -> str:
        """`file:line:column` of a part of a rule, or of the nearest part around it that was written."""
        places = self.places.get(rule, {})
        for length in range(len(path), -1, -1):
            if path[:length] in places:
                return str(places[path[:length]])
        return rule

    def severity_of(self, rule: Rule, label: str | None, *overrides: int | None) -> int:
        """The severity that holds: the rule's, or by the alert's label; people can only make it less severe."""
        own = self.severities.from_label(label) if rule.severity == "from_label" else rule.severity
        return max(own, *(override for override in overrides if override is not None), 1)

    def rule(self, name: str) -> Rule | None:
        """The rule of that name; None when a newer table no longer has it."""
        return next((rule for rule in self.rules if rule.name == name), None)


def rule_set(
    rules: Iterable[Rule],
    *,
    severities: Mapping[int, SeverityRow] | None = None,
    severity_labels: Mapping[str, int] | None = None,
    places: Mapping[str, Mapping[Path, Place]] | None = None,
    log_patterns: Iterable[LogPatternRow] = (),
    freezes: Iterable[Freeze | CalendarFreeze] = (),
    calendars: Iterable[FilePath] = (),
    escalation: EscalationMatrix | None = None,
    contact_places: Mapping[str, Place] | None = None,
) -> RuleSet:
    """The table of these rules, indexed for matching."""
    ordered = tuple(rules)
    policy = severity_policy(severities or {}, severity_labels)
    names = [alertnames(rule) for rule in ordered]
    listed = {name for some in names if some is not None for name in some}
    patterns = tuple(log_patterns)
    windows = tuple(freezes)
    matrix = escalation or escalation_matrix()
    return RuleSet(
        rules=ordered,
        severities=policy,
        digest=digest_of(
            {
                "rules": [rule.digest for rule in ordered],
                "severities": policy.as_json(),
                "log_patterns": [pattern.model_dump(mode="json") for pattern in patterns],
                "freezes": [window.as_json() for window in windows],
                "escalation": matrix.as_json(),
            }
        ),
        places=places or {},
        by_alertname=_grouped(ordered, names, listed),
        by_any_alertname=tuple(rule for rule, some in zip(ordered, names, strict=True) if some is None),
        log_patterns=tuple(pattern.compiled() for pattern in patterns),
        freezes=windows,
        calendars=tuple(calendars),
        escalation=matrix,
        contact_places=contact_places or {},
    )


def _grouped(
    rules: tuple[Rule, ...], names: list[frozenset[str] | None], listed: set[str]
) -> Mapping[str, tuple[Rule, ...]]:
    groups: dict[str, list[Rule]] = {name: [] for name in listed}
    for rule, some in zip(rules, names, strict=True):
        for name in listed if some is None else some:
            groups[name].append(rule)
    return {name: tuple(group) for name, group in groups.items()}


def alertnames(rule: Rule) -> frozenset[str] | None:
    """The alertnames that the rule can match; None: its matchers do not list them."""
    lists = [matcher.accepted() for matcher in rule.matchers if matcher.name == "alertname"]
    found = [names for names in lists if names is not None]
    return frozenset.intersection(*found) if found else None
