"""What happens after a recommendation without us, as scripted histories: each is judged by what was seen of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from remediator.model import Mode
from remediator.sinks.metrics import MetricsSink
from remediator.store.scores_base import Happened
from remediator.telemetry import Telemetry
from tests.pipeline.aftermath import FIXED, Watched, heal, lose_a_pod, roll_back, roll_out, scale
from tests.pipeline.world import pod


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
