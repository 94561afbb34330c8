"""Which recommendations are scored at all, and what was approved by its own outcome."""

from __future__ import annotations

from remediator.model import Mode, State
from remediator.rules.ruleset import rule_set
from remediator.store.scores_base import Happened
from tests.pipeline.aftermath import Watched, observer_of, roll_back
from tests.pipeline.test_approvals import asked, say
from tests.pipeline.world import rule, world


async def test_a_rule_that_is_refused_recommends_nothing_that_is_scored() -> None:
    """A guard would have kept active mode from it as well."""
    async with world(mode=Mode.SILENT) as one:
        one.shop.live["metadata"]["annotations"]["remediator.io/pause-until"] = "2030-01-01T00:00:00Z"
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        assert await one.database.scores.scored() == []


async def test_what_the_rule_only_recommends_is_not_scored() -> None:
    async with world(mode=Mode.SILENT, rules=rule_set([rule(respond=[{"do": "escalate"}])])) as one:
        await one.receive()
        assert await one.run() is State.ESCALATED
        assert await one.database.scores.scored() == []


async def test_what_nobody_approved_is_judged_by_what_happens() -> None:
    async with world(mode=Mode.APPROVE) as one:
        await asked(one)
        assert await one.run() is State.EXPIRED
        watched = Watched(one, observer_of(one))
        roll_back(one.shop)
        await watched.resolve()
        await watched.looks(minutes=5)
        found = await watched.score()
        assert found.judgement is not None
        assert (found.judgement.happened, found.mode) == (Happened.SAME, "approve")


async def test_what_was_approved_is_judged_by_its_verification() -> None:
    async with world(mode=Mode.APPROVE) as one:
        await say(one, await asked(one))
        watched = Watched(one, observer_of(one))
        assert await one.run() is State.VERIFIED
        await watched.looks(minutes=90)
        found = await watched.score()
        assert found.judgement is not None
        assert (found.judgement.happened, found.is_right) == (Happened.APPROVED, True)
        assert await watched.judged() == [], "its own outcome is the record"


async def test_what_was_approved_and_did_not_help_was_wrong() -> None:
    async with world(mode=Mode.APPROVE) as one:
        one.shop.heals = False
        await say(one, await asked(one))
        await one.run()
        [found] = await one.database.scores.scored()
        assert (found.is_right, found.is_harmful) == (False, False)
