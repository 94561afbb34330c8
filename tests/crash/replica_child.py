"""A replica of the service as a process that can be stopped at a named moment: `python -m ... replica_child FILE`.

The file is JSON: `name`, `settings`, `lease_seconds`, `clock_ahead_seconds`, `has_gate`, and `trap`, a file that says
where whoever gets there first is to stop: `POINT SIGNAL`. It is then renamed to `TRAP.taken`, with the name in it. The
wiring is that of `app.open_service`, with the store and the way to the API server wrapped.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from remediator.access.loading import AccessFiles, known_access
from remediator.anchor.opening import log_keys
from remediator.app import PASS_SHARE, Service
from remediator.kube.client import KubernetesCluster
from remediator.kube.credentials import find_source
from remediator.kube.exchange import Carrying, Exchange
from remediator.kube.session import Reply, Session
from remediator.log_format import configure_logging
from remediator.model import Json, Remediation, Request
from remediator.prometheus.client import PrometheusMetrics
from remediator.rules.table import rule_table
from remediator.settings import Settings
from remediator.store.database import Database
from remediator.store.opening import open_database
from remediator.telemetry import Telemetry

BEFORE_GATE, AFTER_GATE, ON_THE_WIRE = "before-gate", "after-gate", "on-the-wire"
"""Before the store is asked; when it has said yes; when all that we look at was looked at, and the bytes are out: these
nobody takes back, whatever becomes of the pass."""


class AheadClock:
    """The machine's clock, and so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._ahead = timedelta(seconds=seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Trap:
    """Stops or kills this process where the file says, if no other replica was there before."""

    def __init__(self, file: Path, *, name: str) -> None:
        self._file = file
        self._name = name

    def at(self, point: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            wanted, number = self._file.read_text().split()
            if wanted != point:
                return
            mine = self._file.with_suffix(f".{self._name}")
            self._file.rename(mine)  # of two that come here one goes on
            mine.write_text(self._name)
            mine.rename(self._file.with_suffix(".taken"))
            os.kill(os.getpid(), int(number))


class TrappedStore:
    """The store, with the point before the gate; without the gate it always says yes."""

    def __init__(self, database: Database, trap: Trap, *, has_gate: bool) -> None:
        self._database = database
        self._trap = trap
        self._has_gate = has_gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def renew(self, remediation: Remediation, *, at: datetime, lease: timedelta) -> None:
        self._trap.at(BEFORE_GATE)
        if self._has_gate:
            await self._database.renew(remediation, at=at, lease=lease)


class TrappedCluster(KubernetesCluster):
    """With the point behind the gate. Without the gate no claim ends, and no pass."""

    trap: Trap
    has_gate = True

    async def send(self, request: Request, *, dry_run: bool) -> Json:
        if not dry_run and request.method == "PATCH":
            self.trap.at(AFTER_GATE)
        if self.has_gate:
            return await super().send(request, dry_run=dry_run)
        return await asyncio.shield(super().send(replace(request, not_after=None), dry_run=dry_run))


class TrappedCarrier:
    def __init__(self, inner: Carrying, trap: Trap) -> None:
        self._inner = inner
        self._trap = trap
        self.token = inner.token

    async def request(self, method: str, path: str, *, query: Mapping[str, str], **rest: Any) -> Reply:
        if method == "PATCH" and "dryRun" not in query:
            self._trap.at(ON_THE_WIRE)
            return await asyncio.shield(self._inner.request(method, path, query=query, **rest))
        return await self._inner.request(method, path, query=query, **rest)


class TrappedSession:
    """The way to the API server, with the point right before the bytes go out."""

    def __init__(self, session: Session, trap: Trap) -> None:
        self._session = session
        self._trap = trap

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Carrying]:
        async with self._session.connection() as used:
            yield TrappedCarrier(used, self._trap)

    async def renew(self, rejected: Any) -> bool:
        return await self._session.renew(rejected)

    async def close(self) -> None:
        await self._session.close()


async def main(given: Mapping[str, Any]) -> None:
    # Shorter than what is sensible, so that the tests need not wait for a minute.
    lease = {"lease_seconds": given["lease_seconds"]}
    settings = Settings.load(None, given["settings"]).model_copy(update=lease)
    configure_logging("info", log_format="logfmt")
    clock = AheadClock(given.get("clock_ahead_seconds", 0))
    has_gate = given.get("has_gate", True)
    trap = Trap(Path(given["trap"]), name=given["name"])
    limit = settings.lease_seconds * (1 - PASS_SHARE)
    source = find_source(kubeconfig=None, context=None, server=settings.kube_server)
    agent = f"remediator/{given['name']}"
    session = await Session.open(source, max_connections=20, user_agent=agent, limit_seconds=limit)
    way = TrappedSession(session, trap)
    exchange = Exchange(way, clock, limit_seconds=limit, total_seconds=45, max_concurrent=20)
    cluster = TrappedCluster(settings.cluster_name, exchange=exchange, session=way, clock=clock)
    cluster.trap, cluster.has_gate = trap, has_gate
    keys = log_keys(settings)
    database = await open_database(settings.storage_url, clock=clock, keys=keys, log_name=settings.cluster_name)
    assert settings.prometheus_url is not None
    service = Service(
        settings,
        clock=clock,
        telemetry=Telemetry.create(version="test", mode=settings.mode),
        database=TrappedStore(database, trap, has_gate=has_gate),  # type: ignore[arg-type]
        cluster=cluster,
        metrics=PrometheusMetrics(settings.prometheus_url, clock),
        table=rule_table(settings.rules),
        access=known_access(AccessFiles()),
        keys=keys,
    )
    await service.start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, service.stop)
    print(service.port, flush=True)
    await service.run()
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
