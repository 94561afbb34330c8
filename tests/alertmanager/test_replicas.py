"""Two Alertmanagers: with gossip the second one waits for the first and then no longer, without it both deliver."""

from __future__ import annotations

from typing import Any

import pytest

from tests.alertmanager.conftest import Start
from tests.alertmanager.front import Behaviour, Does, Front
from tests.alertmanager.lab import Fact, Replica, Running, arrived, config, passed, until
from tests.cluster.processes import free_ports

PEER_TIMEOUT = "1s"


def pair(start: Start, url: str, *, gossip: bool) -> tuple[Replica, Replica]:
    """Both have the same `--web.external-url`, so that their bodies are the same."""
    ports, times = free_ports(2), ["--cluster.settle-timeout=100ms", f"--cluster.peer-timeout={PEER_TIMEOUT}"]
    times += ["--cluster.gossip-interval=50ms", "--cluster.pushpull-interval=500ms"]
    each = [
        [f"--cluster.listen-address=127.0.0.1:{port}", f"--cluster.peer=127.0.0.1:{ports[0]}", *times]
        for port in ports
    ]
    one, two = (start(config(url), *(flags if gossip else [])) for flags in each)
    return one, two


def peers(one: Replica) -> int:
    status: Any = one._call("GET", "/api/v2/status")
    return len(status["cluster"].get("peers") or ())


@pytest.mark.parametrize(
    ("script", "deliveries"),
    [([Does.PASS], 1), ([Does.HOLD], 2), ([*[503] * 8, Does.PASS], 1)],
    ids=["fast", "slower than the peer timeout", "away for a while"],
)
async def test_a_pair_that_gossips_begins_one_incident(
    alertmanager: Start, service: Running, front: Front, script: list[Behaviour], deliveries: int
) -> None:
    """A slow answer makes the second replica send the same while the first is open; an outage can make both deliver
    after it, since the log is read once, before the retries."""
    front.script, fact = script, Fact()
    one, two = pair(alertmanager, front.url, gossip=True)
    await until(lambda: peers(one) == peers(two) == 2, "they see each other")
    for replica in (one, two):
        replica.post_alerts([fact.fires()])
    await passed(front, deliveries)
    front.release()
    await until(lambda: front.answered[-1:] == [200], "it is delivered")
    assert len(set(front.bodies)) == 1
    assert await service.begun() == ["TCrash"]
    assert await service.times_received(fact) >= deliveries
    await until(lambda: service.incidents(), "it is decided")
    assert await service.incidents() == 1


async def test_replicas_that_do_not_gossip_deliver_the_same_body_each(
    alertmanager: Start, service: Running, front: Front
) -> None:
    fact = Fact()
    for replica in pair(alertmanager, front.url, gossip=False):
        replica.post_alerts([fact.fires()])
    await passed(front, 2)
    assert front.bodies[0] == front.bodies[1]
    assert await service.begun() == ["TCrash"]
    assert await service.times_received(fact) == 2
    await until(lambda: service.incidents(), "it is decided")
    assert await service.incidents() == 1


async def test_replicas_that_saw_another_beginning_begin_no_second_incident(
    alertmanager: Start, service: Running, front: Front
) -> None:
    """Clock or evaluation skew: the same label set, firing, with another startsAt (`alertmanager.md` 2.6)."""
    one, two = pair(alertmanager, front.url, gossip=False)
    fact = Fact()
    one.post_alerts([fact.fires()])
    await passed(front, 1)
    await until(lambda: service.incidents(), "it is decided")
    two.post_alerts([fact.fires() | {"startsAt": "2026-11-20T10:00:00Z"}])
    await passed(front, 2)

    async def both_decided() -> bool:
        return len(await service.records("decision.")) == 2

    await until(both_decided, "both are decided")
    assert await service.incidents() == 1
    assert len(await service.service.database.escalations()) == 1, "people are called once"


async def test_two_routes_to_us_begin_one_incident(alertmanager: Start, service: Running, front: Front) -> None:
    """`continue: true`: two receivers with one address, the same alert, and even the same groupKey."""
    made = config(front.url)
    hook = made["receivers"][0]["webhook_configs"]
    made["receivers"].append({"name": "second", "webhook_configs": hook})
    made["route"]["routes"] = [
        {"receiver": name, "matchers": ['case="x"'], "continue": True} for name in ("remediator", "second")
    ]
    fact = Fact()
    alertmanager(made).post_alerts([fact.fires()])
    await arrived(front, 2)
    await passed(front, 2)
    assert await service.begun() == ["TCrash"]
    assert await service.times_received(fact) == 2
