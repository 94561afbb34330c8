"""A world in which we acted before, and it is known what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.model import Outcome, Plan, State, Target
from remediator.store.base import Change, Record
from tests.pipeline.world import World
from tests.workloads import alert, case

_WAY = (State.DIAGNOSING, State.PLANNED, State.ACTING, State.VERIFYING)
_END = {
    None: (),
    Outcome.VERIFIED: (State.VERIFIED,),
    Outcome.FAILED: (State.FAILED, State.ESCALATED),
    Outcome.UNKNOWN: (State.UNKNOWN,),
}


def acted_before(
    *outcomes: Outcome | None, of: str = "crash-loop", on: str = "cart", digest: str = "d0"
) -> Callable[[World], Awaitable[None]]:
    """One action an hour until now by the rule `of` on the Deployment `on`, then the alert. None: still under way."""

    async def way(one: World) -> None:
        for number, outcome in enumerate(outcomes, start=1):
            await _past(one, number, len(outcomes) - number + 1, outcome, of, on, digest)
        await one.receive()

    return way


async def _past(one: World, number: int, hours: int, outcome: Outcome | None, of: str, on: str, digest: str) -> None:
    now = one.clock.now()
    await one.receive(alert(fingerprint=f"{number:016x}", starts_at=now))
    [mine] = await one.claim()
    plan = Rollback().plan(case(), Parameters())
    assert isinstance(plan, Plan)
    begun = Change(
        target=Target(case().target.cluster, "Deployment", "shop", on, "uid"),
        rule=of,
        rule_digest=digest,
        plan=plan,
        acted_at=now - timedelta(hours=hours),
    )
    for to in _WAY + _END[outcome]:
        change = begun if to is State.ACTING else Change()
        mine = await one.database.advance(mine, to=to, record=Record("test", {}), at=now, change=change)
