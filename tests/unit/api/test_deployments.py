"""`/api/v1/deployments` and what the command line makes of it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from remediator.cli.deployments import list_deployments, show_deployment
from remediator.model import Target
from remediator.store.rollouts_base import Look, Rollout, RolloutState
from tests.unit.api.service import Service, running

TARGET = Target("lab", "Deployment", "shop", "checkout", "d-1")


async def with_rollouts(service: Service) -> None:
    """An old release, and the one that took its place an hour ago, with what was measured before it."""
    now = service.clock.now()
    old = Rollout(
        id=None,
        target=TARGET,
        template_hash="old",
        revision=2,
        images={"app": "shop/checkout:1.4"},
        started_at=now - timedelta(days=3),
        is_exact=True,
        first_seen_at=now - timedelta(days=3),
        completed_at=now - timedelta(days=3),
        watched_until=now - timedelta(days=2),
        deployed_by="kubectl",
        state=RolloutState.REPLACED,
        ended_at=now - timedelta(hours=1),
    )
    new = Rollout(
        id=None,
        target=TARGET,
        template_hash="new",
        revision=3,
        images={"app": "shop/checkout:1.5"},
        started_at=now - timedelta(hours=1),
        is_exact=True,
        first_seen_at=now - timedelta(hours=1),
        completed_at=now - timedelta(minutes=59),
        watched_until=now + timedelta(minutes=61),
        deployed_by="helm",
        state=RolloutState.WATCHED,
        baseline={"restarts_per_hour": 0.0, "error_ratio": 0.01, "latency_p99_seconds": None, "memory_bytes": 2.0**27},
    )
    await service.store.rollouts.keep(Look("lab", at=now, began_at=now, changes=(old, new)))


async def test_present_rollouts_are_listed_and_the_watched_alone_on_request() -> None:
    async with running() as service:
        await with_rollouts(service)
        status, all_of_them = await service.ask("GET", "/api/v1/deployments")
        _, watched = await service.ask("GET", "/api/v1/deployments?watched=true")

    assert status == 200
    assert [(item["namespace"], item["name"], item["state"]) for item in all_of_them["deployments"]] == [
        ("shop", "checkout", "watched")
    ]
    assert watched["deployments"] == all_of_them["deployments"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "watched=maybe"])
async def test_a_wrong_question_is_refused_with_its_name(query: str) -> None:
    async with running() as service:
        status, answer = await service.ask("GET", f"/api/v1/deployments?{query}")

    assert status == 400
    assert query.partition("=")[0] in answer["error"]


async def test_a_deployment_that_nobody_saw_is_not_found() -> None:
    async with running() as service:
        status, _ = await service.ask("GET", "/api/v1/deployments/shop/nobody")

    assert status == 404


async def test_the_command_line_shows_the_list_and_one_with_its_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    async with running() as service:
        await with_rollouts(service)
        url = f"http://127.0.0.1:{service.port}"
        codes = [
            await asyncio.to_thread(list_deployments, url, "simple"),
            await asyncio.to_thread(show_deployment, url, "shop/checkout", "simple"),
            await asyncio.to_thread(show_deployment, url, "shop/checkout", "json"),
            await asyncio.to_thread(show_deployment, url, "checkout", "simple"),
            await asyncio.to_thread(show_deployment, url, "shop/nobody", "simple"),
        ]

    out, err = capsys.readouterr()
    assert codes == [0, 0, 0, 2, 1]
    for words in ("DEPLOYMENT", "shop/checkout", "watched", "helm", "shop/checkout:1.5", "error_ratio", "unknown"):
        assert words in out, words
    assert "expected NAMESPACE/NAME" in err
