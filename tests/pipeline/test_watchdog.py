"""What a missing watchdog changes on the way of an alert: nothing that is only not heard of is believed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remediator.model import AlertStatus, Mode, State
from remediator.reasons import Reason
from remediator.rules.ruleset import rule_set
from tests.pipeline.world import PATIENCE, World, rule, world
from tests.workloads import NOW, alert

WATCHED: dict[str, Any] = {"patience": PATIENCE}


async def resolve(one: World) -> None:
    await one.receive(replace(alert(), status=AlertStatus.RESOLVED, ends_at=NOW))


async def test_what_was_resolved_is_held_until_the_watchdog_confirms_it() -> None:
    async with world(**WATCHED) as one:
        await one.bark()
        await one.receive()
        await resolve(one)
        assert await one.one_pass() is State.HELD
        assert (await one.last_body())["reason"] == Reason.RESOLVED_UNCONFIRMED
        one.clock.jump(minutes=3)
        await one.bark()
        assert await one.one_pass() is State.CANCELLED
        assert not one.shop.writes()


async def test_nothing_is_done_for_it_and_it_ends_in_time() -> None:
    """Prometheus is dead for good: the resolution still forbids to act, and nobody waits for ever."""
    async with world(**WATCHED) as one:
        await one.bark()
        await one.receive()
        await resolve(one)
        assert await one.run(minutes=70) is State.EXPIRED
        assert (await one.last_body())["reason"] == Reason.RESOLVED_UNCONFIRMED
        assert not one.shop.writes()


async def test_without_a_watchdog_a_resolution_counts_at_once() -> None:
    """The control of the above: as it was before there was one, and as it is where none ever came."""
    async with world(**WATCHED) as one:
        await one.receive()
        await resolve(one)
        assert await one.one_pass() is State.CANCELLED


async def test_an_approval_is_not_asked_in_vain() -> None:
    """What waits for a person is looked at again, and not given up because Prometheus died."""
    async with world(mode=Mode.APPROVE, **WATCHED) as one:
        await one.bark()
        await one.receive()
        assert await one.run(until=lambda state: state is State.AWAITING_APPROVAL) is State.AWAITING_APPROVAL
        await resolve(one)
        assert await one.one_pass() is State.HELD


@pytest.mark.parametrize(("barks_on", "expected"), [(True, State.VERIFIED), (False, State.ESCALATED)])
async def test_that_nothing_fires_proves_nothing_while_it_is_missing(barks_on: bool, expected: State) -> None:
    """The rollback helped, and its alert is clear; with a way of alerts that is cut, nobody knows what else fires."""
    async with world(**WATCHED) as one:
        await one.bark()
        await one.receive()
        assert await one.run(until=lambda state: state is State.VERIFYING) is State.VERIFYING
        if not barks_on:
            one.clock.jump(seconds=1)
            await one.bark(fires=False)
        for _ in range(300):
            if barks_on:
                await one.bark()
            await one.one_pass()
            one.clock.jump(seconds=5)
        kinds = await one.kinds()
        assert ("outcome.verified" in kinds) is (expected is State.VERIFIED)
        if not barks_on:
            unknown = [record for record in await one.ours() if record.kind == "outcome.unknown"]
            assert "watchdog was reported as resolved" in str(unknown[0].body)


async def test_people_stay_called_until_the_watchdog_confirms_that_it_is_over() -> None:
    async with world(rules=rule_set([rule(respond=[{"do": "escalate"}])]), **WATCHED) as one:
        await one.bark()
        await one.receive()
        assert await one.run() is State.ESCALATED
        one.clock.jump(seconds=5)
        await resolve(one)
        assert len(await one.database.escalations()) == 1
        one.clock.jump(minutes=1)
        await one.bark()
        assert len(await one.database.escalations()) == 1, "too early to be sure"
        one.clock.jump(minutes=2)
        await one.bark()
        assert await one.database.escalations() == []


async def test_people_are_let_go_at_once_where_none_is_awaited() -> None:
    async with world(rules=rule_set([rule(respond=[{"do": "escalate"}])])) as one:
        await one.receive()
        assert await one.run() is State.ESCALATED
        await resolve(one)
        assert await one.database.escalations() == []
