"""Calls that do not wait for each other, made at the same time. Called wherever a step reads several things.

Every task belongs to a group: when one call fails, or who waits for them is cancelled, the others end too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def together(*calls: Coroutine[Any, Any, T]) -> list[T]:
    """The answers in the order of the calls, after as long as one of them takes. The first error ends the others, and
    is raised as if that call had been made alone."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except BaseExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
