"""Between the guards and the write the alert is resolved, silenced or no longer true: nothing is sent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from remediator.alertmanager.base import Listed
from remediator.clock import rfc3339
from remediator.kube.base import Forbidden, Unreachable
from remediator.model import AlertStatus, Mode, Remediation, State
from remediator.prometheus.base import PrometheusUnavailable
from remediator.reasons import Reason
from remediator.store.pauses_base import Pause, PauseOf
from tests.pipeline.history import Lists
from tests.pipeline.world import DEPLOYMENT, World, world
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


async def opted_out(one: World) -> None:
    one.shop.live["metadata"]["annotations"]["remediator.io/mode"] = "off"


async def paused_by_its_owner(one: World) -> None:
    tomorrow = rfc3339(one.clock.now() + timedelta(days=1))
    one.shop.live["metadata"]["annotations"]["remediator.io/pause-until"] = tomorrow


async def namespace_opted_out(one: World) -> None:
    one.shop.peek("Namespace", None, "shop")["metadata"]["annotations"] = {"remediator.io/actions": "restart"}


async def made_silent(one: World) -> None:
    one.shop.live["metadata"]["annotations"]["remediator.io/mode"] = "silent"


async def made_silent_by_a_typo(one: World) -> None:
    one.shop.live["metadata"]["annotations"]["remediator.io/mode"] = "on"


async def asks_for_approval(one: World) -> None:
    one.shop.live["metadata"]["annotations"]["remediator.io/mode"] = "approve"


async def healed(one: World) -> None:
    """All its pods are ready, and Prometheus has not noticed yet."""
    one.shop.live["status"] |= {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


async def deleted(one: World) -> None:
    one.shop.remove("Deployment", "shop", "checkout")


async def replaced(one: World) -> None:
    one.shop.live["metadata"]["uid"] = "d-2"


async def api_server_lost(one: World) -> None:
    one.shop.errors[DEPLOYMENT] = Unreachable("away")


async def namespace_forbidden(one: World) -> None:
    one.shop.errors["/api/v1/namespaces/shop"] = Forbidden("no")


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
        (opted_out, Reason.MODE_OFF),
        (paused_by_its_owner, Reason.OPTED_OUT),
        (namespace_opted_out, Reason.OPTED_OUT),
        (made_silent, Reason.MODE_SILENT),
        (made_silent_by_a_typo, Reason.MODE_INVALID),
        (asks_for_approval, Reason.NEEDS_APPROVAL),
        (healed, Reason.CONDITION_GONE),
        (deleted, Reason.TARGET_NOT_FOUND),
        (replaced, Reason.TARGET_CHANGED),
        (api_server_lost, Reason.FACT_MISSING),
        (namespace_forbidden, Reason.FACT_MISSING),
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


async def test_what_is_well_now_is_left_alone_for_two_minutes() -> None:
    async with world() as one:
        one.store = AfterIntent(one, healed)  # type: ignore[assignment]
        await one.receive()
        await one.one_pass()
        for seconds, is_due in ((119, False), (1, True)):
            one.clock.jump(seconds=seconds)
            assert bool(await one.claim()) is is_due


VETOES = [opted_out, paused_by_its_owner, namespace_opted_out, made_silent, made_silent_by_a_typo, namespace_forbidden]


@pytest.mark.parametrize("change", VETOES)
async def test_what_did_not_help_is_not_reverted_when_its_owner_says_no(change: Change) -> None:
    async with world() as one:
        one.shop.heals = False
        await one.receive()
        await one.run(until=lambda state: state is State.VERIFYING)
        await change(one)
        assert await one.run() is State.ESCALATED
        assert len(one.shop.writes()) == 1
        assert "may not be reverted" in (await one.last_body())["detail"]


async def test_without_a_veto_it_is_reverted() -> None:
    """The negative control."""
    async with world() as one:
        one.shop.heals = False
        await one.receive()
        await one.run(until=lambda state: state is State.VERIFYING)
        await nothing(one)
        assert await one.run() is State.REVERTED
        assert len(one.shop.writes()) == 2


async def test_the_last_look_costs_two_reads() -> None:
    async with world() as one:
        one.store = AfterIntent(one, forget_the_calls)  # type: ignore[assignment]
        await one.receive()
        await one.one_pass()
        before = one.shop.calls[: one.shop.calls.index(f"PATCH {DEPLOYMENT}")]
        assert before == [f"GET {DEPLOYMENT}", "GET /api/v1/namespaces/shop"]


async def forget_the_calls(one: World) -> None:
    one.shop.calls.clear()
