"""The escalation matrix: which row holds, and how long each of it has to answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.model import EscalationId, IncidentId, RemediationId
from remediator.reasons import Reason
from remediator.rules.escalation import ContactRow, escalation_matrix
from remediator.rules.load import load_rules
from remediator.rules.report import RulesError
from remediator.rules.ruleset import rule_set
from remediator.rules.shipped import shipped_rules
from remediator.store.escalations_base import Call, Escalation, Following, Further
from tests.unit.rules.make import a_rule

RULE = "rules: [{name: one, match: ['alertname=\"A\"'], severity: 1, respond: [{do: escalate}], contact: pods}]\n"
CONTACTS = "contacts: {default: {tell: [ada]}, pods: {tell: [bob, eve]}}\n"
MATRIX = escalation_matrix({"default": ContactRow(tell=("ada",)), "pods": ContactRow(tell=("bob", "eve"))})


@pytest.mark.parametrize(
    ("name", "row"), [("pods", "pods"), ("default", "default"), (None, "default"), ("of an older table", "default")]
)
def test_what_names_no_row_has_the_default(name: str | None, row: str) -> None:
    assert MATRIX.row(name) == row


def test_without_contacts_nobody_is_named_and_somebody_is_told() -> None:
    matrix = escalation_matrix()
    assert matrix.tell(matrix.row("pods")) == ("people",)


@pytest.mark.parametrize(("severity", "minutes"), [(0, 5), (1, 5), (2, 15), (3, 60), (4, 480), (5, 480)])
def test_the_severity_decides_the_pace(severity: int, minutes: int) -> None:
    assert MATRIX.wait(severity) == timedelta(minutes=minutes)


def test_a_pace_that_is_not_given_is_the_default() -> None:
    matrix = escalation_matrix(pace={1: timedelta(minutes=2)})
    assert [matrix.wait(severity).total_seconds() for severity in (1, 2)] == [120, 900]


def test_the_first_of_the_row_is_called() -> None:
    call = MATRIX.call("pods", severity=2, reason=Reason.NO_ROW, detail="why")
    assert call == Call("pods", "bob", timedelta(minutes=15), 2, Reason.NO_ROW, "why")


def test_what_nobody_rated_is_neither_urgent_nor_forgotten() -> None:
    call = MATRIX.call(None, severity=None, reason=Reason.INTERNAL_ERROR, detail="why")
    assert (call.contact, call.tell, call.severity) == ("default", "ada", 3)


def escalation(**changes: Any) -> Escalation:
    facts: dict[str, Any] = {
        "id": EscalationId(1),
        "incident_id": IncidentId(1),
        "remediation_id": RemediationId(1),
        "cluster": "lab",
        "gate": None,
        "title": "A",
        "target": None,
        "rule": "one",
        "contact": "pods",
        "severity": 1,
        "level": 1,
        "reminders": 0,
        "told": "bob",
        "reason": Reason.NO_ROW,
        "detail": "why",
        "needs_person": False,
        "opened_at": datetime(2026, 11, 23, tzinfo=UTC),
        "next_at": datetime(2026, 11, 23, 0, 5, tzinfo=UTC),
        "acked_at": None,
        "acked_by": None,
        "acked_comment": None,
        "ended_at": None,
        "ended": None,
    }
    return Escalation(**{**facts, **changes})


FIVE = timedelta(minutes=5)


@pytest.mark.parametrize(
    ("changes", "following"),
    [
        ({}, Following(Further.PASSED_ON, "eve", FIVE)),
        ({"severity": 3}, Following(Further.PASSED_ON, "eve", timedelta(hours=1))),
        ({"level": 2, "told": "eve"}, Following(Further.REMINDED, "eve", FIVE)),
        ({"level": 2, "reminders": 9}, Following(Further.REMINDED, "eve", FIVE)),
        ({"level": 2, "reminders": 10, "told": "eve"}, Following(Further.UNANSWERED, "eve", None)),
        # The table was loaded anew meanwhile.
        ({"level": 5, "told": "joe"}, Following(Further.REMINDED, "eve", FIVE)),
        ({"contact": "gone", "told": "joe"}, Following(Further.REMINDED, "ada", FIVE)),
    ],
)
def test_the_next_is_told_and_the_last_again(changes: dict[str, Any], following: Following) -> None:
    assert MATRIX.following(escalation(**changes)) == following


def test_the_matrix_is_part_of_the_table_s_digest() -> None:
    tables = [rule_set([a_rule()]), rule_set([a_rule()], escalation=MATRIX)]
    tables.append(rule_set([a_rule()], escalation=escalation_matrix(pace={1: timedelta(minutes=2)})))
    assert len({table.digest for table in tables}) == 3


def test_rules_and_matrix_may_stand_in_files_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RULE)
    (tmp_path / "b.yaml").write_text(CONTACTS + "pace: {2: 20m}\n")
    matrix = load_rules(tmp_path).escalation
    assert (matrix.tell("pods"), matrix.wait(2)) == (("bob", "eve"), timedelta(minutes=20))


@pytest.mark.parametrize("given", [CONTACTS, "pace: {1: 5m}\n"])
def test_each_is_given_once(tmp_path: Path, given: str) -> None:
    (tmp_path / "a.yaml").write_text(RULE + CONTACTS + "pace: {1: 5m}\n")
    (tmp_path / "b.yaml").write_text(given)
    with pytest.raises(RulesError, match=f"'{given.partition(':')[0]}' is given twice"):
        load_rules(tmp_path)


def test_a_matrix_that_cannot_be_read_is_one_mistake_and_not_one_of_every_rule(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(RULE)
    (tmp_path / "b.yaml").write_text(CONTACTS.replace("tell: [ada]", "tell: []"))
    with pytest.raises(RulesError) as caught:
        load_rules(tmp_path)
    assert len(caught.value.problems) == 1


def test_the_shipped_rules_name_rows_of_the_shipped_matrix_and_it_has_no_other() -> None:
    table = load_rules(shipped_rules())
    named = {rule.contact for rule in table.rules} | {one.contact for rule in table.rules for one in rule.depends_on}
    assert named - {""} | {"default"} == set(table.escalation.contacts)
