"""What the deployment watch takes for a rollout, and when it says that it began and ended; with the real store."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.clock import rfc3339
from remediator.kube.rollout import meaningful_hash
from remediator.store.rollouts_base import RolloutState
from tests.unit.watch.shop import NEW, OLD, POLL, Shop
from tests.workloads import TARGET, template

RESTARTED = "kubectl.kubernetes.io/restartedAt"


async def test_what_was_there_before_the_first_look_has_no_exact_start(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()

    (one,) = await shop.rollouts()
    assert (one.state, one.is_exact, one.revision) == (RolloutState.WATCHED, False, 2)
    assert one.template_hash == meaningful_hash(OLD)
    assert one.images == {"app": "shop/checkout:1.4"}


async def test_a_change_between_two_looks_is_a_rollout_with_a_start(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    began = shop.clock.now()
    shop.release(NEW, 3, complete=False)
    await shop.look()

    new, old = await shop.rollouts()
    assert (old.state, old.ended_at) == (RolloutState.REPLACED, shop.clock.now())
    assert (new.state, new.is_exact, new.started_at) == (RolloutState.ROLLING_OUT, True, began)
    assert shop.counts == {"rolling-out": 1, "watched": 0, "stable": 0, "incident": 0}


async def test_it_is_watched_for_two_hours_from_its_completion(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    shop.release(NEW, 3, complete=False)
    await shop.looks(minutes=5)
    shop.release(NEW, 3)
    completed = shop.clock.now()
    await shop.look()

    new = (await shop.rollouts())[0]
    assert (new.state, new.completed_at) == (RolloutState.WATCHED, completed)
    assert new.watched_until == completed + timedelta(hours=2)


@pytest.mark.parametrize("pause_minutes", [0.5, 60])
async def test_an_end_that_nobody_saw_and_the_api_does_not_tell_is_not_recent(shop: Shop, pause_minutes: float) -> None:
    """After a gap the end may be as old as the start."""
    shop.release(OLD, 2)
    await shop.look()
    shop.release(NEW, 3, complete=False)
    await shop.look()
    shop.release(NEW, 3)
    shop.forget_conditions()
    await shop.look(after=pause_minutes * 60)

    new = (await shop.rollouts())[0]
    assert new.state is RolloutState.WATCHED
    assert new.completed_at == (shop.clock.now() if pause_minutes < 1 else new.started_at)


async def test_an_end_before_the_first_look_is_not_recent_either(shop: Shop) -> None:
    shop.release(NEW, 3)
    shop.forget_conditions()
    await shop.look(after=3600)

    (new,) = await shop.rollouts()
    assert (new.completed_at, new.first_seen_at) == (new.started_at, shop.clock.now())


async def test_what_went_away_has_ended(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    shop.cluster.remove("Deployment", "shop", "checkout")
    await shop.look()

    (one,) = await shop.rollouts()
    assert one.state is RolloutState.REPLACED


async def test_another_object_of_that_name_is_another_rollout(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    shop.release(OLD, 1, uid="d-2")
    await shop.look()

    assert [one.target.uid for one in await shop.rollouts()] == ["d-2", TARGET.uid]


async def test_the_present_rollout_of_an_object_is_what_decisions_take(shop: Shop) -> None:
    """Not the one before it, and not that of another object of this name."""
    shop.release(OLD, 2)
    await shop.look()
    shop.release(NEW, 3)
    await shop.look()

    found = await shop.database.rollouts.present_of(TARGET)
    assert found is not None
    assert (found.template_hash, found.is_exact) == (meaningful_hash(NEW), True)
    assert await shop.database.rollouts.present_of(replace(TARGET, uid="d-2")) is None


async def test_a_clock_that_was_set_back_is_a_gap(shop: Shop) -> None:
    """What the look before says of the time is then not to be trusted."""
    shop.release(OLD, 2)
    await shop.look()
    shop.clock.jump(hours=-3)
    shop.release(NEW, 3)
    await shop.look()

    new = (await shop.rollouts())[0]
    assert (new.is_exact, new.template_hash) == (False, meaningful_hash(NEW))


async def test_a_change_while_the_list_was_read_is_not_dated_after_it(shop: Shop) -> None:
    """The next look finds it, and must not think that it began after this one."""
    shop.release(OLD, 2)
    await shop.look()
    began = shop.clock.now()
    shop.cluster.slow_down(shop.clock, seconds=20)
    await shop.look(after=0)
    shop.release(NEW, 3, complete=False)
    shop.cluster.peek("ReplicaSet", "shop", "checkout-3")["metadata"]["creationTimestamp"] = rfc3339(began)
    await shop.look()

    assert (await shop.rollouts())[0].started_at == began


async def test_the_same_revision_read_differently_is_no_rollout(shop: Shop) -> None:
    """A new API server shows a new default, in the ReplicaSets too."""
    shop.release(NEW, 3)
    await shop.looks(minutes=15)
    other = template("shop/checkout:1.5")
    other["spec"]["shiny"] = "Default"
    item = shop.cluster.peek("Deployment", "shop", "checkout")
    item["spec"]["template"], item["metadata"]["generation"] = other, 4
    item["status"]["observedGeneration"] = 4
    shop.cluster.peek("ReplicaSet", "shop", "checkout-3")["spec"]["template"] = other
    await shop.look()

    (one,) = await shop.rollouts()
    assert one.template_hash == meaningful_hash(other)
    assert {line.template_hash for line in await shop.database.template_events(TARGET)} == {
        meaningful_hash(NEW),
        meaningful_hash(other),
    }, "it is as good under its new hash"


@pytest.mark.parametrize("pause", [POLL, 7200.0], ids=["between two looks", "in a gap"])
async def test_away_and_back_in_between_is_a_rollout_of_the_same_template(shop: Shop, pause: float) -> None:
    shop.release(OLD, 2)
    await shop.look()
    shop.release(NEW, 3)
    shop.release(OLD, 4)
    shop.cluster.remove("ReplicaSet", "shop", "checkout-2")  # it is number 4 now
    await shop.look(after=pause)

    again, first = await shop.rollouts()
    assert (again.template_hash, again.revision, again.ended_at) == (first.template_hash, 4, None)
    assert again.is_exact is (pause == POLL)


async def test_two_restarts_are_no_rollout(shop: Shop) -> None:
    shop.release(OLD, 2)
    await shop.look()
    for number in (3, 4):
        shop.release(template("shop/checkout:1.4", annotations={RESTARTED: str(number)}), number)
    await shop.look()

    (one,) = await shop.rollouts()
    assert one.revision == 4
