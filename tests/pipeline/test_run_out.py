"""What runs out of its time calls people where it was not to wait: approvals, holds, and what nobody could decide."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.authority import UNLIMITED
from remediator.clock import rfc3339
from remediator.guards.freeze import Freeze
from remediator.journal import Journal
from remediator.kube.base import Unreachable
from remediator.model import AlertStatus, Mode, Outcome, State
from remediator.pipeline import admit, remediate
from remediator.reasons import Reason
from remediator.store.approvals_base import Approval
from remediator.store.base import KillSwitch, LostClaim
from tests.pipeline.contacts import table, the_one
from tests.pipeline.history import (
    Way,
    acted_before,
    nodes_lost,
    not_listed,
    shop_paused,
    silenced,
)
from tests.pipeline.world import DEPLOYMENT, LEASE, World, world
from tests.workloads import NOW, alert


@pytest.mark.parametrize("severity", [1, 2])
async def test_an_approval_that_nobody_gave_calls_the_contact_of_its_rule(severity: int) -> None:
    """It was to be done at once, and is not: whoever was asked did not see it."""
    async with world(rules=table(severity=severity), mode=Mode.APPROVE) as one:
        await one.receive()
        assert await one.run() is State.EXPIRED
        called = await the_one(one)
        assert (called.contact, called.told, called.severity) == ("pods", "ada", severity)
        assert called.reason is Reason.APPROVAL_EXPIRED
        assert "would roll back shop/deployment/checkout" in called.detail
        assert [record.kind for record in await one.told()] == ["escalation.opened"]


@pytest.mark.parametrize("ends", ["slow", "denied", "resolved"])
async def test_of_an_approval_that_may_wait_or_was_denied_or_is_over_nobody_is_called(ends: str) -> None:
    """The negative controls: severity 3 was watched before it asked."""
    slow = {"severity": 3} if ends == "slow" else {}
    async with world(rules=table(**slow), mode=Mode.APPROVE) as one:
        await one.receive()
        await one.run(until=lambda state: state is State.AWAITING_APPROVAL)
        [waiting] = await one.database.awaiting()
        if ends == "denied":
            said = Approval(waiting.remediation, waiting.request["plan_hash"], False, "ada", "no", one.clock.now())
            await one.database.answer(said)
        elif ends == "resolved":
            await one.receive(alert(status=AlertStatus.RESOLVED))
        assert await one.run() is (State.EXPIRED if ends == "slow" else State.CANCELLED)
        assert await one.told() == []


async def test_an_approval_that_nobody_gave_is_told_once_by_whoever_has_the_claim() -> None:
    """A replica that was paused between its claim and the commit finds that another has it."""
    async with world(rules=table(), mode=Mode.APPROVE) as one:
        await one.receive()
        await one.run(until=lambda state: state is State.AWAITING_APPROVAL)
        one.clock.jump(minutes=16)
        [paused] = await one.claim()
        one.clock.jump(seconds=LEASE.total_seconds() + 1)
        assert await one.one_pass() is State.EXPIRED
        with pytest.raises(LostClaim):
            await remediate(Journal(paused, store=one.database, clock=one.clock, rules=one.rules), one.parts)
        assert [record.kind for record in await one.told()] == ["escalation.opened"]


async def engage(one: World, *, engaged: bool = True) -> None:
    await one.database.set_kill_switch(KillSwitch(engaged, "a test", "me", one.clock.now(), None))


async def switched_off(one: World) -> None:
    await engage(one)
    await one.receive()


@pytest.mark.parametrize("severity", [1, 2])
@pytest.mark.parametrize("mode", [Mode.ACTIVE, Mode.APPROVE])
async def test_what_is_held_back_until_its_time_is_over_calls_the_contact_of_its_rule(
    severity: int, mode: Mode
) -> None:
    async with world(rules=table(severity=severity), mode=mode) as one:
        await switched_off(one)
        assert await one.run() is State.EXPIRED
        called = await the_one(one)
        assert (called.contact, called.told, called.severity) == ("pods", "ada", severity)
        assert called.reason is Reason.KILL_SWITCH
        assert called.detail.startswith("no decision to act within 1h; last: kill-switch; would roll back shop/")
        assert [record.kind for record in await one.told()] == ["escalation.opened"]


@pytest.mark.parametrize(
    ("way", "reason"),
    [(acted_before(Outcome.VERIFIED), Reason.LIMIT_USED), (shop_paused, Reason.PAUSED_BY_PERSON)],
    ids=["limit", "pause"],
)
async def test_whatever_holds_it_back_is_named_to_who_is_called(way: Way, reason: Reason) -> None:
    async with world(rules=table(limits=["1 per 1d"])) as one:
        await way(one)
        assert await one.run() is State.EXPIRED
        assert (await the_one(one)).reason is reason


async def test_a_hold_of_a_day_is_told_when_the_time_to_decide_is_over_and_not_when_it_ends() -> None:
    rules = replace(table(), freezes=(Freeze(name="release"),))
    async with world(rules=rules) as one:
        await one.receive()
        assert await one.one_pass() is State.HELD
        assert (await one.last_body())["until"] == rfc3339(NOW + timedelta(hours=1)), "it is held no longer"
        assert await one.run(minutes=61) is State.EXPIRED
        assert (await the_one(one)).reason is Reason.FREEZE_WINDOW


@pytest.mark.parametrize("mode", [Mode.SILENT, Mode.OFF])
async def test_what_would_only_have_been_recommended_calls_nobody_when_its_time_is_over(mode: Mode) -> None:
    """The negative control: without the hold nobody would have been called either."""
    async with world(rules=table(mode=mode.value)) as one:
        await switched_off(one)
        assert await one.run() is State.EXPIRED
        assert await one.told() == []


@pytest.mark.parametrize("ends", ["slow", "not-listed", "silenced"])
async def test_what_may_wait_or_may_be_over_calls_nobody_when_its_time_is_over(ends: str) -> None:
    ways = {"slow": switched_off, "not-listed": not_listed, "silenced": silenced}
    async with world(rules=table(severity=3 if ends == "slow" else 1)) as one:
        await ways[ends](one)
        assert await one.run() is State.EXPIRED
        assert await one.told() == []


@pytest.mark.parametrize("way", [nodes_lost], ids=["cluster-health"])
async def test_what_a_gate_has_called_people_for_is_not_told_again_when_its_time_is_over(way: Way) -> None:
    async with world(rules=table()) as one:
        await way(one)
        assert await one.run() is State.EXPIRED
        assert [(record.kind, record.body["tell"]) for record in await one.told()] == [("escalation.opened", "eve")]


@pytest.mark.parametrize("mode", [Mode.ACTIVE, Mode.SILENT])
async def test_a_severe_alert_that_could_not_be_decided_is_told_in_every_mode(mode: Mode) -> None:
    """The API server is away for an hour: a fault on our side, as one in our code."""
    async with world(rules=table(), mode=mode) as one:
        await one.receive()
        for path in ("/api/v1/namespaces/shop/pods/checkout-3-a", DEPLOYMENT):
            one.shop.errors[path] = Unreachable("away")
        [mine] = await one.claim()
        with pytest.raises(Unreachable):
            await remediate(Journal(mine, store=one.database, clock=one.clock, rules=one.rules), one.parts)
        one.clock.jump(hours=1)
        assert await one.one_pass() is State.EXPIRED
        called = await the_one(one)
        assert (called.told, called.severity, called.reason) == ("ada", 1, Reason.DECISION_EXPIRED)
        assert called.detail == "could not be decided within 1h"


async def test_what_no_rule_asks_for_is_told_nobody_also_when_nobody_looked_at_it() -> None:
    """The negative control: decided in time it would have been declined. Its rule was there when it came."""
    async with world(rules=table(match=['alertname="Another"'])) as one:
        await admit([alert()], store=one.database, clock=one.clock, authority=UNLIMITED, rules=table())
        one.clock.jump(hours=1)
        assert await one.one_pass() is State.EXPIRED
        assert await one.told() == []


async def test_what_runs_out_together_is_told_as_one_after_the_fifth() -> None:
    async with world(rules=table()) as one:
        await one.receive(*[alert(fingerprint=f"{n:016x}") for n in range(9)])
        one.clock.jump(hours=1)
        await one.one_pass()
        calls = await one.database.escalations()
        assert [one.gate for one in calls if one.gate] == ["ran-out/decision-expired/pods"]
        assert len(calls) == 6
        assert {one.told for one in calls} == {"ada"}
