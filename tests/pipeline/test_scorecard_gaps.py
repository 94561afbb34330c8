"""The scorecard over restarts, times in which nobody looked, and what could not be read: unknown is never right."""

from __future__ import annotations

from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from remediator.kube.base import Forbidden, Unreachable
from remediator.model import Mode, State
from remediator.store.scores_base import Happened
from tests.pipeline.aftermath import FIRST, POLL, Watched, heal, observer_of, roll_back
from tests.pipeline.world import DEPLOYMENT
from tests.workloads import alert


async def test_a_restart_in_the_middle_forgets_nothing(watched: Watched) -> None:
    await watched.looks(minutes=5)
    roll_back(watched.shop)
    await watched.looks(minutes=1)
    watched.restart()
    await watched.resolve()
    await watched.looks(minutes=4)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right) == (Happened.SAME, True)
    assert one.judgement.saved == timedelta(minutes=5)


async def test_what_a_person_did_while_nobody_looked_is_seen_afterwards(watched: Watched) -> None:
    """Time saved counts to the last look before: never more than the truth."""
    await watched.looks(minutes=5)
    watched.world.clock.jump(minutes=20)
    roll_back(watched.shop)
    await watched.resolve()
    watched.restart()
    await watched.looks(minutes=4)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right, one.judgement.saved) == (Happened.SAME, True, timedelta(minutes=5))


async def test_what_recovered_while_nobody_looked_is_unknown(watched: Watched) -> None:
    """The negative control of `test_it_recovers_alone_at_once` (`test_scorecard.py`): the same, but for the looks."""
    await watched.looks(minutes=1)
    watched.world.clock.jump(minutes=2)
    heal(watched.shop, at=watched.world.clock.now())
    await watched.resolve()
    watched.world.clock.jump(minutes=2)
    await watched.looks(minutes=4)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right) == (Happened.UNKNOWN, None)
    assert "nobody looked" in one.judgement.detail


async def test_what_ended_long_before_the_next_look_is_unknown(watched: Watched) -> None:
    await watched.looks(minutes=1)
    watched.world.clock.jump(hours=5)
    roll_back(watched.shop)
    await watched.looks(minutes=1)
    one = await watched.score()
    assert one.judgement is not None
    assert one.judgement.happened is Happened.UNKNOWN


async def test_a_round_that_sees_nothing_at_all_is_told_apart(watched: Watched) -> None:
    """Another replica may see it; of a round without a case nothing is known."""
    rounds: list[bool] = []
    watched.observer = observer_of(watched.world, went=rounds.append)
    watched.shop.errors[DEPLOYMENT] = Unreachable("away")
    for _ in range(2):
        watched.world.clock.jump(seconds=POLL)
        await watched.observer.look()
        watched.shop.errors.clear()
    assert await watched.observer.look() == 0
    assert rounds == [False, True]


@pytest.mark.parametrize("error", [Unreachable("away"), Forbidden("deployments")])
async def test_what_cannot_be_read_is_unknown_at_its_end(watched: Watched, error: Exception) -> None:
    watched.shop.errors[DEPLOYMENT] = error
    await watched.looks(minutes=59)
    assert await watched.judged() == []
    await watched.looks(minutes=2)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.judgement.detail) == (Happened.UNKNOWN, "its target could not be read once")


async def test_what_another_version_remembered_is_looked_at_anew(watched: Watched) -> None:
    """An upgrade in the middle stops nothing: the time before it is a gap."""
    await watched.looks(minutes=5)
    now = watched.world.clock.now()
    scores = watched.world.database.scores
    [case] = await scores.open_cases(at=now + timedelta(hours=1), limit=1)
    assert await scores.keep_look(FIRST, seen={"former": "form"}, after=case.looked_at, at=now, due_at=now)
    roll_back(watched.shop)
    await watched.resolve()
    await watched.looks(minutes=5)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.judgement.saved) == (Happened.SAME, timedelta())


async def test_a_look_that_fails_is_made_up_for_by_the_next(watched: Watched) -> None:
    await watched.looks(minutes=3)
    watched.shop.errors[DEPLOYMENT] = Unreachable("away")
    await watched.looks(minutes=1)
    del watched.shop.errors[DEPLOYMENT]
    heal(watched.shop, at=watched.world.clock.now())
    await watched.resolve()
    await watched.looks(minutes=4)
    one = await watched.score()
    assert one.judgement is not None
    assert one.judgement.happened is Happened.ALONE


async def test_what_we_did_ourselves_is_not_without_us(watched: Watched) -> None:
    """Another rule acts on the same target: nothing that follows says anything of this one."""
    one = watched.world
    one.mode = Mode.ACTIVE
    one.clock.jump(minutes=16)  # the shadow of the cooldown
    await one.receive(alert(fingerprint="ffff", starts_at=one.clock.now()))
    assert await one.one_pass() is State.VERIFYING
    assert len(watched.shop.writes()) == 1
    await watched.looks(minutes=1)
    judged = (await watched.score()).judgement
    assert judged is not None
    assert judged.happened is Happened.UNKNOWN
    assert "remediator itself acted" in judged.detail


async def test_a_target_that_is_not_understood_is_named_once_and_keeps_no_other_from_being_looked_at(
    watched: Watched,
) -> None:
    """It is judged in its time, by what was seen of it."""
    watched.shop.live["spec"]["template"]["spec"] = "?"
    with capture_logs() as lines:
        await watched.looks(minutes=61)
    assert [line["object"] for line in lines if "object" in line] == ["shop/deployment/checkout"]
    one = await watched.score()
    assert one.judgement is not None
    assert one.judgement.happened is Happened.UNKNOWN
