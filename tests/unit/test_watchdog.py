"""The watchdog as a decision: what is it, when is it missing, and which resolutions does it confirm."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from remediator.authority import UNLIMITED, Authority
from remediator.clock import SystemClock
from remediator.errors import ConfigError
from remediator.model import AlertStatus
from remediator.rules.automaton import compile_pattern
from remediator.store.database import Database
from remediator.store.opening import open_database
from remediator.store.watchdog_base import Heard
from remediator.watchdog import Patience, Turns, Watchdog, absence_of, doubt_of, watchdog_matchers
from tests.unit.store.examples import NOW, STARTED, firing, resolved
from tests.workloads import alert

MINUTE = timedelta(minutes=1)
PATIENCE = Patience(absent_after=15 * MINUTE, confirm_after=2 * MINUTE)
BARKS = alert(labels={"alertname": "Watchdog", "severity": "none"})
ENDS = alert(labels=BARKS.labels, status=AlertStatus.RESOLVED)


def heard(seen: int, resolved: int | None = None) -> Heard:
    """Last seen so many minutes ago, and reported as resolved so many."""
    at = None if resolved is None else NOW - resolved * MINUTE
    return Heard(NOW - seen * MINUTE, at, NOW - seen * MINUTE - PATIENCE.confirm_after)


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (heard(1), None),
        (heard(15), None),
        (heard(16), "not been heard for 16m"),
        (heard(1, resolved=2), None),
        (heard(2, resolved=1), "reported as resolved"),
    ],
)
def test_it_is_missing_when_it_is_silent_or_resolved(last: Heard, told: str | None) -> None:
    found = absence_of(last, NOW, after=PATIENCE.absent_after)
    assert found is None if told is None else found is not None and told in found


@pytest.mark.parametrize(("resolved_ago", "is_believed"), [(10, True), (3, True), (2, False), (0, False)])
def test_it_confirms_what_was_resolved_long_enough_before_it_fired(resolved_ago: int, is_believed: bool) -> None:
    """It fired a minute ago: of what was resolved shortly before, its lease may only end later."""
    assert (doubt_of(heard(1), NOW - resolved_ago * MINUTE) is None) is is_believed


@pytest.mark.parametrize(
    ("group", "repeat", "is_often", "is_fresh"),
    [(0.5, 2, True, True), (0.5, 6.9, True, True), (0.5, 7, False, True), (1.9, 5, True, True), (2, 5, True, False)],
)
def test_a_route_brings_it_twice_before_it_is_missed_and_while_it_is_news(
    group: float, repeat: float, is_often: bool, is_fresh: bool
) -> None:
    turns = Turns(group * MINUTE, repeat * MINUTE)
    assert (PATIENCE.is_often_enough(turns), PATIENCE.is_fresh_enough(turns)) == (is_often, is_fresh)


@pytest.mark.parametrize("absent", [8, 61, 900, 86400])
@pytest.mark.parametrize("confirm", [3, 120, 3600])
def test_the_turns_that_fit_a_patience_do(absent: int, confirm: int) -> None:
    patience = Patience(timedelta(seconds=absent), timedelta(seconds=confirm))
    turns = patience.fitting()
    assert patience.is_often_enough(turns)
    assert patience.is_fresh_enough(turns)
    assert turns.repeat >= turns.group >= timedelta(seconds=1)


@pytest.mark.parametrize("text", ["severity=none", 'alertname=~".*"', 'alertname=""', 'alertname!="Watchdog"', "a=b{"])
def test_matchers_that_would_swallow_other_alerts_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="watchdog"):
        watchdog_matchers(text)


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    database = await open_database("sqlite:///:memory:", clock=SystemClock())
    yield database
    await database.close()


def watchdog(store: Database) -> Watchdog:
    return Watchdog(store.watchdog, watchdog_matchers('alertname="Watchdog"'), patience=PATIENCE)


async def test_it_is_taken_out_of_what_begins_incidents(store: Database) -> None:
    other = alert()
    assert watchdog(store).split([BARKS, other, ENDS], UNLIMITED) == ([other], [BARKS, ENDS])


async def test_who_may_speak_of_some_namespaces_cannot_vouch_for_the_path(store: Database) -> None:
    one = alert(labels={**BARKS.labels, "namespace": "shop"})
    limited = Authority(namespaces=compile_pattern("shop"))
    assert watchdog(store).split([one], limited) == ([one], ())
    assert watchdog(store).split([one], Authority(rules=compile_pattern("a"))) == ([], [one])


async def test_none_is_awaited_before_the_first_one_fired(store: Database) -> None:
    one = watchdog(store)
    await one.heard([ENDS], at=NOW)
    assert await one.absence(NOW + timedelta(days=1)) is None
    await store.accept([firing(1)], at=NOW)
    await store.accept([resolved(1)], at=NOW)
    assert await one.unconfirmed(firing(1).fingerprint, STARTED) is None


async def test_one_that_fires_is_enough_of_several(store: Database) -> None:
    one = watchdog(store)
    await one.heard([ENDS, BARKS], at=NOW)
    assert await one.absence(NOW) is None


async def test_it_is_remembered_until_it_is_forgotten_on_purpose(store: Database) -> None:
    """Another process on the same database knows it; an operator who gives it up has what was before it."""
    await watchdog(store).heard([BARKS], at=NOW)
    assert await watchdog(store).absence(NOW + timedelta(hours=1)) is not None
    await store.watchdog.forget()
    assert await watchdog(store).absence(NOW + timedelta(hours=1)) is None


async def test_an_older_word_does_not_turn_it_back(store: Database) -> None:
    one = watchdog(store)
    await one.heard([BARKS], at=NOW)
    await one.heard([BARKS], at=NOW - MINUTE)
    last = await one.last()
    assert last is not None
    assert last.seen_at == NOW


async def test_a_resolution_is_confirmed_by_the_watchdog_after_it(store: Database) -> None:
    one, fingerprint = watchdog(store), firing(1).fingerprint
    await one.heard([BARKS], at=NOW)
    await store.accept([firing(1)], at=NOW)
    assert await one.unconfirmed(fingerprint, STARTED) is None, "not resolved"
    await store.accept([resolved(1)], at=NOW + MINUTE)
    assert await one.unconfirmed(fingerprint, STARTED) is not None
    await one.heard([BARKS], at=NOW + 2 * MINUTE)
    assert await one.unconfirmed(fingerprint, STARTED) is not None, "its lease may just not have ended yet"
    await one.heard([BARKS], at=NOW + 3 * MINUTE)
    assert await one.unconfirmed(fingerprint, STARTED) is None
