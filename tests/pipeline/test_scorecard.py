"""What happens after a recommendation without us, as scripted histories: each is judged by what was seen of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.kube.base import Forbidden, Unreachable
from remediator.kube.rollout import REVISION
from remediator.model import AlertStatus, Json, Mode, RemediationId, State
from remediator.rules.ruleset import rule_set
from remediator.score.observer import Observer, Pace
from remediator.sinks.metrics import MetricsSink
from remediator.store.base import CommittedRecord
from remediator.store.scores_base import Happened, Scored
from remediator.telemetry import Telemetry
from tests.pipeline.test_approvals import asked, say
from tests.pipeline.world import DEPLOYMENT, Shop, World, pod, rule, world
from tests.workloads import alert, replica_set, template

POLL = 30.0
WINDOW = timedelta(hours=1)
FIXED = template("shop/checkout:1.6")
FIRST = RemediationId(1)


@dataclass
class Watched:
    """A world after one recommendation, and who looks at what becomes of it."""

    world: World
    observer: Observer

    @property
    def shop(self) -> Shop:
        return self.world.shop

    async def looks(self, *, minutes: float) -> None:
        for _ in range(int(minutes * 60 / POLL)):
            self.world.clock.jump(seconds=POLL)
            await self.observer.look()

    def restart(self) -> None:
        """The process begins anew on the same database."""
        self.observer = observer_of(self.world)

    async def resolve(self) -> None:
        now = self.world.clock.now()
        await self.world.receive(alert(status=AlertStatus.RESOLVED, ends_at=now))

    async def score(self) -> Scored:
        found = await self.world.database.scores.score_of(FIRST)
        assert found is not None
        return found

    async def judged(self) -> list[CommittedRecord]:
        return [one for one in await self.world.records() if one.kind == "score.judged"]


def observer_of(one: World, **more: Any) -> Observer:
    return Observer(one.database.scores, cluster=one.shop, clock=one.clock, pace=Pace(POLL, WINDOW), **more)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    """`shop/checkout` at a release that crashes, and the recommendation to roll it back."""
    async with world(mode=Mode.SILENT) as one:
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        yield Watched(one, observer_of(one))


# -- what people and the cluster do to the shop


def changed(shop: Shop, edit: Callable[[Json], Any]) -> None:
    """A person changes the Deployment, and its controller observes that."""
    edit(shop.live)
    shop.live["metadata"]["generation"] += 1
    shop.live["status"]["observedGeneration"] = shop.live["metadata"]["generation"]


def roll_back(shop: Shop) -> None:
    changed(shop, lambda item: item["spec"].update(template=template("shop/checkout:1.4")))
    shop.settle()


def roll_out(shop: Shop, release: Json, *, number: int, at: datetime) -> None:
    """A further release, that works."""
    changed(shop, lambda item: item["spec"].update(template=release))
    shop.live["metadata"]["annotations"][REVISION] = str(number)
    fresh = replica_set(number, release, created=at) | {"kind": "ReplicaSet", "apiVersion": "apps/v1"}
    fresh["metadata"]["labels"] = {"app": "checkout"}
    shop.add(fresh)
    ready(shop, fresh, at=at)


def scale(shop: Shop, replicas: int) -> None:
    changed(shop, lambda item: item["spec"].update(replicas=replicas))


def heal(shop: Shop, *, at: datetime) -> None:
    """The release that crashed comes up by itself."""
    ready(shop, shop.peek("ReplicaSet", "shop", "checkout-3"), at=at)


def ready(shop: Shop, owner: Json, *, at: datetime) -> None:
    """Two pods of that ReplicaSet are ready, and there is no other."""
    for path in [path for path in shop._objects if "/pods/" in path]:
        del shop._objects[path]
    name = owner["metadata"]["name"]
    for letter in "ab":
        shop.add(pod(f"{name}-{letter}", owner, ready=True, since=at))
    shop.live["status"] |= {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}


def lose_a_pod(shop: Shop) -> None:
    shop.remove("Pod", "shop", "checkout-2-b")


# -- histories


async def test_a_person_rolls_back_and_it_recovers(watched: Watched) -> None:
    """The same thing: right, and what they needed longer is counted until the look before."""
    await watched.looks(minutes=10)
    roll_back(watched.shop)
    await watched.looks(minutes=1)
    await watched.resolve()
    await watched.looks(minutes=3)

    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right, one.is_harmful) == (Happened.SAME, True, False)
    assert one.judgement.saved == timedelta(minutes=10)
    assert watched.shop.writes() == []


async def test_every_judgement_is_a_record_of_its_incident(watched: Watched) -> None:
    roll_back(watched.shop)
    await watched.resolve()
    await watched.looks(minutes=5)

    [told] = await watched.judged()
    assert (told.remediation_id, told.incident_id) == (1, 1)
    assert {name: told.body[name] for name in ("rule", "action", "target", "happened", "judged", "harmful")} == {
        "rule": "crash-loop",
        "action": "rollback",
        "target": "shop/deployment/checkout",
        "happened": "person-did-the-same",
        "judged": "right",
        "harmful": False,
    }
    assert "the pod template that the plan would have restored was restored" in told.body["detail"]
    assert told.body["evidence"]["noticed"][0]["kind"] == "same"
    await watched.looks(minutes=90)
    assert len(await watched.judged()) == 1, "a case is judged once"


async def test_a_person_rolls_back_and_it_does_not_help(watched: Watched) -> None:
    """What we would have done did not help either: wrong. It is no worse, so it was no harm."""
    watched.shop.heals = False
    for name in "ab":  # what is ready before is what counts
        watched.shop.peek("Pod", "shop", f"checkout-2-{name}")["status"]["conditions"][0]["status"] = "False"
    await watched.looks(minutes=1)
    roll_back(watched.shop)
    await watched.looks(minutes=61)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right, one.is_harmful) == (Happened.SAME, False, False)


async def test_a_person_rolls_back_to_what_is_bad_itself(watched: Watched) -> None:
    """The template that we would have restored leaves fewer pods ready: we would have done harm."""
    watched.shop.heals = False
    await watched.looks(minutes=1)
    roll_back(watched.shop)
    await watched.looks(minutes=61)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right, one.is_harmful) == (Happened.SAME, False, True)
    assert "0 pods are ready, 2 were" in one.judgement.detail


async def test_a_person_fixes_it_forward(watched: Watched) -> None:
    await watched.looks(minutes=12)
    roll_out(watched.shop, FIXED, number=4, at=watched.world.clock.now())
    await watched.resolve()
    await watched.looks(minutes=5)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right, one.is_harmful) == (Happened.OTHER, False, False)
    assert "another pod template was put there" in one.judgement.detail
    assert one.judgement.saved is None


async def test_a_person_tries_something_else_and_then_the_same(watched: Watched) -> None:
    """Who comes to the same in the end agrees."""
    scale(watched.shop, 3)
    await watched.looks(minutes=5)
    scale(watched.shop, 2)
    await watched.looks(minutes=1)
    roll_back(watched.shop)
    await watched.resolve()
    await watched.looks(minutes=5)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right) == (Happened.SAME, True)


async def test_a_person_scales_and_it_does_not_help(watched: Watched) -> None:
    scale(watched.shop, 5)
    await watched.looks(minutes=61)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right) == (Happened.OTHER, None)


async def test_a_person_deletes_the_pod_and_it_recovers(watched: Watched) -> None:
    await watched.looks(minutes=2)
    heal(watched.shop, at=watched.world.clock.now())
    for letter in "ab":
        watched.shop.peek("Pod", "shop", f"checkout-3-{letter}")["metadata"]["uid"] = f"uid-new-{letter}"
    await watched.resolve()
    await watched.looks(minutes=5)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right) == (Happened.OTHER, False)
    assert "pod checkout-3-a was replaced" in one.judgement.detail


async def test_it_recovers_alone_at_once(watched: Watched) -> None:
    """Before the action could have helped: it was not needed. No pod of the release was ready: no harm."""
    await watched.looks(minutes=3)
    heal(watched.shop, at=watched.world.clock.now())
    await watched.resolve()
    await watched.looks(minutes=4)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right, one.is_harmful) == (Happened.ALONE, False, False)


async def test_it_recovers_alone_and_we_would_have_replaced_what_was_ready(watched: Watched) -> None:
    new = watched.shop.peek("ReplicaSet", "shop", "checkout-3")
    watched.shop.add(pod("checkout-3-b", new, ready=True, since=watched.world.clock.now()))
    await watched.looks(minutes=3)
    heal(watched.shop, at=watched.world.clock.now())
    await watched.resolve()
    await watched.looks(minutes=4)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right, one.is_harmful) == (Happened.ALONE, False, True)
    assert "would have replaced 1 ready pods" in one.judgement.detail


async def test_it_recovers_alone_when_the_action_might_have_helped_sooner(watched: Watched) -> None:
    await watched.looks(minutes=20)
    heal(watched.shop, at=watched.world.clock.now())
    await watched.resolve()
    await watched.looks(minutes=4)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right, one.is_harmful) == (Happened.ALONE, None, False)


async def test_it_gets_worse(watched: Watched) -> None:
    """That something had to be done does not say that this was it."""
    await watched.looks(minutes=5)
    lose_a_pod(watched.shop)
    await watched.looks(minutes=56)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right) == (Happened.WORSE, None)


async def test_nothing_happens_at_all(watched: Watched) -> None:
    await watched.looks(minutes=59)
    assert (await watched.score()).judgement is None, "its time is not over"
    await watched.looks(minutes=2)
    one = await watched.score()
    assert one.judgement is not None
    assert (one.judgement.happened, one.is_right) == (Happened.UNKNOWN, None)
    assert "is no worse" in one.judgement.detail


async def test_an_alert_that_ends_says_nothing_while_the_workload_is_broken(watched: Watched) -> None:
    """The message also comes when Prometheus dies."""
    await watched.resolve()
    await watched.looks(minutes=61)
    one = await watched.score()
    assert one.judgement is not None
    assert one.judgement.happened is Happened.UNKNOWN


# -- restarts, gaps and what cannot be read


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
    """The negative control of `test_it_recovers_alone_at_once`: the same, but for the looks between."""
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


# -- which recommendations


async def test_a_rule_that_is_refused_recommends_nothing_that_is_scored() -> None:
    """A guard would have kept active mode from it as well."""
    async with world(mode=Mode.SILENT) as one:
        one.shop.live["metadata"]["annotations"]["remediator.io/pause-until"] = "2030-01-01T00:00:00Z"
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        assert await one.database.scores.scored() == []


async def test_what_the_rule_only_recommends_is_not_scored() -> None:
    async with world(mode=Mode.SILENT, rules=rule_set([rule(respond=[{"do": "escalate"}])])) as one:
        await one.receive()
        assert await one.run() is State.ESCALATED
        assert await one.database.scores.scored() == []


async def test_what_nobody_approved_is_judged_by_what_happens() -> None:
    async with world(mode=Mode.APPROVE) as one:
        await asked(one)
        assert await one.run() is State.EXPIRED
        watched = Watched(one, observer_of(one))
        roll_back(one.shop)
        await watched.resolve()
        await watched.looks(minutes=5)
        found = await watched.score()
        assert found.judgement is not None
        assert (found.judgement.happened, found.mode) == (Happened.SAME, "approve")


async def test_what_was_approved_is_judged_by_its_verification() -> None:
    async with world(mode=Mode.APPROVE) as one:
        await say(one, await asked(one))
        watched = Watched(one, observer_of(one))
        assert await one.run() is State.VERIFIED
        await watched.looks(minutes=90)
        found = await watched.score()
        assert found.judgement is not None
        assert (found.judgement.happened, found.is_right) == (Happened.APPROVED, True)
        assert await watched.judged() == [], "its own outcome is the record"


async def test_what_was_approved_and_did_not_help_was_wrong() -> None:
    async with world(mode=Mode.APPROVE) as one:
        one.shop.heals = False
        await say(one, await asked(one))
        await one.run()
        [found] = await one.database.scores.scored()
        assert (found.is_right, found.is_harmful) == (False, False)


async def test_judgements_are_counted(watched: Watched) -> None:
    roll_back(watched.shop)
    await watched.resolve()
    await watched.looks(minutes=5)
    [told] = await watched.judged()
    telemetry = Telemetry.create(version="1", mode=Mode.SILENT)
    await MetricsSink(telemetry).tell(told)
    await MetricsSink(telemetry).tell(replace(told, body={**told.body, "judged": "wrong", "harmful": True}))
    _, text = telemetry.exposition("")
    telemetry.shutdown()
    lines = text.decode()
    labels = 'happened="person-did-the-same",judged="right",rule="crash-loop"'
    assert f"remediator_recommendations_scored_total{{{labels}}} 1.0" in lines
    assert 'remediator_recommendations_harmful_total{rule="crash-loop"} 1.0' in lines


async def test_the_observer_only_reads(watched: Watched) -> None:
    sent = len(watched.shop.sent)
    await watched.looks(minutes=61)
    assert len(watched.shop.sent) == sent
