"""All collectors on the embedded cluster through the real client: what the demo and the simulations diagnose with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from remediator.clock import SystemClock
from remediator.diagnose import COLLECTORS
from remediator.diagnose.base import Scene
from remediator.diagnose.diagnose import diagnose
from remediator.kube.base import NotFound, path_of
from remediator.kube.client import connect
from remediator.kube.workload import read_workload
from remediator.model import Cause, Target
from remediator.simulate.apiserver import EmbeddedCluster
from remediator.simulate.workloads import deployment, disruption_budget
from tests.workloads import alert


def has_crashed(pod: Any) -> bool:
    return any(one["restartCount"] for one in pod["status"].get("containerStatuses", ()))


async def test_every_collector_gets_an_answer_of_the_embedded_cluster() -> None:
    """Add-ons are not installed there: that is "none", as on a real cluster without them."""
    clock = SystemClock()
    async with EmbeddedCluster(clock, tick_seconds=0.02, start_seconds=0.05, backoff_seconds=0.1) as embedded:
        made = embedded.apply(deployment("shop", "web", image="shop/web:1-crash"))
        embedded.apply(disruption_budget("shop", "guard", app="web"))
        async with asyncio.timeout(10):
            while not all(map(has_crashed, embedded.list("Pod", "shop"))):
                await clock.sleep(0.02)
        cluster = await connect(name="lab", server=embedded.url)
        try:
            target = Target("lab", "Deployment", "shop", "web", made["metadata"]["uid"])
            picture = await read_workload(target, cluster, clock)
            assert picture is not None
            found = await diagnose(list(COLLECTORS), Scene(target, alert(), picture, cluster, None, clock.now()))
            for kind in ("VerticalPodAutoscaler", "ScaledObject"):
                with pytest.raises(NotFound):
                    await cluster.list(path_of(kind, namespace="shop"))
        finally:
            await cluster.close()

    kinds = {one.kind for one in found.findings}
    assert found.cause is Cause.CODE_ERROR
    assert {"autoscaling", "disruption-budgets", "headroom", "endpoints", "node", "log"} <= kinds
    unread = {one.summary for one in found.findings if one.kind == "unavailable"}
    assert unread == {f"could not read {what}: no Prometheus is configured" for what in ("memory", "CPU")}
    [budgets] = [one.facts["budgets"] for one in found.findings if one.kind == "disruption-budgets"]
    assert [one["name"] for one in budgets] == ["guard"]
