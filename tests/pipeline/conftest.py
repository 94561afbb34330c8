"""What several files of the pipeline's tests begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.model import Mode, State
from tests.pipeline.aftermath import Watched, observer_of
from tests.pipeline.world import world


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    """`shop/checkout` at a release that crashes, and the recommendation to roll it back."""
    async with world(mode=Mode.SILENT) as one:
        await one.receive()
        assert await one.run() is State.RECOMMENDED
        yield Watched(one, observer_of(one))
