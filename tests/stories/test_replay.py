"""What the engine itself promises: the same story comes out the same, harm is seen, and what cannot happen is said."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.simulate.jumping import JumpClock
from remediator.simulate.outcome import outcome_of
from remediator.simulate.replay import Played, play
from remediator.simulate.stories import read_stories
from remediator.simulate.tables import table_of
from remediator.simulate.trial import tried
from tests.stories.written import crash
from tests.workloads import NOW

RANDOM = ("action_id", "seq", "salt")


def played(file: Path) -> Played:
    [placed] = read_stories(file)
    return asyncio.run(play(placed.story, table_of(placed)))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """What happens does not depend on what is expected."""
    return played(crash(tmp_path_factory.mktemp("once")))


def test_a_story_comes_out_the_same_each_time(tmp_path: Path) -> None:
    def told(one: Played) -> list[Any]:
        return [(record.at, record.kind, record.body.get("detail")) for record in one.records]

    file = crash(tmp_path)
    first, second = played(file), played(file)
    assert told(first) == told(second)
    assert first.writes == second.writes


def test_hours_pass_between_what_happens(tmp_path: Path) -> None:
    [outcome] = [record for record in played(crash(tmp_path)).records if record.kind == "outcome.verified"]
    assert timedelta(minutes=7) < outcome.at - datetime.fromisoformat("2026-11-23T12:00:00Z") < timedelta(minutes=8)


def test_a_write_that_nobody_expects_is_harm(tmp_path: Path) -> None:
    [placed] = read_stories(crash(tmp_path, writes=""))
    trial = tried(placed)
    assert list(trial.harm) == ["patch deployments shop/checkout"]
    assert [one.field for one in trial.differences] == ["writes"]
    assert "harm, nobody expected: 5m  patch deployments shop/checkout" in trial.differences[0].because


def test_a_write_that_does_not_come_is_missed(tmp_path: Path) -> None:
    [placed] = read_stories(crash(tmp_path, writes="'patch deployments shop/checkout', 'patch deployments shop/cart'"))
    trial = tried(placed)
    assert (list(trial.harm), trial.differences[0].because) == ([], "not done: patch deployments shop/cart")


@pytest.mark.parametrize(
    ("expect", "field", "got"),
    [
        ("rule: other", "rule", "crash-loop"),
        ("severity: 3", "severity", "1"),
        ("cause: load", "cause", "code-error"),
        ("does: evict", "does", "rollback"),
        ("decision: hold", "decision", "act"),
        ("reason: storm", "reason", "-"),
        ("guard: storm", "guard", "-"),
        ("state: held", "state", "verified"),
        ("contact: nobody", "contact", "pods"),
        ("detail: nothing of the kind", "detail", "something else"),
        ("count: 2", "alerts", "1"),
        ("alert: Other", "alerts", "0"),
        ("of: shop/other", "alerts", "0"),
        ("began: 1h", "alerts", "0"),
        ("at: 4m", "alerts", "0"),
    ],
)
def test_every_expectation_can_fail(tmp_path: Path, once: Played, expect: str, field: str, got: str) -> None:
    [placed] = read_stories(crash(tmp_path, expect=expect))
    [difference] = outcome_of(placed.story, once, table_of(placed)).differences
    assert (difference.field, difference.got) == (field, got)
    assert field == "alerts" or "default.yaml:" in difference.because


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ("{at: 1m, approve: {alert: A}}", "nothing waits for an approval of A"),
        ("{at: 1m, resolve: {alert: A}}", "no alert A fires"),
        ("{at: 1m, node: {name: node-9, ready: false}}", "there is no node node-9"),
        ("{at: 1m, pause: {}}", "exactly one rule, namespace or target"),
        ("{at: 1m, undo: shop/none}", "not found"),
        ("{at: 0s, break: {of: shop/checkout, how: crash, pods: 9}}", "3 pods that can break, not 9"),
    ],
)
def test_what_cannot_happen_is_said(tmp_path: Path, event: str, said: str) -> None:
    file = crash(tmp_path)
    file.write_text(file.read_text().replace("events:\n", f"events:\n  - {event}\n"), encoding="utf-8")
    [placed] = read_stories(file)
    assert said in tried(placed).problem


class Steps:
    """A world with one moment ahead."""

    def __init__(self, due: datetime) -> None:
        self.due: datetime | None = due
        self.seen: list[datetime] = []
        self.clock = JumpClock(NOW)
        self.clock.world = self

    def pass_time(self) -> None:
        self.seen.append(self.clock.now())
        if self.due is not None and self.due <= self.clock.now():
            self.due = None


async def test_the_clock_stops_where_something_happens() -> None:
    steps = Steps(NOW + timedelta(seconds=20))
    await steps.clock.sleep(60)
    assert steps.seen == [NOW + timedelta(seconds=20), NOW + timedelta(seconds=60)]
    assert steps.clock.now() == NOW + timedelta(seconds=60)


async def test_what_is_due_at_once_takes_a_second() -> None:
    steps = Steps(NOW)
    assert steps.clock.next_after([NOW + timedelta(hours=1)]) == NOW + timedelta(seconds=1)
    steps.clock.move_to(NOW - timedelta(hours=1))
    assert (steps.seen, steps.clock.now()) == ([], NOW)
