"""Where a body misleads: groups mixed, cut off or partly quiet; resolutions without firing, old, or missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import ClientSession

from remediator.access.base import ANYONE
from remediator.alertmanager.client import AlertmanagerApi
from remediator.alertmanager.reconcile import Offer, Pace, Reconciler
from remediator.clock import SystemClock
from remediator.model import State
from remediator.reasons import Reason
from remediator.receive.payload import read
from remediator.redact import Remembering
from remediator.store.episodes import RETURNS_AFTER
from tests.alertmanager.conftest import Start
from tests.alertmanager.front import Does, Front
from tests.alertmanager.lab import Fact, Replica, Running, arrived, at, config, passed, serving, until
from tests.pipeline.world import world
from tests.workloads import alert


def payload(front: Front, number: int) -> Any:
    return json.loads(front.bodies[number])


def names(body: Any) -> Sequence[tuple[str, str]]:
    return sorted((one["labels"]["alertname"], one["status"]) for one in body["alerts"])


async def test_alerts_of_one_body_are_each_their_own(alertmanager: Start, service: Running, front: Front) -> None:
    """kube-prometheus groups by namespace: a body holds different alertnames, and its commonLabels none."""
    one = alertmanager(config(front.url, route={"group_by": ["namespace"], "group_wait": "2s"}))
    now = at(0)  # an old one would be sent at once, alone
    facts = [Fact("TCrash", starts_at=now), Fact("TSlow", workload="cart", starts_at=now), Fact("Other", starts_at=now)]
    one.post_alerts([fact.fires() for fact in facts])
    await passed(front, 1)
    assert "alertname" not in payload(front, 0)["commonLabels"]
    assert sorted(await service.begun()) == ["Other", "TCrash", "TSlow"]

    async def all_decided() -> bool:
        return len(await service.records("decision.")) == 3

    await until(all_decided, "each is decided")
    assert {record.body["reason"] for record in await service.records("decision.declined")} == {Reason.NO_RULE}
    assert await service.incidents() == 3


async def test_resolved_without_firing_begins_nothing_and_old_ones_that_come_back_are_repeats(
    alertmanager: Start, service: Running, front: Front
) -> None:
    """Fired and resolved between two flushes of a known group; then resent by Prometheus for 15 minutes."""
    first, brief, later = Fact("TFirst"), Fact("TBrief"), Fact("TLater")
    one = alertmanager(config(front.url))
    one.post_alerts([first.fires()])
    await passed(front, 1)
    one.post_alerts([brief.fires()])
    one.post_alerts([brief.ends()])
    await passed(front, 2)
    assert names(payload(front, 1)) == [("TBrief", "resolved"), ("TFirst", "firing")]
    assert payload(front, 1)["status"] == "firing"
    one.post_alerts([brief.ends(), later.fires()])
    await passed(front, 3)
    assert ("TBrief", "resolved") in names(payload(front, 2))
    assert await service.begun() == ["TFirst", "TLater"]
    assert await service.is_firing(brief) == [False]
    assert await service.times_received(brief) == 2


async def test_flapping_between_two_flushes_is_another_episode_without_a_resolution(
    alertmanager: Start, service: Running, front: Front
) -> None:
    """Nothing is sent for it; a later body has the same fingerprint with a new startsAt. Its end is the end of both."""
    flaps = Fact("TFlap")
    one = alertmanager(config(front.url, route={"repeat_interval": "2s"}))
    one.post_alerts([flaps.fires()])
    await passed(front, 1)
    again = at(-0.5)
    one.post_alerts([flaps.ends() | {"endsAt": at(-1)}])
    one.post_alerts([flaps.fires() | {"startsAt": again}])
    await passed(front, 2)
    assert [names(payload(front, number)) for number in (0, 1)] == [[("TFlap", "firing")]] * 2
    assert payload(front, 0)["alerts"][0]["startsAt"] != payload(front, 1)["alerts"][0]["startsAt"]

    async def both_decided() -> bool:
        return len(await service.records("decision.")) == 2

    await until(both_decided, "both are decided")
    assert await service.incidents() == 1
    one.post_alerts([flaps.ends() | {"startsAt": again}])

    async def is_over() -> bool:
        return await service.is_firing(flaps) == [False, False]

    await until(is_over, "both end")


async def test_fired_and_resolved_inside_group_wait_is_never_told(
    alertmanager: Start, service: Running, front: Front
) -> None:
    one = alertmanager(config(front.url, route={"group_wait": "2s"}))
    brief = Fact("TBrief", starts_at=at(0))  # one that began longer ago than group_wait is sent at once
    one.post_alerts([brief.fires()])
    one.post_alerts([brief.ends() | {"endsAt": at(0)}])
    one.post_alerts([Fact("TAfter", labels={"case": "y"}, starts_at=at(0)).fires()])
    await passed(front, 1)
    assert await service.begun() == ["TAfter"]


async def test_a_quiet_alert_is_not_over_though_the_body_says_resolved(
    alertmanager: Start, service: Running, front: Front
) -> None:
    """{a fires and is silenced, b is resolved} arrives as `status: resolved` with b alone; a comes back later."""
    one = alertmanager(config(front.url, route={"group_wait": "2s"}))
    quiet, ends = Fact("TQuiet", starts_at=at(0)), Fact("TEnds", workload="cart", starts_at=at(0))
    one.post_alerts([quiet.fires(), ends.fires()])
    await passed(front, 1)
    silence = one.silence({"alertname": "TQuiet"})
    one.post_alerts([ends.ends()])
    await passed(front, 2)
    assert (payload(front, 1)["status"], names(payload(front, 1))) == ("resolved", [("TEnds", "resolved")])
    assert await service.is_firing(quiet) == [True]
    assert await service.is_firing(ends) == [False]
    one.expire(silence)
    await passed(front, 3)
    assert ("TQuiet", "firing") in names(payload(front, 2))
    assert sorted(await service.begun()) == ["TEnds", "TQuiet"], "what comes back begins nothing"


async def test_what_max_alerts_cuts_off_is_fetched_at_once(
    alertmanager: Start, service: Running, front: Front, tmp_path: Any
) -> None:
    """The first two of the sorted list are all that is ever delivered. Nobody waits for the next round: it is an hour
    away, and the alerts are younger than it."""
    one = alertmanager(config(front.url, route={"group_wait": "2s"}, max_alerts=2))
    facts = [Fact(f"T{number}", labels={"instance": f"i-{number}"}, starts_at=at(0)) for number in range(5)]
    one.post_alerts([fact.fires() for fact in facts])
    await passed(front, 1)
    assert payload(front, 0)["truncatedAlerts"] == 3
    assert len(await service.begun()) == 2, "without an API to ask there are only those"
    (tmp_path / "other").mkdir()
    settings = {"alertmanager_urls": (one.url,), "reconcile_seconds": 3600}
    async with serving(tmp_path / "other", **settings) as other, ClientSession() as client:
        headers = {"Content-Type": "application/json"}
        await client.post(f"{other.url}/api/v1/alerts", data=front.bodies[0], headers=headers)

        async def all_begun() -> bool:
            return sorted(await other.begun()) == [fact.name for fact in facts]

        await until(all_begun, "the rest is fetched")
        assert await other.metric('remediator_alerts_reconciled_total{what="found"}') == 3


async def test_the_resolution_that_never_comes_is_told_by_the_list(
    alertmanager: Start, service: Running, front: Front
) -> None:
    """Resolved while silenced: no body says so, ever. Nor does a moment of absence: two rounds do, of a replica that
    has run for long enough."""
    fact, kept = Fact("TGone"), Fact("TKept", workload="cart", labels={"case": "y"})
    one = alertmanager(config(front.url))
    one.post_alerts([fact.fires(), kept.fires()])
    await passed(front, 2)
    one.silence({"alertname": "TGone"})
    one.post_alerts([fact.ends()])
    await until(lambda: len(one.alerts()) == 1, "Alertmanager holds one")
    api = AlertmanagerApi([one.url])

    async def rounds(least_uptime: timedelta) -> list[list[bool]]:
        async def take(offer: Offer) -> int:
            async with ClientSession() as client, client.post(
                f"{service.url}/api/v1/alerts", json=offer.body
            ) as answer:
                return int((await answer.json())["resolved"])

        reconciler = Reconciler(
            api,
            service.service.database.known,
            take=take,
            count=lambda found, gone: None,
            is_left_out=lambda labels: False,
            receivers=(),
            clock=SystemClock(),
            pace=Pace(timedelta(milliseconds=1), least_uptime),
        )
        seen = []
        for _ in range(2):
            await reconciler.look()
            seen.append(await service.is_firing(fact))
        return seen

    try:
        assert await rounds(timedelta(minutes=2)) == [[True], [True]], "it started a moment ago"
        assert await rounds(timedelta()) == [[True], [False]]
    finally:
        await api.close()
    assert await service.is_firing(kept) == [True]
    assert len(front.arrivals) == 2


async def test_a_silence_or_an_inhibition_after_the_delivery_holds_the_action(alertmanager: Start) -> None:
    """It reaches the webhook in no other way: the API is asked before the write, and again while it holds."""
    made = config("http://127.0.0.1:1/")
    made["inhibit_rules"] = [
        {"source_matchers": ['alertname="TNodeDown"'], "target_matchers": ['alertname="KubePodCrashLooping"']}
    ]
    one, ours = alertmanager(made), alert()
    fires = {"labels": dict(ours.labels), "startsAt": at(-60), "endsAt": at(600)}
    down = Fact("TNodeDown")
    one.post_alerts([fires])
    [listed] = one.alerts()
    api = AlertmanagerApi([one.url])
    try:
        for quiet, loud in (
            (lambda: one.silence(dict(ours.labels)), one.expire),
            (lambda: one.post_alerts([down.fires()]), lambda _: one.post_alerts([down.ends()])),
        ):
            what = quiet()
            await until(lambda: _state(one, "KubePodCrashLooping") == "suppressed", "it is quiet")
            async with world(alertmanager=api) as shop:
                await shop.receive(alert(fingerprint=listed["fingerprint"]))
                assert await shop.run(until=lambda state: state is State.HELD) is State.HELD
                assert (await shop.last_body())["reason"] == Reason.ALERT_SILENCED
                assert not shop.shop.writes()
                loud(what)  # type: ignore[operator]
                await until(lambda: _state(one, "KubePodCrashLooping") == "active", "it is loud again")
                assert await shop.run(until=lambda state: state is State.VERIFYING) is State.VERIFYING
    finally:
        await api.close()


async def test_an_old_body_that_comes_after_the_resolution_begins_nothing(
    alertmanager: Start, service: Running, front: Front
) -> None:
    """HA reorders, and a body is fixed when its flush starts: a firing one can be older than a resolved one."""
    fact = Fact()
    one = alertmanager(config(front.url))
    one.post_alerts([fact.fires()])
    await passed(front, 1)
    one.post_alerts([fact.ends()])
    await passed(front, 2)
    async with ClientSession() as client:
        headers = {"Content-Type": "application/json"}
        await client.post(f"{service.url}/api/v1/alerts", data=front.bodies[0], headers=headers)
    assert await service.begun() == ["TCrash"]
    assert await service.is_firing(fact) == [False]


async def test_a_resolution_that_is_taken_back_has_the_old_beginning(
    alertmanager: Start, service: Running, front: Front
) -> None:
    """The way from Prometheus was cut for longer than a lease. Shortly after, such a body could also be an old one;
    long after, the episode is taken up again."""
    fact = Fact()
    one = alertmanager(config(front.url))
    one.post_alerts([fact.fires()])
    await passed(front, 1)
    one.post_alerts([fact.ends()])
    await passed(front, 2)
    one.post_alerts([fact.fires()])
    await passed(front, 3)
    first, last = payload(front, 0)["alerts"][0], payload(front, 2)["alerts"][0]
    assert (first["startsAt"], last["status"]) == (last["startsAt"], "firing")
    assert await service.begun() == ["TCrash"]
    answer = await service.service.database.accept(
        read(front.bodies[2], Remembering(), sender=ANYONE.credential).alerts, at=SystemClock().now() + RETURNS_AFTER
    )
    assert answer.queued == 1
    assert await service.is_firing(fact) == [True]


async def test_a_resolution_during_an_outage_is_kept_and_retried(
    alertmanager: Start, service: Running, front: Front
) -> None:
    fact = Fact()
    one = alertmanager(config(front.url))
    one.post_alerts([fact.fires()])
    await passed(front, 1)
    front.script = [503]
    one.post_alerts([fact.ends()])
    await arrived(front, 3)
    front.script = [Does.PASS]

    async def is_over() -> bool:
        return await service.is_firing(fact) == [False]

    await until(is_over, "the resolution gets through")


async def test_what_never_succeeded_and_is_resolved_is_silent(
    alertmanager: Start, service: Running, front: Front, pytestconfig: pytest.Config
) -> None:
    """Without an entry in the log a group of resolved alerts is dropped: neither firing nor resolved is ever sent."""
    if not pytestconfig.getoption("--long"):
        pytest.skip("waits for the deadline of a flush, 10 s: --long")
    front.script = [503]
    one = alertmanager(config(front.url), "--log.level=debug")
    one.post_alerts([Fact("TNever").fires()])
    await arrived(front, 1)
    one.post_alerts([Fact("TNever").ends()])
    await until(lambda: "notify retry canceled" in one.log_tails(400), "the flush ends")
    front.script, before = [Does.PASS], len(front.answered)
    one.post_alerts([Fact("TAfter", labels={"case": "y"}).fires()])
    await passed(front, before + 1)
    await until(lambda: "flushing" in one.log_tails(3), "nothing is left to be sent")
    assert await service.begun() == ["TAfter"]


def _state(one: Replica, name: str) -> str:
    return next((str(item["status"]["state"]) for item in one.alerts() if item["labels"]["alertname"] == name), "")


async def test_what_goes_over_the_wire_is_read_as_it_is_meant(
    alertmanager: Start, service: Running, front: Front
) -> None:
    """Go's escapes and raw UTF-8, a trailing newline, the zero time, more digits than we keep, an absent group label,
    and the fingerprint that both compute."""
    odd = Fact(labels={"note": '<a href="x">&</a> ⟳ \\ {}', "case": "x"})
    one = alertmanager(config(front.url, route={"group_by": ["case", "absent"]}))
    one.post_alerts([odd.fires()])
    await passed(front, 1)
    body, [sent] = payload(front, 0), payload(front, 0)["alerts"]
    assert front.bodies[0].endswith(b"}\n")
    assert b"\\u003ca href" in front.bodies[0]
    assert "⟳".encode() in front.bodies[0]
    assert (body["version"], body["groupLabels"], sent["endsAt"]) == ("4", {"case": "x"}, "0001-01-01T00:00:00Z")
    assert sent["fingerprint"] == odd.fingerprint == one.alerts()[0]["fingerprint"]
    [record] = await service.records("alert.received")
    assert record.body["labels"] == odd.all_labels
    assert record.body["ends_at"] is None
