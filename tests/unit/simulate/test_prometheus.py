"""The embedded Prometheus, asked by the client of the service."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta

import aiohttp
import pytest

from remediator.clock import SystemClock
from remediator.prometheus.base import PrometheusUnavailable, Sample
from remediator.prometheus.client import PrometheusMetrics
from remediator.simulate.alertrules import CRASH_LOOPING, POD_NOT_READY, REPLICAS_MISMATCH, kubernetes_rules
from remediator.simulate.prometheus import EmbeddedPrometheus, Trouble
from remediator.simulate.workloads import deployment
from tests.unit.simulate.worlds import StillWorld


@dataclass
class Watched:
    world: StillWorld
    prometheus: EmbeddedPrometheus
    client: PrometheusMetrics

    def run(self, seconds: int) -> None:
        """Let time pass, with an evaluation each 30 seconds."""
        for second in range(seconds):
            self.world.run(1)
            if second % 30 == 29:
                self.prometheus.evaluate()


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    world = StillWorld()
    rules = [replace(rule, hold=timedelta(minutes=1)) for rule in kubernetes_rules()]
    async with EmbeddedPrometheus(world.clock, world.cluster, rules=rules, external_labels={"cluster": "c"}) as served:
        client = PrometheusMetrics(served.url, SystemClock(), read_seconds=0.5)
        yield Watched(world, served, client)
        await client.close()


def crash(watched: Watched) -> None:
    watched.world.cluster.apply(deployment("shop", "web", image="web:crash", replicas=1))
    watched.run(5)


async def test_is_ready(watched: Watched) -> None:
    assert await watched.client.is_ready()


async def test_a_known_expression_is_answered_from_the_cluster(watched: Watched) -> None:
    assert await watched.client.query(CRASH_LOOPING) == []
    crash(watched)
    (sample,) = await watched.client.query(CRASH_LOOPING)
    (pod,) = watched.world.pods()
    assert sample.value == 1
    assert (sample.labels["pod"], sample.labels["uid"]) == (pod["metadata"]["name"], pod["metadata"]["uid"])
    assert (sample.labels["namespace"], sample.labels["container"]) == ("shop", "app")
    assert sample.labels["reason"] == "CrashLoopBackOff"


async def test_an_unknown_expression_is_never_taken_for_nothing(watched: Watched) -> None:
    with pytest.raises(PrometheusUnavailable, match="does not know this expression"):
        await watched.client.query("up")


async def test_it_does_not_speak_of_the_past(watched: Watched) -> None:
    with pytest.raises(PrometheusUnavailable, match="no history"):
        await watched.client.query(CRASH_LOOPING, at=watched.world.clock.now() - timedelta(hours=1))


async def test_an_expression_can_be_added(watched: Watched) -> None:
    watched.prometheus.answer_query("up", lambda cluster, now: [Sample({"job": "x"}, 0.5)])
    assert await watched.client.query("up") == [Sample({"job": "x"}, 0.5)]


async def test_a_crash_loop_is_remembered_for_five_minutes(watched: Watched) -> None:
    crash(watched)
    await watched.client.query(CRASH_LOOPING)
    watched.world.cluster.patch_image("shop", "web", "web:2")
    watched.run(240)
    assert len(await watched.client.query(CRASH_LOOPING)) == 1
    watched.run(90)
    assert await watched.client.query(CRASH_LOOPING) == []


async def test_a_replicas_mismatch_waits_for_ten_quiet_minutes(watched: Watched) -> None:
    watched.world.cluster.apply(deployment("shop", "web", image="web:1", replicas=4))
    watched.run(30)
    watched.world.cluster.patch_image("shop", "web", "web:neverready")
    watched.run(60)
    assert await watched.client.query(REPLICAS_MISMATCH) == []
    watched.run(660)
    (sample,) = await watched.client.query(REPLICAS_MISMATCH)
    assert (sample.labels["namespace"], sample.labels["deployment"]) == ("shop", "web")


async def test_a_pending_pod_is_not_ready_but_a_running_one_is_not_counted(watched: Watched) -> None:
    for image in ("web:noconfig", "api:neverready"):
        name = image.partition(":")[0]
        watched.world.cluster.apply(deployment("shop", name, image=image, replicas=1))
    watched.run(5)
    assert [sample.labels["pod"][:4] for sample in await watched.client.query(POD_NOT_READY)] == ["web-"]


async def test_a_rule_is_pending_before_it_fires(watched: Watched) -> None:
    crash(watched)
    assert watched.prometheus.alerts() == []
    watched.run(90)
    names = {alert.labels["alertname"]: alert for alert in watched.prometheus.alerts()}
    alert = names["KubePodCrashLooping"]
    assert alert.fired_at is not None
    assert timedelta(minutes=1) <= alert.fired_at - alert.active_at <= timedelta(seconds=90)
    assert (alert.labels["cluster"], alert.labels["severity"]) == ("c", "warning")
    assert alert.annotations["description"].startswith("Pod shop/web-")


async def test_the_loaded_rules_are_listed_by_name(watched: Watched) -> None:
    (before,) = await watched.client.alerting_rules("KubePodCrashLooping")
    assert (before.health, before.last_evaluated_at) == ("unknown", None)
    watched.prometheus.evaluate()
    (rule,) = await watched.client.alerting_rules("KubePodCrashLooping")
    assert (rule.query, rule.labels, rule.interval_seconds) == (CRASH_LOOPING, {"severity": "warning"}, 30)
    assert (rule.health, rule.last_evaluated_at) == ("ok", watched.world.clock.now())
    assert await watched.client.alerting_rules("Nobody") == []


async def test_a_query_may_come_as_a_form(watched: Watched) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.post(watched.prometheus.url + "/api/v1/query", data={"query": CRASH_LOOPING}) as response,
    ):
        answer = await response.json()
    assert answer == {"status": "success", "data": {"resultType": "vector", "result": []}}


@pytest.mark.parametrize("trouble", [Trouble.DOWN, Trouble.SLOW, Trouble.GARBAGE])
async def test_in_trouble_it_gives_no_usable_answer(watched: Watched, trouble: Trouble) -> None:
    watched.prometheus.trouble = trouble
    with pytest.raises(PrometheusUnavailable):
        await watched.client.query(CRASH_LOOPING)
