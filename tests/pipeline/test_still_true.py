"""Between the guards and the write the alert is resolved, silenced or no longer true: nothing is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from remediator.alertmanager.base import Listed
from remediator.model import AlertStatus, Mode, Reason, Remediation, State
from remediator.prometheus.base import PrometheusUnavailable
from remediator.store.pauses_base import Pause, PauseOf
from tests.pipeline.history import Lists
from tests.pipeline.world import World, world
from tests.workloads import alert

Change = Callable[[World], Awaitable[None]]


class AfterIntent:
    """The store; right after the intent is committed, something happens."""

    def __init__(self, one: World, change: Change) -> None:
        self._one = one
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._one.database, name)

    async def advance(self, remediation: Remediation, **step: Any) -> Remediation:
        moved = await self._one.database.advance(remediation, **step)
        if step["to"] is State.ACTING:
            await self._change(self._one)
        return moved


async def resolved(one: World) -> None:
    await one.receive(replace(alert(), status=AlertStatus.RESOLVED, ends_at=one.clock.now()))


async def silenced(one: World) -> None:
    one.alertmanager._listed = Listed(("silence 5e6a",))  # type: ignore[union-attr]


async def gone(one: World) -> None:
    one.alertmanager._listed = None  # type: ignore[union-attr]


async def recovered(one: World) -> None:
    for name in ("checkout-3-a",):
        one.shop.peek("Pod", "shop", name)["status"]["containerStatuses"][0]["ready"] = True


async def prometheus_lost(one: World) -> None:
    one.metrics.failure = PrometheusUnavailable("refused")


async def paused(one: World) -> None:
    await one.database.set_pause(Pause(PauseOf.RULE, "crash-loop", "me", "wait", one.clock.now(), None))


async def nothing(one: World) -> None: ...


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (resolved, Reason.ALERT_RESOLVED),
        (silenced, Reason.ALERT_SILENCED),
        (gone, Reason.ALERT_NOT_FIRING),
        (recovered, Reason.ALERT_NOT_FIRING),
        (prometheus_lost, Reason.FACT_MISSING),
        (paused, Reason.PAUSED_BY_PERSON),
    ],
)
async def test_nothing_is_sent_when_it_is_no_longer_true(change: Change, reason: Reason) -> None:
    async with world() as one:
        one.alertmanager = Lists(Listed(()))
        store: Any = AfterIntent(one, change)
        one.store = store
        await one.receive()
        assert await one.one_pass() is State.HELD
        assert one.shop.writes() == []
        assert (await one.last_body())["reason"] == reason
        assert await one.database.past_actions(cluster="test", since=alert().starts_at) == ()


async def test_without_a_change_it_is_sent() -> None:
    """The negative control."""
    async with world() as one:
        one.alertmanager = Lists(Listed(()))
        store: Any = AfterIntent(one, nothing)
        one.store = store
        await one.receive()
        assert await one.one_pass() is State.VERIFYING
        assert len(one.shop.writes()) == 1


async def test_it_acts_when_the_silence_is_over() -> None:
    async with world() as one:
        one.alertmanager = Lists(Listed(("silence 5e6a",)), then=Listed(()), after=3)
        await one.receive()
        assert await one.run() is State.VERIFIED
        assert len(one.shop.writes()) == 1


async def test_silent_mode_recommends_and_says_that_nobody_could_tell() -> None:
    async with world(mode=Mode.SILENT) as one:
        await prometheus_lost(one)
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        told = {verdict["guard"]: verdict["reason"] for verdict in (await one.last_body())["verdicts"]}
        assert told["still-firing"] == Reason.FACT_MISSING
