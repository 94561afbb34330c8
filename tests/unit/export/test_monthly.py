"""A month, counted: tables over pure functions, each definition with a case on both sides of its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from remediator.export.facts import Recovery
from remediator.export.monthly import Monthly, monthly_of, rank
from remediator.export.monthly_report import monthly_report, next_month
from remediator.export.suggestions import suggestions_of
from remediator.model import Outcome, State
from remediator.reasons import Reason
from remediator.store.reports_base import Came, Debited, Step
from tests.unit.export.stories import NOON, at


def came(number: int, minutes: float = 0, **changes: Any) -> Came:
    facts: dict[str, Any] = {
        "remediation": number,
        "incident": number,
        "alert": "KubePodCrashLooping",
        "rule": "crash-loop",
        "state": State.RECOMMENDED.value,
        "reason": "",
        "mode": "active",
        "severity": 1,
        "target": f"shop/deployment/web-{number}",
        "began_at": at(minutes - 5),
        "received_at": at(minutes),
        "resolved_at": None,
    }
    return Came(**{**facts, **changes})


def step(number: int, minutes: float, kind: str, reason: str = "") -> Step:
    return Step(number, kind, at(minutes), reason)


def acted(number: int, minutes: float = 0, outcome: Outcome | None = Outcome.VERIFIED, **changes: Any) -> Debited:
    facts: dict[str, Any] = {
        "remediation": number,
        "incident": number,
        "rule": "crash-loop",
        "action": "rollback",
        "target": f"shop/deployment/web-{number}",
        "at": at(minutes),
        "outcome": outcome,
        "is_shadow": False,
    }
    return Debited(**{**facts, **changes})


def month(
    alerts: Sequence[Came], steps: Sequence[Step] = (), actions: Sequence[Debited] = ()
) -> Monthly:
    begin = NOON.replace(day=1, hour=0)
    return monthly_of(alerts, steps, actions, begin=begin, end=begin.replace(month=12))


def test_a_rule_s_month_in_numbers() -> None:
    alerts = [
        came(1, state=State.VERIFIED.value),
        came(2, state=State.REVERTED.value, reason="not-verified"),
        came(3, state=State.HELD.value, reason="cooldown"),
        came(4, rule="other"),
    ]
    steps = [
        step(1, 2, "outcome.verified"),
        step(2, 10, "outcome.reverted"),
        step(3, 0, "decision.held", "cooldown"),
        step(3, 1, "decision.held", "cooldown"),
    ]
    actions = [acted(1), acted(2, outcome=Outcome.FAILED), acted(4, rule="other", is_shadow=True, outcome=None)]
    found = month(alerts, steps, actions)
    [one, other] = found.rules
    assert (one.rule, one.alerts, one.incidents, one.actions) == ("crash-loop", 3, 3, 2)
    assert (one.verified, one.failed, one.unknown, one.reverted, one.would_have) == (1, 1, 0, 1, 0)
    assert dict(one.held) == {"cooldown": 2}
    assert (other.rule, other.actions, other.would_have) == ("other", 0, 1)
    assert (found.whole.alerts, found.whole.actions) == (4, 2)


def test_an_action_without_an_outcome_is_open_and_not_settled() -> None:
    [one] = month([came(1)], [], [acted(1, outcome=None)]).rules
    assert (one.actions, one.settled) == (1, 0)


@pytest.mark.parametrize(
    ("alerts", "steps", "actions", "recovery", "minutes"),
    [
        ([came(1)], [step(1, 2, "outcome.verified")], [acted(1)], Recovery.AFTER_ACTION, 7),
        ([came(1)], [step(1, 2, "outcome.temporary")], [acted(1)], Recovery.AFTER_ACTION, 7),
        ([came(1)], [], [acted(1, outcome=Outcome.FAILED)], Recovery.NOT, None),
        ([came(1, resolved_at=at(20))], [], [acted(1, outcome=Outcome.FAILED)], Recovery.AFTER_TOLD, 25),
        ([came(1, resolved_at=at(20))], [], [], Recovery.AFTER_TOLD, 25),
        (
            [came(1, state="cancelled", reason="alert-resolved", resolved_at=at(3))],
            [],
            [],
            Recovery.ALONE,
            8,
        ),
        (
            [came(1), came(2, 6, incident=1)],
            [step(1, 2, "outcome.verified")],
            [acted(1)],
            Recovery.NOT,
            None,
        ),
    ],
    ids=["verified", "for a time", "failed", "failed, resolved", "told, resolved", "alone", "a later alert goes on"],
)
def test_how_an_incident_became_well(
    alerts: Sequence[Came],
    steps: Sequence[Step],
    actions: Sequence[Debited],
    recovery: Recovery,
    minutes: float | None,
) -> None:
    [one] = month(alerts, steps, actions).rules
    assert dict(one.recovered) == {recovery.value: 1}
    assert one.median_to_recover == (None if minutes is None else timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("values", "median", "ninth"),
    [([], None, None), ([1], 1, 1), ([1, 2], 1, 2), ([1, 2, 3], 2, 3), (list(range(1, 21)), 10, 18)],
)
def test_the_median_and_the_slowest_tenth_by_rank(values: list[int], median: int | None, ninth: int | None) -> None:
    lengths = [timedelta(minutes=value) for value in values]
    assert rank(lengths, 0.5) == (None if median is None else timedelta(minutes=median))
    assert rank(lengths, 0.9) == (None if ninth is None else timedelta(minutes=ninth))


@pytest.mark.parametrize(("incidents", "is_offender"), [(2, False), (3, True)])
def test_the_third_incident_of_a_target_makes_it_a_repeat_offender(incidents: int, is_offender: bool) -> None:
    alerts = [came(n, target="shop/deployment/web") for n in range(incidents)]
    found = month(alerts, [], [acted(0, target="shop/deployment/web")])
    assert [(one.target, one.incidents, one.actions) for one in found.offenders] == (
        [("shop/deployment/web", incidents, 1)] if is_offender else []
    )


@pytest.mark.parametrize(
    ("alone", "no_rule", "others", "is_noise"), [(2, 1, 2, True), (2, 0, 3, False), (3, 1, 0, False)]
)
def test_an_alert_that_mostly_comes_to_nothing_is_noise(alone: int, no_rule: int, others: int, is_noise: bool) -> None:
    gone = {"state": State.CANCELLED.value, "reason": Reason.ALERT_RESOLVED.value}
    none = {"state": State.DECLINED.value, "reason": Reason.NO_RULE.value, "rule": ""}
    kinds = [gone] * alone + [none] * no_rule + [{}] * others
    found = month([came(n, **kind) for n, kind in enumerate(kinds)])
    assert [(one.alone, one.no_rule, one.episodes) for one in found.noise] == (
        [(alone, no_rule, alone + no_rule + others)] if is_noise else []
    )


PLANNED = step(1, 0, "step.planned")


@pytest.mark.parametrize(
    ("alert", "steps", "actions", "by"),
    [
        (came(1, reason="storm", resolved_at=at(30)), [PLANNED], [], "storm"),
        (came(1, reason="storm", resolved_at=at(61)), [PLANNED], [], None),
        (came(1, reason="storm"), [PLANNED], [], None),
        (came(1, reason="storm", resolved_at=at(30)), [], [], None),
        (came(1, reason="storm", resolved_at=at(30)), [PLANNED], [acted(1)], None),
        (came(1, reason="mode-silent", resolved_at=at(30)), [PLANNED], [], None),
        (came(1, reason="approval-denied", resolved_at=at(30)), [PLANNED], [], "approval-denied"),
        (
            came(1, reason="alert-resolved", resolved_at=at(30)),
            [PLANNED, step(1, 1, "decision.held", "cooldown")],
            [],
            "cooldown",
        ),
        (
            came(1, reason="kill-switch"),
            [PLANNED, step(1, 0, "action.intent"), step(1, 0, "decision.held", "kill-switch")],
            [],
            "kill-switch",
        ),
    ],
    ids=[
        "stopped, and it went",
        "it went too late",
        "it goes on",
        "nothing was planned",
        "it was done later",
        "only the mode",
        "a person said no",
        "held, and it went",
        "between intent and write",
    ],
)
def test_a_near_miss_is_what_was_stopped_and_was_not_needed(
    alert: Came, steps: Sequence[Step], actions: Sequence[Debited], by: str | None
) -> None:
    found = month([alert], steps, actions).near_misses
    assert [one.stopped_by for one in found] == ([] if by is None else [by])


# -- what it suggests


def said(found: Monthly) -> list[tuple[str, str]]:
    return [(one.about, one.because) for one in suggestions_of(found)]


@pytest.mark.parametrize(
    ("outcomes", "is_said"),
    [
        ([Outcome.VERIFIED, Outcome.FAILED], False),
        ([Outcome.VERIFIED, Outcome.VERIFIED, Outcome.FAILED], False),
        ([Outcome.VERIFIED, Outcome.UNKNOWN, Outcome.FAILED], True),
    ],
)
def test_a_rule_whose_actions_do_not_help_is_to_ask_first(outcomes: Sequence[Outcome], is_said: bool) -> None:
    found = month([came(n) for n in range(len(outcomes))], [], [acted(n, outcome=o) for n, o in enumerate(outcomes)])
    assert said(found) == ([("crash-loop", "1 of 3 actions verified")] if is_said else [])


def test_a_silent_rule_that_would_have_acted_often_may_be_promoted() -> None:
    shadows = [acted(n, is_shadow=True, outcome=None) for n in range(5)]
    found = month([came(n) for n in range(5)], [], shadows)
    assert said(found) == [("crash-loop", "would have acted 5 times; only the mode forbade it")]
    assert said(month([came(n) for n in range(5)], [], shadows[:4])) == []


def test_offenders_noise_budgets_and_missing_evidence_are_named_with_their_numbers() -> None:
    alerts = [came(n, target="shop/deployment/web", reason=Reason.FACT_MISSING.value) for n in range(3)]
    alerts += [came(n, alert="Noise", rule="", reason=Reason.NO_RULE.value, target="") for n in range(10, 15)]
    steps = [step(0, n, "decision.held", Reason.LIMIT_USED.value) for n in range(3)]
    assert said(month(alerts, steps)) == [
        ("shop/deployment/web", "3 incidents, no action"),
        ("Noise", "5 of 5 came to nothing (0 went alone, 5 without a rule)"),
        ("crash-loop", "held 3 times with its budgets used up"),
        ("crash-loop", "3 times fact-missing"),
    ]


def test_approvals_that_nobody_gave_are_named_and_denied_ones_are_an_answer() -> None:
    alerts = [came(n, state=State.EXPIRED, reason=Reason.APPROVAL_EXPIRED.value) for n in range(3)]
    assert said(month(alerts, [])) == [("crash-loop", "3 decisions ran out")]
    denied = [came(n, state=State.CANCELLED, reason=Reason.APPROVAL_DENIED.value) for n in range(3)]
    assert said(month(denied, [])) == []


def test_a_quiet_month_suggests_nothing_and_says_so_in_every_section() -> None:
    report = monthly_report(month([]), made_at=NOON, version="1.2.3")
    assert report.title == "November 2026"
    assert all(not section.rows and section.empty for section in report.sections)


def test_the_month_after_december_is_january() -> None:
    assert next_month(NOON.replace(month=12, day=1)).isoformat() == "2027-01-01T12:00:00+00:00"
