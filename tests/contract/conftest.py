"""What the contracts are held against: the store on each database, and the clusters."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from remediator.clock import SystemClock
from remediator.kube.base import NotFound
from remediator.store.database import Database
from remediator.store.opening import open_database
from tests.contract.kube_scenarios import World, embedded_world, real_world, until


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url, clock=SystemClock())
    yield database
    await database.close()


@pytest.fixture(scope="module", params=["embedded", "in process", pytest.param("real", marks=pytest.mark.cluster)])
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Which cluster; of the real one a namespace of its own, made once for the whole module."""
    if request.param != "real":
        yield request.param
        return
    control_plane = request.getfixturevalue("control_plane")
    name = f"contract-{secrets.token_hex(3)}"
    control_plane.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    yield control_plane, name
    control_plane.request("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
async def world(place: Any) -> AsyncIterator[World]:
    is_embedded = isinstance(place, str)
    async with embedded_world(in_process=place == "in process") if is_embedded else real_world(*place) as opened:
        account = opened.path("ServiceAccount", "default")

        async def is_usable() -> bool:
            try:
                return bool(await opened.cluster.get(account))
            except NotFound:
                return False

        await until(is_usable, "the default ServiceAccount")
        yield opened
