"""The cluster as one diagnosis sees it: reads only, counted, each read done once however many collectors want it.

`diagnose.py` puts it in front of the real one. A diagnosis reads while the cluster may be on its knees: what it asks of
the API server has to stay within a number that is known beforehand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Any

from remediator.errors import PermanentError, RemediatorError
from remediator.kube.base import Cluster, Logs
from remediator.model import Json, Request


class CallsUsedUp(PermanentError):
    """The diagnosis has asked the API server as often as it may."""


class Allowance:
    """A `Cluster` of at most `max_calls` reads; `used` counts them. An answer, also a refusal, is kept for the others.

    What collectors get is shared and must not be changed.
    """

    def __init__(self, cluster: Cluster, *, max_calls: int) -> None:
        self._cluster = cluster
        self._max_calls = max_calls
        self._answers: dict[Hashable, Any] = {}
        self._asking: dict[Hashable, asyncio.Lock] = {}
        self.used = 0

    @property
    def name(self) -> str:
        return self._cluster.name

    async def get(self, path: str) -> Json:
        return await self._once(("get", path), lambda: self._cluster.get(path))

    async def list(
        self,
        path: str,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
        limit: int | None = None,
    ) -> Sequence[Json]:
        def ask() -> Awaitable[Sequence[Json]]:
            return self._cluster.list(
                path,
                label_selector=label_selector,
                field_selector=field_selector,
                metadata_only=metadata_only,
                limit=limit,
            )

        found: Sequence[Json] = await self._once(
            ("list", path, label_selector, field_selector, metadata_only, limit), ask
        )
        return found

    async def logs(
        self, *, namespace: str, pod: str, container: str, previous: bool, tail_lines: int, limit_bytes: int
    ) -> Logs:
        self._count(f"log of {pod}/{container}")
        return await self._cluster.logs(
            namespace=namespace,
            pod=pod,
            container=container,
            previous=previous,
            tail_lines=tail_lines,
            limit_bytes=limit_bytes,
        )

    async def send(self, request: Request, *, dry_run: bool) -> Json:
        """Raises PermanentError: a diagnosis changes nothing, and asks for no dry run either."""
        raise PermanentError(f"{request.method} {request.path} not sent: a diagnosis only reads")

    async def is_ready(self) -> bool:
        return await self._cluster.is_ready()

    async def close(self) -> None:
        """The real cluster outlives the diagnosis."""

    def _count(self, what: str) -> None:
        if self.used >= self._max_calls:
            raise CallsUsedUp(f"{what} not asked for: all {self._max_calls} API calls of this diagnosis are used")
        self.used += 1

    async def _once(self, key: Hashable, ask: Callable[[], Awaitable[Any]]) -> Any:
        # Whoever waits for an asker that is cancelled asks again itself.
        async with self._asking.setdefault(key, asyncio.Lock()):
            if key not in self._answers:
                self._count(str(key))
                try:
                    self._answers[key] = await ask()
                except RemediatorError as error:
                    self._answers[key] = error
        answer = self._answers[key]
        if isinstance(answer, RemediatorError):
            raise answer
        return answer
