"""From records to a story: the short timeline, the facts, what was taken back. Tables over pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from remediator.export.content import TakenBack, gone_from
from remediator.export.facts import Recovery
from remediator.export.story import Story
from remediator.model import State
from remediator.reasons import Reason
from remediator.store.base import CommittedRecord
from tests.unit.export.stories import (
    CHECKS,
    PLAN,
    VERDICTS,
    at,
    planned,
    received,
    record,
    remediation,
    step,
    story,
    verified_story,
)


def told(one: Story) -> list[tuple[str, int | None]]:
    return [(event.title, event.follows) for event in one.timeline]


def test_the_short_timeline_tells_each_thing_once_and_what_it_followed_from() -> None:
    assert told(story()) == [
        ("Released", None),
        ("Began to fire", None),
        ("Diagnosed and planned", 2),
        ("Rolled back", 3),
        ("Verified", 4),
        ("Resolved", None),
    ]


def test_the_whole_timeline_is_every_record_in_order() -> None:
    assert [event.seq for event in story().whole] == [1, 2, 3, 4, 5, 6, 7]


def test_the_alert_stands_where_it_began_and_says_when_it_was_received() -> None:
    began = story().timeline[1]
    assert (began.at, began.detail) == (at(-5), "KubePodCrashLooping on shop/checkout-3-a, received 12:00:00Z")


def test_an_old_release_is_not_part_of_the_story() -> None:
    long_ago = {"kind": "rollout", "summary": "", "facts": {"started_at": at(-200).isoformat(), "revision": 3}}
    assert "Released" not in [title for title, _ in told(story(diagnoses={1: {"findings": [long_ago]}}))]


def held(seq: int, minutes: float, reason: str = "cooldown") -> CommittedRecord:
    return step(seq, minutes, "decision.held", reason=reason, detail=f"until then {minutes}", until=at(30).isoformat())


def test_a_wait_is_one_line_however_often_it_was_looked_at() -> None:
    records = [received(1)]
    for number in range(5):
        records += [step(10 * number + 2, number, "step.diagnosing"), planned(10 * number + 3, number)]
        records.append(held(10 * number + 4, number))
    waiting = remediation(state=State.HELD, reason=Reason.COOLDOWN)
    one = story(records, waiting, closed_at=None)
    assert [title for title, _ in told(one)] == ["Released", "Began to fire", "Diagnosed and planned", "Held"]
    assert (one.timeline[-1].times, one.timeline[-1].last_at) == (5, at(4))


def test_another_reason_to_wait_is_another_line() -> None:
    one = story([received(1), planned(2), held(3, 0), held(4, 1, "storm"), held(5, 2, "storm")], closed_at=None)
    assert [(event.reason, event.times) for event in one.timeline if event.title == "Held"] == [
        ("cooldown", 1),
        ("storm", 2),
    ]


def test_a_plan_that_changes_is_news() -> None:
    one = story([received(1), planned(2), held(3, 0), planned(4, 1, cause="image-error"), held(5, 1)], closed_at=None)
    assert [title for title, _ in told(one)].count("Diagnosed and planned") == 2


def test_an_intent_is_told_only_when_nothing_says_what_became_of_it() -> None:
    stopped = [received(1), planned(2), step(3, 0, "action.intent", action="rollback"), held(4, 0, "kill-switch")]
    assert "About to act" in [title for title, _ in told(story(stopped, closed_at=None))]
    assert "About to act" not in [title for title, _ in told(story())]


def test_alerts_of_one_name_that_begin_together_are_one_line() -> None:
    records = [received(1), received(2, began=-4.5, remediation=2), received(3, 10, began=10, remediation=3)]
    one = story(records, remediation(1), remediation(2), remediation(3), closed_at=None)
    assert [(event.times, event.at) for event in one.timeline if event.title == "Began to fire"] == [
        (2, at(-5)),
        (1, at(10)),
    ]


def test_what_waits_for_a_pause_followed_from_the_pause() -> None:
    said = {"what": "namespace", "subject": "shop", "by": "ada", "comment": "moving"}
    pause = record(2, -1, "pause.set", remediation=None, incident=None, **said)
    records = [received(1), planned(3), held(4, 0, "paused-by-person")]
    one = story(records, remediation(state=State.HELD), around=[pause], closed_at=None)
    titles = [title for title, _ in told(one)]
    assert one.timeline[titles.index("Held")].follows == titles.index("Paused") + 1
    assert [(event.by, event.detail) for event in one.people] == [("ada", "namespace shop: moving")]


def test_the_five_moments_and_the_time_to_recover() -> None:
    facts = story().facts
    assert (facts.began_at, facts.received_at, facts.decided_at) == (at(-5), at(0), at(0))
    assert (facts.acted_at, facts.recovered_at) == (at(0), at(2))
    assert facts.time_to_recover == timedelta(minutes=7)
    assert (facts.ending, facts.recovery) == ("Verified", Recovery.AFTER_ACTION)
    assert facts.well == "Well again 7m 00s after it began, after an action."


def cancelled(seq: int, minutes: float, number: int = 1) -> CommittedRecord:
    return step(seq, minutes, "decision.cancelled", remediation=number, reason="alert-resolved", detail="resolved")


def resolved(seq: int, minutes: float, number: int = 1) -> CommittedRecord:
    return record(seq, minutes, "alert.resolved", remediation=number, ends_at=at(minutes - 1).isoformat())


ALONE = remediation(state=State.CANCELLED, reason=Reason.ALERT_RESOLVED)
TOLD = remediation(state=State.RECOMMENDED, reason=Reason.MODE_SILENT)
FAILED = remediation(state=State.REVERTED, reason=Reason.NOT_VERIFIED)
DONE = [received(1), planned(2), step(3, 0, "action.applied", action="rollback", plan=PLAN)]
BAD = [*DONE, step(4, 9, "outcome.failed", evidence=CHECKS), step(5, 9, "outcome.reverted")]
GOOD = [*DONE, step(4, 2, "outcome.verified", evidence=CHECKS)]


@pytest.mark.parametrize(
    ("records", "remediations", "recovery", "minutes"),
    [
        ([received(1), resolved(2, 4), cancelled(3, 4)], [ALONE], Recovery.ALONE, 8),
        ([received(1), planned(2), cancelled(3, 4)], [ALONE], Recovery.ALONE, 9),
        ([received(1), planned(2), resolved(3, 31)], [TOLD], Recovery.AFTER_TOLD, 35),
        ([received(1), planned(2)], [TOLD], Recovery.NOT, None),
        (GOOD, [remediation()], Recovery.AFTER_ACTION, 7),
        (BAD, [FAILED], Recovery.NOT, None),
        ([*BAD, resolved(6, 21)], [FAILED], Recovery.AFTER_TOLD, 25),
        ([*GOOD, received(5, 3, began=3, remediation=2)], [remediation(), remediation(2)], Recovery.NOT, None),
        (
            [*GOOD, received(5, 3, began=3, remediation=2), resolved(6, 5, 2), cancelled(7, 5, 2)],
            [remediation(), remediation(2, state=State.CANCELLED, reason=Reason.ALERT_RESOLVED)],
            Recovery.AFTER_ACTION,
            7,
        ),
    ],
    ids=[
        "resolved while deciding",
        "resolved, as only we saw",
        "resolved after a recommendation",
        "goes on after a recommendation",
        "verified",
        "reverted",
        "reverted, resolved later",
        "verified, but another alert goes on",
        "verified, another alert went by itself",
    ],
)
def test_how_it_became_well_again(
    records: Sequence[CommittedRecord], remediations: Any, recovery: Recovery, minutes: float | None
) -> None:
    facts = story(records, *remediations).facts
    assert facts.recovery is recovery
    assert facts.time_to_recover == (None if minutes is None else timedelta(minutes=minutes))


def test_an_attempt_holds_cause_rows_guards_change_and_proof() -> None:
    [one] = story().attempts
    assert (one.cause, one.evidence) == ("code-error", ("checkout-3-a/app: exit 1 Error",))
    assert [(row.do, row.is_taken) for row in one.rows] == [("rollback", True), ("escalate", False)]
    assert isinstance(one.verdicts, tuple)
    assert [(answer.guard, answer.detail) for answer in one.verdicts] == [
        ("kill-switch", "released"),
        ("budgets", "0 of 1 per 1h used"),
    ]
    assert one.diff[-5:] == (
        " spec:",
        "   containers:",
        "-    - image: shop/checkout:1.5",
        "+    - image: shop/checkout:1.4",
        "       name: app",
    )
    assert one.undo == "kubectl -n shop rollout undo deployment/checkout --to-revision=3"
    assert isinstance(one.checks, tuple)
    assert [check.look for check in one.checks] == ["passed", "passed"]


def test_what_was_taken_back_again_names_the_records_and_no_command() -> None:
    undone = [*BAD[:4], step(5, 9, "revert.intent"), step(6, 9, "outcome.reverted")]
    [one] = story(undone, FAILED).attempts
    assert (one.undone_by, one.undo) == ((5, 6), "")


def test_the_rule_is_there_as_it_was_once_for_each_text_it_had() -> None:
    silent = {"name": "crash-loop", "mode": "silent"}
    records = [*verified_story(), planned(8, 5, rule_digest="e" * 64, rule_text=silent)]
    rules = story(records).rules
    assert [(rule.name, rule.digest[0], rule.text["mode"]) for rule in rules] == [  # type: ignore[index,call-overload]
        ("crash-loop", "d", "active"),
        ("crash-loop", "e", "silent"),
    ]


# -- what was taken back


def redacted(seq: int, of: int, *fields: str) -> CommittedRecord:
    return record(seq, 9, "audit.redacted", redacted=of, fields=list(fields), by="ada", comment="ticket 4711")


TAKEN = {
    "evidence": (planned(3, taken=["evidence"]), "evidence"),
    "verdicts": (step(3, 0, "action.intent", verdicts=VERDICTS, plan=PLAN, taken=["verdicts"]), "verdicts"),
    "plan": (step(3, 0, "action.applied", plan=PLAN, taken=["plan"]), "plan"),
    "checks": (step(3, 0, "outcome.verified", evidence=CHECKS, taken=["evidence"]), "checks"),
}


@pytest.mark.parametrize("what", TAKEN)
def test_a_value_that_was_taken_back_says_so_and_by_whom(what: str) -> None:
    """It is not missing: an empty list here would say that there was no evidence."""
    taken, name = TAKEN[what]
    fields = gone_from(taken)
    [one] = story([received(1), taken, redacted(9, 3, *fields)]).attempts
    value = getattr(one, name)
    assert isinstance(value, TakenBack)
    assert str(value) == "taken back by ada: ticket 4711"


def test_the_alert_s_own_words_are_read_from_the_log_and_not_from_the_row() -> None:
    [one] = story([received(1, taken=["annotations"]), redacted(9, 1, "annotations")]).attempts
    assert one.firing is not None
    assert isinstance(one.firing.annotations, TakenBack)


def test_a_diagnosis_that_went_with_its_evidence_is_said_to_be_gone() -> None:
    one = story([received(1), planned(2, taken=["evidence"]), redacted(9, 2, "evidence")], diagnoses={})
    assert isinstance(one.diagnoses[1], TakenBack)
    assert one.found == ()


def test_a_value_that_is_there_or_never_was_is_not_taken_back() -> None:
    """The control of the tests above."""
    assert gone_from(planned(3)) == ()
    assert gone_from(step(4, 0, "step.diagnosing")) == ()
    [one] = story().attempts
    assert isinstance(one.evidence, tuple)
    assert one.advice == ""


def test_records_of_another_version_do_not_break_the_story() -> None:
    odd = [
        received(1, starts_at="not a time"),
        planned(2, rows=[{"do": "rollback"}], evidence=None, rule_text=None),
        step(3, 0, "action.intent", verdicts=[{}], plan={}),
        step(4, 0, "outcome.verified", evidence={"pods-ready": {}}),
        step(5, 0, "something.new"),
    ]
    one = story(odd, diagnoses={1: {}})
    assert [event.kind for event in one.whole][-1] == "something.new"
    assert one.facts.began_at is None
