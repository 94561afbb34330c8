"""An action that clears its alert and breaks something else has failed, and is undone."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.model import AlertStatus, State
from remediator.prometheus.base import Sample
from remediator.rules.ruleset import rule_set
from tests.pipeline.world import FakeMetrics, World, rule, world
from tests.workloads import alert

OTHER = {"alertname": "RemediatorHighErrorRate", "namespace": "shop", "deployment": "checkout"}


class Errors(FakeMetrics):
    """Hardly any errors before we act; `since` that."""

    since = 0.5

    async def query(self, expression: str, *, at: datetime | None = None) -> Sequence[Sample]:
        if "http_requests_total" in expression:
            return [Sample({}, self.since if at is None and self.shop.writes() else 0.01)]
        return await super().query(expression, at=at)


async def test_more_errors_than_before_are_a_failure_though_the_alert_cleared() -> None:
    async with world() as one:
        one.metrics = Errors(one.shop, one.clock)
        await one.receive()
        assert await one.run() is State.REVERTED
        [failed] = [record.body for record in await one.records() if record.kind == "outcome.failed"]
        assert failed["evidence"]["alert-clear"]["look"] == "passed"
        assert failed["evidence"]["collateral"]["look"] == "waiting"


async def test_as_few_errors_as_before_are_fine() -> None:
    """The negative control."""
    async with world() as one:
        one.metrics = Errors(one.shop, one.clock)
        one.metrics.since = 0.01
        await one.receive()
        assert await one.run() is State.VERIFIED


async def another(one: World, **changes: Any) -> None:
    """Another alert on the same workload, which some rule answers."""
    await one.receive(alert(fingerprint="d" * 16, labels=OTHER, starts_at=one.clock.now(), **changes))


def table() -> Any:
    says = rule(name="errors", match=['alertname="RemediatorHighErrorRate"'], respond=[{"do": "escalate"}], verify=None)
    return rule_set([rule(), says])


async def acted(one: World) -> None:
    await one.receive()
    assert await one.one_pass() is State.VERIFYING
    one.clock.jump(seconds=10)


async def test_another_alert_that_goes_on_is_a_failure() -> None:
    async with world(rules=table()) as one:
        await acted(one)
        await another(one)
        await one.one_pass()
        for _ in range(200):
            one.clock.jump(seconds=5)
            if await one.one_pass() is State.REVERTED:
                break
        else:
            raise AssertionError(await one.kinds())
        [failed] = [record.body for record in await one.records() if record.kind == "outcome.failed"]
        assert failed["evidence"]["no-new-alert"]["detail"] == "fires since the action: RemediatorHighErrorRate"


async def test_another_alert_that_ends_is_waited_for() -> None:
    async with world(rules=table()) as one:
        await acted(one)
        await another(one)
        started = one.clock.now()
        for _ in range(40):
            one.clock.jump(seconds=5)
            await one.one_pass()
        assert "outcome.verified" not in await one.kinds()
        ended = alert(fingerprint="d" * 16, labels=OTHER, starts_at=started)
        await one.receive(replace(ended, status=AlertStatus.RESOLVED, ends_at=one.clock.now()))
        one.clock.jump(seconds=5)
        assert await one.one_pass() is State.VERIFIED


async def test_what_fired_before_or_elsewhere_is_not_counted() -> None:
    async with world(rules=table()) as one:
        early = alert(fingerprint="d" * 16, labels=OTHER, starts_at=one.clock.now() - timedelta(minutes=1))
        await one.receive(early)
        await one.one_pass()
        await acted(one)
        elsewhere = {**OTHER, "namespace": "pay"}
        await one.receive(alert(fingerprint="c" * 16, labels=elsewhere, starts_at=one.clock.now()))
        for _ in range(40):
            one.clock.jump(seconds=5)
            await one.one_pass()
        assert "outcome.verified" in await one.kinds()


@pytest.mark.parametrize(
    ("means", "where", "verified"),
    [(None, "shop", False), (None, "pay", True), ("shop", "pay", False), ("other", "pay", True)],
)
async def test_what_depends_on_it_counts_where_it_means_this_one(means: str | None, where: str, verified: bool) -> None:
    """A dependency without a namespace is the one in the dependent's own."""
    needs = {"name": "checkout", "kind": "Service", "object": "checkout", **({"namespace": means} if means else {})}
    says = rule(
        name="cart", match=['alertname="CartErrors"'], respond=[{"do": "escalate"}], verify=None, depends_on=[needs]
    )
    async with world(rules=rule_set([rule(), says])) as one:
        cart = copy.deepcopy(one.shop.live)
        cart["metadata"] |= {"name": "cart", "namespace": where, "uid": "d-9"}
        one.shop.add({"kind": "Namespace", "metadata": {"name": where}}, cart)
        await acted(one)
        labels = {"alertname": "CartErrors", "namespace": where, "deployment": "cart"}
        await one.receive(alert(fingerprint="d" * 16, labels=labels, starts_at=one.clock.now()))
        for _ in range(40):
            one.clock.jump(seconds=5)
            await one.one_pass()
        assert ("outcome.verified" in await one.kinds()) is verified
