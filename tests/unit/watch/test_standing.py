"""How a rollout stands after a time (proven good, stable, with an incident), and the baseline to compare it with."""

from __future__ import annotations

import pytest

from remediator.kube.rollout import meaningful_hash
from remediator.store.rollouts_base import RolloutState
from tests.unit.watch.shop import NEW, OLD, Shop, open_incident
from tests.workloads import TARGET


async def test_ten_minutes_of_unbroken_availability_prove_a_template_once(shop: Shop) -> None:
    shop.release(NEW, 3)
    await shop.looks(minutes=9)
    before = await shop.database.template_events(TARGET)
    await shop.looks(minutes=30)

    assert before == []
    assert [(e.event, e.template_hash) for e in await shop.database.template_events(TARGET)] == [
        ("seen-good", meaningful_hash(NEW))
    ]
    assert (await shop.records()).count("rollout.proven-good") == 1


@pytest.mark.parametrize("broken_by", ["unready", "gap"])
async def test_a_break_begins_the_ten_minutes_anew(shop: Shop, broken_by: str) -> None:
    """Also one in which nobody looked: then nobody knows."""
    shop.release(NEW, 3)
    await shop.looks(minutes=8)
    if broken_by == "unready":
        shop.release(NEW, 3, complete=False)
        await shop.look()
        shop.release(NEW, 3)
    else:
        shop.restart()
        shop.clock.jump(minutes=5)
    await shop.looks(minutes=8)

    assert await shop.database.template_events(TARGET) == []


async def test_a_day_without_an_incident_makes_it_stable(shop: Shop) -> None:
    shop.release(NEW, 3)
    await shop.look()
    shop.clock.jump(hours=23, minutes=45)
    await shop.looks(minutes=13)
    before = (await shop.rollouts())[0].state
    await shop.looks(minutes=5)

    assert before is RolloutState.WATCHED
    assert (await shop.rollouts())[0].state is RolloutState.STABLE
    assert (await shop.records()).count("rollout.stable") == 1


async def test_an_incident_of_its_target_speaks_against_it_for_good(shop: Shop) -> None:
    shop.release(NEW, 3)
    await shop.look()
    await open_incident(shop)
    await shop.look()
    shop.clock.jump(hours=30)
    await shop.looks(minutes=1)

    one = (await shop.rollouts())[0]
    assert (one.state, one.incident_id is not None) == (RolloutState.INCIDENT, True)
    assert "rollout.stable" not in await shop.records()


async def test_a_restart_goes_on_where_it_was(shop: Shop) -> None:
    shop.release(NEW, 3)
    await shop.looks(minutes=6)
    shop.restart()
    await shop.looks(minutes=6)

    assert len(await shop.rollouts()) == 1
    assert "rollout.proven-good" in await shop.records(), "a short restart is no gap"


async def test_the_baseline_is_of_the_time_before_the_rollout(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    shop.release(NEW, 3)
    await shop.look()
    shop.metrics.asked_at.clear()
    await shop.look()

    new = (await shop.rollouts())[0]
    assert new.baseline is not None
    assert set(new.baseline) == {"restarts_per_hour", "error_ratio", "latency_p99_seconds", "memory_bytes"}
    assert set(shop.metrics.asked_at) == {new.started_at}


async def test_a_baseline_that_prometheus_cannot_say_now_is_asked_for_later(shop: Shop) -> None:
    shop.metrics.value = None
    shop.release(NEW, 3)
    await shop.looks(minutes=1)
    unknown = (await shop.rollouts())[0].baseline
    shop.metrics.value = 2.0
    await shop.looks(minutes=6)

    assert unknown is None
    baseline = (await shop.rollouts())[0].baseline
    assert baseline is not None
    assert set(baseline.values()) == {2.0}


async def test_an_alert_that_joins_an_open_incident_speaks_against_the_release_of_its_time(shop: Shop) -> None:
    """A release that was to mend what the one before broke, and does not."""
    shop.release(OLD, 2)
    await shop.look()
    await open_incident(shop)
    await shop.look()
    shop.release(NEW, 3)
    await shop.look()
    before = (await shop.rollouts())[0].incident_id
    await open_incident(shop, fingerprint="ffff")
    await shop.look()

    new, old = await shop.rollouts()
    assert before is None
    assert (new.state, new.incident_id) == (RolloutState.INCIDENT, old.incident_id)


async def test_a_gap_at_the_end_of_the_day_is_no_proof_of_stability(shop: Shop) -> None:
    """What fired meanwhile is not known; it has ten minutes to arrive."""
    shop.release(NEW, 3)
    await shop.looks(minutes=15)
    shop.clock.jump(hours=30)
    await shop.looks(minutes=2)
    early = (await shop.rollouts())[0].state
    await shop.looks(minutes=10)

    assert (early, (await shop.rollouts())[0].state) == (RolloutState.WATCHED, RolloutState.STABLE)
