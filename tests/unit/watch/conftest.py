"""What the tests of the deployment watch begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.store.opening import open_database
from tests.clocks import FakeClock
from tests.unit.watch.shop import Shop


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    clock = FakeClock()
    database = await open_database("sqlite:///:memory:", clock=clock)
    yield Shop(database, clock)
    await database.close()
