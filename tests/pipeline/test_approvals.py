"""Mode approve: a person sees the exact plan and says yes or no to that one; anything else needs a new answer."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.model import Mode, RemediationId, State
from remediator.reasons import Reason
from remediator.sinks.metrics import MetricsSink
from remediator.store.approvals_base import Approval, Awaiting, NotAwaited
from remediator.store.base import KillSwitch
from remediator.telemetry import Recovery, Telemetry
from tests.pipeline.world import World, world

ASKED = "decision.awaiting-approval"


async def asked(one: World) -> Awaiting:
    await one.receive()
    assert await one.one_pass() is State.AWAITING_APPROVAL
    [waiting] = await one.database.awaiting()
    return waiting


async def say(one: World, to: Awaiting, *, yes: bool = True, **changes: Any) -> None:
    facts: dict[str, Any] = {
        "remediation": to.remediation,
        "plan_hash": to.request["plan_hash"],
        "is_granted": yes,
        "by": "ada",
        "comment": "looked at it",
        "at": one.clock.now(),
    }
    await one.database.answer(Approval(**{**facts, **changes}))


async def test_the_request_states_the_change_the_dry_run_the_cost_and_the_end() -> None:
    async with world(mode=Mode.APPROVE) as one:
        waiting = await asked(one)
        body = waiting.request
        assert (waiting.target, waiting.rule) == ("shop/deployment/checkout", "crash-loop")
        assert body["plan"]["summary"] == "roll back shop/deployment/checkout from revision 3 to 2"
        assert body["plan"]["before"] != body["plan"]["after"]
        assert [request["method"] for request in body["requests"]] == ["PATCH"]
        told = {verdict["guard"]: verdict["detail"] for verdict in body["verdicts"]}
        assert told["dry-run"] == "the API server would accept it"
        assert "cluster 10 per 1h" in body["costs"]
        assert (waiting.until - one.clock.now()).total_seconds() == 900
        assert one.shop.writes() == []


async def test_what_was_approved_is_done() -> None:
    async with world(mode=Mode.APPROVE) as one:
        await say(one, await asked(one))
        assert await one.run() is State.VERIFIED
        assert len(one.shop.writes()) == 1
        assert "approval.granted" in await one.kinds()
        [intent] = [record.body for record in await one.records() if record.kind == "action.intent"]
        told = {verdict["guard"]: verdict["detail"] for verdict in intent["verdicts"]}
        assert told["mode"] == "approved by ada: looked at it"


async def test_what_nobody_approved_is_not_done() -> None:
    """The negative control of the test before, and the end of the wait."""
    async with world(mode=Mode.APPROVE) as one:
        await asked(one)
        assert await one.run() is State.EXPIRED
        assert one.shop.writes() == []
        body = await one.last_body()
        assert body["reason"] == Reason.APPROVAL_EXPIRED
        assert body["detail"].startswith("nobody approved or denied it within 15m: would roll back shop/deployment/")


async def test_what_was_denied_is_not_asked_again() -> None:
    async with world(mode=Mode.APPROVE) as one:
        await say(one, await asked(one), yes=False)
        assert await one.run() is State.CANCELLED
        assert one.shop.writes() == []
        body = await one.last_body()
        assert (body["reason"], body["detail"]) == (Reason.APPROVAL_DENIED, "denied by ada: looked at it")
        telemetry = Telemetry.create(version="1", mode=Mode.APPROVE)
        await MetricsSink(telemetry).tell(await one.last())
        _, text = telemetry.exposition("")
        telemetry.shutdown()
        assert f'outcome="{Recovery.ALONE}"' not in text.decode(), "a denied plan is no recovery"


async def test_an_approval_is_void_when_the_object_changed_since() -> None:
    async with world(mode=Mode.APPROVE) as one:
        await say(one, await asked(one))
        one.shop.live["metadata"]["generation"] += 1
        one.shop.live["status"]["observedGeneration"] += 1
        assert await one.one_pass() is State.AWAITING_APPROVAL
        assert one.shop.writes() == []
        assert "approved another plan" in (await one.last_body())["detail"]
        [again] = await one.database.awaiting()
        await say(one, again)
        assert await one.run() is State.VERIFIED
        assert len(one.shop.writes()) == 1


async def test_an_approval_does_not_keep() -> None:
    """Something else held it for too long: what a person saw is not what is there any more."""
    async with world(mode=Mode.APPROVE) as one:
        await say(one, await asked(one))
        await one.database.set_kill_switch(KillSwitch(True, "wait", "me", one.clock.now(), None))
        assert await one.one_pass() is State.HELD
        one.clock.jump(minutes=16)
        await one.database.set_kill_switch(KillSwitch(False, "go", "me", one.clock.now(), None))
        assert await one.one_pass() is State.AWAITING_APPROVAL
        assert "too old" in (await one.last_body())["detail"]
        assert one.shop.writes() == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"plan_hash": "0" * 64}, "another one now"),
        ({"remediation": RemediationId(99)}, "does not wait"),
    ],
)
async def test_an_answer_to_something_else_is_refused(changes: dict[str, Any], problem: str) -> None:
    async with world(mode=Mode.APPROVE) as one:
        waiting = await asked(one)
        with pytest.raises(NotAwaited, match=problem):
            await say(one, waiting, **changes)


async def test_an_answer_is_given_once_and_in_time() -> None:
    async with world(mode=Mode.APPROVE) as one:
        waiting = await asked(one)
        with pytest.raises(NotAwaited, match="was awaited until"):
            await say(one, waiting, at=waiting.until)
        await say(one, waiting)
        with pytest.raises(NotAwaited, match="does not wait"):
            await say(one, waiting, yes=False)


async def test_what_a_later_guard_would_refuse_is_not_asked_for() -> None:
    async with world(mode=Mode.APPROVE) as one:
        await one.database.set_kill_switch(KillSwitch(True, "wait", "me", one.clock.now(), None))
        await one.receive()
        assert await one.one_pass() is State.HELD
        assert ASKED not in await one.kinds()
