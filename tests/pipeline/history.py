"""Worlds with a past: in which we acted before, others alert too, or the alert comes and goes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.alertmanager.base import Listed
from remediator.model import Alert, AlertStatus, Outcome, Plan, State, Target
from remediator.store.approvals_base import Approval
from remediator.store.base import Change, Record
from remediator.store.pauses_base import Pause, PauseOf
from remediator.verdicts import AffectedPod
from tests.pipeline.world import World, node
from tests.workloads import alert, case

Way = Callable[[World], Awaitable[None]]

_WAY = (State.DIAGNOSING, State.PLANNED, State.ACTING, State.VERIFYING)
_END = {
    None: (),
    Outcome.VERIFIED: (State.VERIFIED,),
    Outcome.FAILED: (State.FAILED, State.ESCALATED),
    Outcome.UNKNOWN: (State.UNKNOWN,),
}


def acted_before(
    *outcomes: Outcome | None, of: str = "crash-loop", on: str = "cart", digest: str = "d0"
) -> Way:
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


def others_alert(count: int) -> Way:
    """So many other Deployments alert, and it was decided on them; then ours."""

    async def way(one: World) -> None:
        for number in range(count):
            await _looked_at(one, number, ())
        await one.receive(alert(starts_at=one.clock.now()))

    return way


async def on_one_node(one: World) -> None:
    """Pods of two other Deployments fail on the node where ours fails."""
    for number in range(2):
        await _looked_at(one, number, (AffectedPod(f"test/shop/Deployment/other-{number}", "p", "node-1", "", ""),))
    await one.receive()


async def need_one_database(one: World) -> None:
    """Pods of two other Deployments fail because what ours needs is down."""
    for number in range(2):
        await _looked_at(one, number, (AffectedPod(f"test/shop/Deployment/other-{number}", "p", "", "", "db"),))
    await one.receive()


async def shop_paused(one: World) -> None:
    await one.database.set_pause(Pause(PauseOf.NAMESPACE, "shop", "me", "a migration", one.clock.now(), None))
    await one.receive()


class Lists:
    """An Alertmanager that says this of every alert; `asked` counts the questions."""

    def __init__(self, listed: Listed | None, *, then: Listed | None = None, after: int = 10**9) -> None:
        self._listed = listed
        self._then = then
        self._after = after
        self.asked = 0

    async def look_up(self, alert: Alert) -> Listed | None:
        self.asked += 1
        return self._listed if self.asked <= self._after else self._then

    async def close(self) -> None: ...


async def silenced(one: World) -> None:
    one.alertmanager = Lists(Listed(("silence 5e6a",)))
    await one.receive()


async def not_listed(one: World) -> None:
    one.alertmanager = Lists(None)
    await one.receive()


async def denied(one: World) -> None:
    """A person says no to the plan that waits for one."""
    await one.receive()
    await one.one_pass()
    [waiting] = await one.database.awaiting()
    plan_hash = waiting.request["plan_hash"]
    await one.database.answer(Approval(waiting.remediation, plan_hash, False, "ada", "no", one.clock.now()))


async def nodes_lost(one: World) -> None:
    for name in ("node-2", "node-3"):
        one.shop.add(node(name, ready=False))
    await one.receive()


async def comes_and_goes(one: World) -> None:
    """It is resolved before anything was done, and fires again."""
    first = alert()
    await one.receive(first)
    await one.receive(replace(first, status=AlertStatus.RESOLVED, ends_at=one.clock.now()))
    await one.receive(alert(starts_at=one.clock.now()))


async def _looked_at(one: World, number: int, pods: tuple[AffectedPod, ...]) -> None:
    now = one.clock.now()
    await one.receive(alert(fingerprint=f"{number:016x}", starts_at=now))
    [mine] = await one.claim()
    target = Target(one.shop.name, "Deployment", "shop", f"other-{number}", "uid")
    for to in (State.DIAGNOSING, State.RECOMMENDED):
        change = Change(target=target, affected=pods) if to is State.RECOMMENDED else Change()
        mine = await one.database.advance(mine, to=to, record=Record("test", {}), at=now, change=change)
