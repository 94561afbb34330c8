"""Which severity holds, and what it allows."""

from __future__ import annotations

from datetime import timedelta

import pytest

from remediator.rules.ruleset import rule_set
from remediator.rules.severity import SeverityRow, severity_policy
from tests.unit.rules.make import a_rule

FIXED, BY_LABEL = a_rule(severity=2), a_rule(severity="from_label")


@pytest.mark.parametrize(
    ("label", "severity"), [("critical", 1), ("Warning", 3), ("info", 4), ("none", 4), ("page-me", 4), (None, 4)]
)
def test_by_its_label_an_unknown_word_is_the_least_severe(label: str | None, severity: int) -> None:
    assert rule_set([BY_LABEL]).severity_of(BY_LABEL, label) == severity


def test_a_rule_s_own_number_beats_the_label() -> None:
    assert rule_set([FIXED]).severity_of(FIXED, "critical") == 2


@pytest.mark.parametrize(("overrides", "severity"), [((None, None), 2), ((3, None), 3), ((3, 4), 4), ((1, None), 2)])
def test_people_can_only_make_it_less_severe(overrides: tuple[int | None, ...], severity: int) -> None:
    assert rule_set([FIXED]).severity_of(FIXED, None, *overrides) == severity


def test_the_mapping_of_labels_is_data() -> None:
    table = rule_set([BY_LABEL], severity_labels={"p1": 1, "critical": 2})

    assert [table.severity_of(BY_LABEL, label) for label in ("p1", "critical", "warning")] == [1, 2, 4]


def test_the_less_severe_may_do_less_by_default() -> None:
    policy = severity_policy({})

    assert policy.allows(1) == policy.allows(2) >= {"rollback", "restart", "evict", "scale", "shed", "resize"}
    assert policy.allows(3) == {"rollback", "restart", "evict"}
    assert policy.allows(4) == frozenset()


def test_a_row_changes_only_what_it_names() -> None:
    policy = severity_policy({3: SeverityRow.model_validate({"allows": ["scale"]})})

    assert policy.allows(3) == {"scale"}
    assert policy.wait(3) == timedelta(minutes=5)


def test_the_policy_is_part_of_the_table_s_digest() -> None:
    digests = {
        rule_set([FIXED]).digest,
        rule_set([FIXED], severities={3: SeverityRow.model_validate({"allows": []})}).digest,
        rule_set([FIXED], severity_labels={"critical": 2}).digest,
    }

    assert len(digests) == 3
