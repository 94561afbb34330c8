"""The store that the contract is held against, on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.clock import SystemClock
from remediator.store.database import Database, open_database


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Database]:
    database = await open_database(database_url, clock=SystemClock())
    yield database
    await database.close()
