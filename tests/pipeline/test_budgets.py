"""The last slot of a budget, taken by someone else between the guards' look and the intent: nothing is sent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.model import Mode, State
from remediator.reasons import Reason
from remediator.rules.ruleset import rule_set
from remediator.store.budgets_base import Spender, Use
from remediator.store.database import Database
from remediator.verdicts import Budget
from tests.pipeline.ways import helped_before
from tests.pipeline.world import LEASE, World, rule, world
from tests.workloads import alert

ROOMY = {"cooldown": {"period": "1m"}, "budgets": {"action": ["9 per 1h"], "namespace": ["9 per 1h"]}}
NARROW: dict[str, dict[str, Any]] = {
    "rule": {"limits": ["1 per 1h"], "guards": ROOMY},
    "action": {"guards": {**ROOMY, "budgets": {"action": ["1 per 1h"], "namespace": ["9 per 1h"]}}},
    "namespace": {"guards": {**ROOMY, "budgets": {"action": ["9 per 1h"], "namespace": ["1 per 1h"]}}},
    "cluster": {"guards": {**ROOMY, "budgets": {**ROOMY["budgets"], "cluster": ["1 per 1h"]}}},
}


class Stale:
    """The store, with what the guards were told a moment ago: every budget has room."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def budget_uses(self, spender: Spender, budgets: Sequence[Budget], *, at: datetime) -> Sequence[Use]:
        return [Use(budget, ()) for budget in budgets]


async def decided_again(one: World) -> State | None:
    """We acted and it helped; a few minutes later another release crashes, and the guards see what was true before."""
    await helped_before(one)
    stale: Any = Stale(one.database)
    one.store = stale
    return await one.one_pass()


@pytest.mark.parametrize("scope", NARROW)
async def test_the_intent_is_refused_and_waits_for_the_next_slot(scope: str) -> None:
    async with world(rules=rule_set([rule(**NARROW[scope])])) as one:
        assert await decided_again(one) is State.HELD
        assert len(one.shop.writes()) == 1
        body = await one.last_body()
        assert body["reason"] == Reason.LIMIT_USED
        assert f"1 of 1 per 1h used for this {scope}, next slot" in body["detail"]
        slot = datetime.fromisoformat(body["until"])
        early = await one.database.claim(owner="early", at=slot - timedelta(seconds=1), lease=LEASE, limit=9)
        due = await one.database.claim(owner="due", at=slot, lease=LEASE, limit=9)
        assert (len(early), len(due)) == (0, 1)


async def test_with_room_in_every_budget_it_acts() -> None:
    """The negative control: nothing else stops it."""
    async with world(rules=rule_set([rule(guards=ROOMY)])) as one:
        assert await decided_again(one) is State.VERIFYING
        assert len(one.shop.writes()) == 2


async def test_a_shadow_that_lost_the_last_slot_calls_nobody_when_its_time_is_over() -> None:
    """It is held as what silent mode would only have recommended."""
    async with world(rules=rule_set([rule(limits=["1 per 1d"], guards=ROOMY)]), mode=Mode.SILENT) as one:
        stale: Any = Stale(one.database)
        one.store = stale
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        one.clock.jump(minutes=5)
        await one.receive(alert(fingerprint="00000000000000ff"))
        assert await one.one_pass() is State.HELD
        assert (await one.last_body())["reason"] == Reason.LIMIT_USED
        assert await one.run() is State.EXPIRED
        assert await one.told() == []
