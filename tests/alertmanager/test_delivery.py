"""Delivery, retry, repeats: what each answer between Alertmanager and us causes, and that nothing begins twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.api.connections import KEEPALIVE_SECONDS
from tests.alertmanager.conftest import Start
from tests.alertmanager.front import Behaviour, Does, Front
from tests.alertmanager.lab import Fact, Running, arrived, at, config, passed, serving, until


@pytest.mark.parametrize(
    ("script", "requests", "times"),
    [
        ([503, 500, Does.PASS], 3, 1),
        ([Does.RESET, Does.RESET, Does.PASS], 3, 1),
        ([Does.LOSE_REPLY, Does.PASS], 2, 2),
    ],
    ids=["5xx", "reset", "reply lost"],
)
async def test_what_is_retried_inside_a_flush_begins_once(
    alertmanager: Start, service: Running, front: Front, script: list[Behaviour], requests: int, times: int
) -> None:
    """`Retry-After: 60` is ignored, and the body stays the same. Only a reply that was lost makes it come twice."""
    front.script, fact = script, Fact()
    alertmanager(config(front.url)).post_alerts([fact.fires()])
    await arrived(front, requests)
    await until(lambda: front.answered[-1:] == [200], "it is delivered")
    assert len(set(front.bodies)) == 1
    assert await service.begun() == ["TCrash"]
    assert await service.times_received(fact) == times
    assert await service.metric('remediator_alerts_received_total{status="firing"}') == times


async def test_where_nobody_listens_it_is_retried(alertmanager: Start, service: Running) -> None:
    async with Front(service.url) as front:
        one = alertmanager(config(front.url))
        one.post_alerts([Fact().fires()])
        await until(lambda: "connection refused" in one.log_tails(200), "a first attempt")
        await front.listen()
        await passed(front, 1)
    assert await service.begun() == ["TCrash"]


async def test_4xx_of_what_lies_between_is_not_retried_but_comes_with_each_interval(
    alertmanager: Start, service: Running, front: Front
) -> None:
    """429 is not special, whatever its `Retry-After` says."""
    front.script = [400, 429, 404, Does.PASS]
    one = alertmanager(config(front.url), "--log.level=debug")
    one.post_alerts([Fact().fires()])
    await passed(front, 1)
    assert one.log_tails(400).count("unrecoverable error") >= 3
    assert await service.begun() == ["TCrash"]


async def test_repeats_are_byte_identical_and_begin_nothing(
    alertmanager: Start, service: Running, front: Front
) -> None:
    fact = Fact()
    alertmanager(config(front.url, route={"repeat_interval": "1s"})).post_alerts([fact.fires()])
    await passed(front, 3)
    assert len(set(front.bodies)) == 1
    assert await service.begun() == ["TCrash"]
    assert await service.times_received(fact) >= 3
    assert await service.incidents() == 1


async def test_307_is_a_post_again(alertmanager: Start, service: Running, front: Front) -> None:
    front.script = [f"307 {service.url}/api/v1/alerts"]
    alertmanager(config(front.url)).post_alerts([Fact().fires()])
    await until(lambda: service.begun(), "it is delivered")
    assert await service.begun() == ["TCrash"]


async def test_302_loses_the_alert_and_reconciling_finds_it(
    alertmanager: Start, service: Running, front: Front, tmp_path: Path
) -> None:
    """A GET without a body is answered with 200 by whatever stands there: for Alertmanager it is delivered."""
    front.script, fact = [f"302 {service.url}/-/healthy"], Fact()
    one = alertmanager(config(front.url, route={"repeat_interval": "1s"}), "--log.level=debug")
    one.post_alerts([fact.fires()])
    await arrived(front, 2)  # the second is the repeat of what was delivered
    assert await service.begun() == []
    (tmp_path / "other").mkdir()
    async with serving(tmp_path / "other", alertmanager_urls=(one.url,), reconcile_seconds=0.5) as other:
        await until(lambda: other.begun(), "it is found")
        assert await other.metric('remediator_alerts_reconciled_total{what="found"}') == 1
        assert await other.metric("remediator_reconcile_last_success_timestamp_seconds") > 0


async def test_a_body_that_is_too_large_is_refused_and_its_alerts_are_fetched(
    alertmanager: Start, tmp_path: Path
) -> None:
    """413 is for as long as the group is that large; the API has them all. The webhook itself is right about it."""
    labels = [{"pod": f"p-{number}", "filler": "x" * 900} for number in range(100)]
    settings = {"max_body_bytes": 65536, "reconcile_seconds": 0}
    async with serving(tmp_path, **settings) as service, Front(service.url) as front:
        await front.listen()
        one = alertmanager(config(front.url, route={"group_wait": "3s"}))
        facts = [Fact(labels=own, starts_at=at(0)) for own in labels]  # an old one would be sent at once, alone
        one.post_alerts([fact.fires() for fact in facts])
        await passed(front, 2)
        assert set(front.answered) == {413}
        assert await service.begun() == []
    async with serving(tmp_path, **settings | {"alertmanager_urls": (one.url,), "reconcile_seconds": 0.5}) as service:

        async def all_begun() -> bool:
            return len(await service.begun()) == len(facts)

        await until(all_begun, "all are found")


def test_a_connection_is_kept_for_longer_than_alertmanager_keeps_it() -> None:
    """Five minutes (Go's `IdleConnTimeout` in prometheus/common `config/http_config.go`): else a POST meets a close."""
    assert KEEPALIVE_SECONDS > 300


async def test_a_hanging_answer_is_cut_at_the_deadline_and_sent_again(
    alertmanager: Start, service: Running, front: Front, pytestconfig: pytest.Config
) -> None:
    """At 10 s with any shorter group_interval; what was kept before is a repeat then."""
    if not pytestconfig.getoption("--long"):
        pytest.skip("takes 10 s: --long")
    front.script, fact = [Does.HOLD, Does.PASS], Fact()
    alertmanager(config(front.url)).post_alerts([fact.fires()])
    await passed(front, 2)
    assert await service.begun() == ["TCrash"]
    assert await service.times_received(fact) == 2
