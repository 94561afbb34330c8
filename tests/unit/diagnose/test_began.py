"""`began-with-rollout`: whether the alert began after the rollout did, while the deployment is watched."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from remediator.clock import rfc3339
from remediator.diagnose.base import Scene
from remediator.model import Finding
from tests.fakes import FakeCluster
from tests.unit.diagnose.scenes import collect
from tests.workloads import NOW, ROLLOUT_AT, TARGET, alert, deployment, replica_set, template, workload


async def began(alert_at: datetime, *, reused: bool = False, completed: datetime | None = ROLLOUT_AT) -> list[Finding]:
    item = deployment(template())
    item["status"]["conditions"][0] |= {"lastUpdateTime": rfc3339(completed or NOW)}
    if completed is None:
        item["status"]["conditions"][0]["reason"] = "ReplicaSetUpdated"
    sets = (replica_set(3, template(), created=ROLLOUT_AT, reused=reused),)
    picture = workload(object=item, replica_sets=sets)
    scene = Scene(TARGET, alert(starts_at=alert_at), picture, FakeCluster(), None, NOW)
    return [one for one in await collect("rollout", scene) if one.kind == "began-with-rollout"]


@pytest.mark.parametrize(
    ("minutes", "expected"), [(-1, False), (0, True), (1, True), (120, True), (121, False)], ids=str
)
async def test_the_alert_began_after_the_rollout_and_within_two_hours(minutes: int, expected: bool) -> None:
    at = ROLLOUT_AT + timedelta(minutes=minutes)

    [found] = await began(at)

    assert found.facts == {
        "began": expected,
        "rollout_started_at": rfc3339(ROLLOUT_AT),
        "alert_started_at": rfc3339(at),
    }


async def test_a_long_rollout_is_watched_from_its_end() -> None:
    [found] = await began(ROLLOUT_AT + timedelta(minutes=150), completed=ROLLOUT_AT + timedelta(minutes=40))

    assert found.facts["began"] is True


async def test_of_a_replica_set_used_before_only_the_end_of_the_rollout_is_proven() -> None:
    """Its creation is older than the rollout, so that an alert in between may be older too: not known."""
    completed = ROLLOUT_AT + timedelta(minutes=5)

    assert await began(ROLLOUT_AT + timedelta(minutes=2), reused=True, completed=completed) == []
    assert await began(ROLLOUT_AT + timedelta(minutes=2), reused=True, completed=None) == []
    [after] = await began(ROLLOUT_AT + timedelta(minutes=6), reused=True, completed=completed)
    assert after.facts["began"] is True
