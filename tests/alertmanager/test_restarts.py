"""Alertmanager begins again, with its storage, an old one or none; or reads its configuration anew."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.alertmanager.conftest import Start
from tests.alertmanager.front import Does, Front
from tests.alertmanager.lab import Fact, Replica, Running, at, config, passed, until


def killed(one: Replica) -> None:
    one.kill()
    one.start()


def ended(one: Replica) -> None:
    one.stop()
    one.start()


def emptied(one: Replica) -> None:
    one.kill()
    one.forget()
    one.start()


@pytest.mark.parametrize("restart", [killed, emptied], ids=["killed: an old notification log", "an empty storage"])
async def test_what_is_sent_again_after_a_crash_begins_nothing(
    alertmanager: Start, service: Running, front: Front, restart: Callable[[Replica], None]
) -> None:
    """The log of notifications is written every 15 minutes; alerts are never kept, and come from Prometheus again."""
    fact = Fact()
    one = alertmanager(config(front.url))
    one.post_alerts([fact.fires()])
    await passed(front, 1)
    restart(one)
    one.post_alerts([fact.fires()])
    await passed(front, 2)
    assert front.bodies[0] == front.bodies[1]
    assert await service.begun() == ["TCrash"]
    assert await service.times_received(fact) == 2


async def test_a_later_beginning_after_a_restart_joins_the_open_incident(
    alertmanager: Start, service: Running, front: Front
) -> None:
    """Same fingerprint, still firing, another startsAt: what Alertmanager had merged to the earliest is forgotten."""
    fact = Fact()
    one = alertmanager(config(front.url))
    one.post_alerts([fact.fires()])
    await passed(front, 1)
    await until(lambda: service.incidents(), "it is decided")
    emptied(one)
    one.post_alerts([fact.fires() | {"startsAt": at(-10)}])
    await passed(front, 2)
    first, second = (json.loads(body)["alerts"][0] for body in front.bodies)
    assert first["fingerprint"] == second["fingerprint"]
    assert first["startsAt"] != second["startsAt"]

    async def both_decided() -> bool:
        return len(await service.records("decision.")) == 2

    await until(both_decided, "both are decided")
    assert await service.incidents() == 1
    assert len(await service.service.database.escalations()) == 1
    one.post_alerts([fact.ends() | {"startsAt": at(-10)}])

    async def all_over() -> bool:
        return await service.is_firing(fact) == [False, False]

    await until(all_over, "the resolution covers the earlier beginning too")


@pytest.mark.parametrize("interrupt", [lambda one: one.reload(), ended], ids=["reload", "SIGTERM"])
async def test_a_request_that_is_aborted_is_sent_again_and_is_a_repeat(
    alertmanager: Start, service: Running, front: Front, interrupt: Callable[[Replica], None]
) -> None:
    front.script, fact = [Does.HOLD, Does.PASS], Fact()
    one = alertmanager(config(front.url))
    one.post_alerts([fact.fires()])
    await passed(front, 1)
    interrupt(one)
    one.post_alerts([fact.fires()])
    await passed(front, 2)
    assert front.bodies[0] == front.bodies[1]
    assert await service.begun() == ["TCrash"]
    assert await service.times_received(fact) == 2
