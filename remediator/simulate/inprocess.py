"""The real client on the embedded cluster without a socket: for stories, which play hours in a fraction of a second.

Everything of `kube/` but the connection is what a real API server is spoken to with: the paths and bodies, the repeats,
the errors that answers become. `replay.py` opens one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from remediator.clock import Clock
from remediator.kube.client import KubernetesCluster
from remediator.kube.exchange import Exchange
from remediator.kube.session import Reply
from remediator.simulate.api import Asked
from remediator.simulate.apiserver import EmbeddedCluster

USER_AGENT = "remediator"


class _Within:
    """The transport: a request is a call."""

    token = ""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self._cluster = cluster

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[_Within]:
        yield self

    async def renew(self, rejected: Any) -> bool:
        return False

    async def close(self) -> None: ...

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes | None,
        limit_seconds: float,
    ) -> Reply:
        asked = Asked(
            method=method,
            path=path,
            query=query,
            user_agent=USER_AGENT,
            dry_run=[query["dryRun"]] if "dryRun" in query else [],
            content_type=headers.get("Content-Type", ""),
            accept=headers.get("Accept", ""),
            body=body or b"",
        )
        await asyncio.sleep(0)  # others come in between, as they do over a wire
        code, answer = self._cluster.ask(asked)
        return Reply(code, {}, answer if isinstance(answer, bytes) else json.dumps(answer).encode())


def client_of(cluster: EmbeddedCluster, clock: Clock, *, name: str) -> KubernetesCluster:
    """The client of `kube/` on this cluster; its pauses pass on `clock`."""
    within = _Within(cluster)
    exchange = Exchange(within, clock, limit_seconds=10, total_seconds=45, max_concurrent=20)
    return KubernetesCluster(name, exchange=exchange, session=within, clock=clock)
