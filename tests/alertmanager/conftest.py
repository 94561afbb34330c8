"""Fixtures: Alertmanagers on demand, the service, and the front between them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.alertmanager.front import Front
from tests.alertmanager.lab import Replica, Running, serving
from tests.cluster.binaries import Binaries

HERE = Path(__file__).parent

Start = Callable[..., Replica]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Programs of the rig are needed, so that these are deselected with the others that need them."""
    for item in items:
        if HERE in item.path.parents and "binaries" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.cluster)


@pytest.fixture
def alertmanager(binaries: Binaries, tmp_path: Path) -> Iterator[Start]:
    """Call it with a configuration, and flags; each call starts another one."""
    with ExitStack() as stack:
        started: list[Replica] = []

        def start(config: dict[str, Any], *flags: str) -> Replica:
            started.append(Replica(binaries, tmp_path / f"am-{len(started)}", config, flags=flags))
            return stack.enter_context(started[-1])

        yield start


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(tmp_path) as running:
        yield running


@pytest.fixture
async def front(service: Running) -> AsyncIterator[Front]:
    """It listens, and hands everything on until a test gives it another script."""
    async with Front(service.url) as one:
        await one.listen()
        yield one
