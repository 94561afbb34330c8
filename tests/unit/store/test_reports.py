"""What reports are made of, from a real store: what came, what was done, what waits, and in bounded time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from remediator.clock import SystemClock
from remediator.model import Mode, Outcome, State
from remediator.reasons import Reason
from remediator.store import reports
from remediator.store.base import Change, Record
from remediator.store.database import Database
from remediator.store.opening import open_database
from remediator.store.reports_base import Step
from tests.unit.store.examples import LEASE, NOW, firing, plan, resolved, target

DAY = timedelta(days=1)


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Database]:
    one = await open_database(database_url, clock=SystemClock())
    yield one
    await one.close()


async def lived(store: Database, number: int, *states: State, hours: float = 0, **change: object) -> None:
    """One alert brought through these states, an hour's minute each."""
    at = NOW + timedelta(hours=hours)
    await store.accept([firing(number, starts_at=at - timedelta(minutes=5))], at=at)
    [mine] = await store.claim(owner="w", at=at, lease=LEASE, limit=1)
    on = target(f"api-{number}")
    known = Change(target=on, rule="crash-loop", severity=2, mode=Mode.ACTIVE)
    mine = await store.advance(mine, to=State.DIAGNOSING, record=Record("step.diagnosing", {}), at=at, change=known)
    for state in states:
        told = Record(KINDS.get(state, "step.planned"), {"reason": change.get("reason", ""), "detail": "because"})
        parts = {"plan": plan(on)} if state is State.PLANNED else {}
        if state not in (State.PLANNED, State.ACTING, State.VERIFYING, State.VERIFIED):
            parts |= change
        mine = await store.advance(mine, to=state, record=told, at=at, change=Change(**parts))  # type: ignore[arg-type]


KINDS = {
    State.HELD: "decision.held",
    State.ACTING: "action.intent",
    State.VERIFYING: "action.applied",
    State.VERIFIED: "outcome.verified",
    State.RECOMMENDED: "decision.recommended",
}
DONE = (State.PLANNED, State.ACTING, State.VERIFYING, State.VERIFIED)


async def test_what_came_says_how_it_stands_and_when_it_ended(store: Database) -> None:
    await lived(store, 1, *DONE)
    await lived(store, 2, State.RECOMMENDED, reason=Reason.STORM)
    await store.accept([resolved(2, starts_at=NOW - timedelta(minutes=5))], at=NOW + timedelta(minutes=9))
    one, two = await store.reports.came(NOW - DAY, NOW + DAY)
    assert (one.incident, one.alert, one.rule, one.state) == (1, "KubePodCrashLooping", "crash-loop", "verified")
    assert (one.target, one.severity, one.mode) == ("shop/deployment/api-1", 2, "active")
    assert (one.began_at, one.received_at, one.resolved_at) == (NOW - timedelta(minutes=5), NOW, None)
    assert (two.reason, two.resolved_at) == ("storm", NOW - timedelta(minutes=1))


async def test_only_what_came_in_the_time_is_there_in_pages(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "PAGE", 2)
    for number in range(9):
        await lived(store, number, State.RECOMMENDED, hours=number)
    found = await store.reports.came(NOW + timedelta(hours=2), NOW + timedelta(hours=7))
    assert [one.remediation for one in found] == [3, 4, 5, 6, 7]
    steps = await store.reports.steps(NOW + timedelta(hours=2), NOW + timedelta(hours=7), ["decision.recommended"])
    assert [one.remediation for one in steps] == [3, 4, 5, 6, 7]


async def test_steps_are_of_the_kinds_asked_and_a_wait_says_why(store: Database) -> None:
    await lived(store, 1, State.HELD, reason=Reason.COOLDOWN, due_at=NOW + DAY)
    await lived(store, 2, *DONE)
    found = await store.reports.steps(NOW - DAY, NOW + DAY, ["decision.held", "outcome.verified"])
    assert list(found) == [Step(1, "decision.held", NOW, "cooldown"), Step(2, "outcome.verified", NOW, "")]


async def test_the_ledger_tells_what_was_done_and_what_it_led_to(store: Database) -> None:
    await lived(store, 1, *DONE)
    await lived(store, 2, State.PLANNED, State.ACTING)
    await lived(store, 3, State.PLANNED, State.ACTING, State.DIAGNOSING)  # it was not done after all
    found = await store.reports.debited(NOW - DAY, NOW + DAY)
    assert [(one.remediation, one.outcome, one.target) for one in found] == [
        (1, Outcome.VERIFIED, "shop/deployment/api-1"),
        (2, None, "shop/deployment/api-2"),
    ]
    assert await store.reports.debited(NOW + DAY, NOW + 2 * DAY) == []


async def test_what_waits_says_why_and_until_when(store: Database) -> None:
    until = NOW + timedelta(minutes=7)
    await lived(store, 1, State.HELD, reason=Reason.COOLDOWN, due_at=until)
    await lived(store, 2, *DONE)
    [one] = await store.reports.waiting(limit=10)
    assert (one.remediation, one.incident, one.state, one.reason) == (1, 1, "held", "cooldown")
    assert (one.detail, one.rule, one.target, one.until) == ("because", "crash-loop", "shop/deployment/api-1", until)


async def test_records_are_counted_and_told_newest_first(store: Database) -> None:
    for number in range(4):
        await lived(store, number, State.RECOMMENDED)
    counted = await store.reports.counted(NOW - DAY, NOW + DAY)
    assert counted == {"alert.received": 4, "step.diagnosing": 4, "decision.recommended": 4}
    told = await store.reports.told(NOW - DAY, NOW + DAY, ["decision.recommended"], limit=2)
    assert [record.remediation_id for record in told] == [4, 3]


@pytest.mark.parametrize("column", ["remediations.plan", "remediations.diagnosis", "remediations.progress"])
def test_a_month_reads_no_large_column_of_a_remediation(column: str) -> None:
    """Nor one that stands behind them in the row: SQLite would read through all of them to get there."""
    text = str(reports._CAME)
    assert column not in text
    assert "remediations.created_at" not in text
    assert "remediations.rule" in text  # the control: the text names its columns so
