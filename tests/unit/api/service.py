"""The whole HTTP face on loopback, over a real store in memory, for the tests of the API."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientSession
from opentelemetry.sdk.trace.export import SpanExporter

from remediator.access.authenticate import Authenticator
from remediator.access.base import Credential
from remediator.access.credentials import Credentials
from remediator.access.loading import Access
from remediator.access.passwords import Passwords
from remediator.anchor.file import FileAnchor
from remediator.anchor.keeper import LogKeeper
from remediator.api.answers import Part
from remediator.api.application import build_application
from remediator.api.audit import AuditRoutes
from remediator.api.budgets import BudgetRoutes
from remediator.api.control import ControlRoutes
from remediator.api.deployments import DeploymentRoutes
from remediator.api.escalations import EscalationRoutes
from remediator.api.exporting import ExportRoutes
from remediator.api.hosts import Hosts
from remediator.api.operating import OperatingRoutes
from remediator.api.reading import IncidentRoutes
from remediator.api.reports import ReportRoutes, Sources
from remediator.api.scorecard import ScoreRoutes
from remediator.api.server import HttpServer
from remediator.errors import ConfigError
from remediator.guards.stop import Stop, stopped_by_switch
from remediator.prometheus.base import Metrics
from remediator.receive.base import Quarantined
from remediator.receive.server import Receiver
from remediator.rules.load import load_rules
from remediator.rules.ruleset import RuleSet
from remediator.rules.shipped import shipped_rules
from remediator.score.promotion import Bar
from remediator.settings import Settings
from remediator.store.base import Record
from remediator.store.database import Database
from remediator.store.log import LogKeys
from remediator.store.opening import open_database
from remediator.telemetry import Telemetry
from tests.logkeys import KEYS

TOKEN = "Bearer operator"
NO_KEYS = LogKeys()


def knowing(credential: Credential, token: str) -> Access:
    """Where only this token is known."""
    digest = hashlib.sha256(token.encode()).digest()
    return Access(Credentials({credential.name: credential}, [(digest, credential)]))


OPERATED = knowing(Credential("desk"), TOKEN.removeprefix("Bearer "))
RULES = load_rules(shipped_rules())
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class StoppedClock:
    """Time stands where the test puts it."""

    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> datetime:
        return self.instant

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


@dataclass
class Service:
    """A running service; what it stands on can be changed while it runs."""

    store: Database
    clock: StoppedClock
    telemetry: Telemetry
    client: ClientSession
    server: HttpServer
    access: Access
    parts: list[Part] = field(default_factory=list)
    reload_failure: ConfigError | None = None
    reloads: int = 0

    @property
    def port(self) -> int:
        return self.server.port

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        """The status and the JSON of the answer."""
        return await self.ask("GET", path, **options)

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self.client.request(method, path, **options) as answer:
            return answer.status, await answer.json()

    async def text(self, path: str, **options: Any) -> tuple[int, str]:
        async with self.client.get(path, **options) as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def running(
    *,
    span_exporter: SpanExporter | None = None,
    metrics: Metrics | None = None,
    access: Access = OPERATED,
    anchor: Path | None = None,
    keys: LogKeys = NO_KEYS,
    database: str = "sqlite:///:memory:",
    table: RuleSet = RULES,
    **flags: Any,
) -> AsyncIterator[Service]:
    """A service with these settings on a free port; `table` are the rules of the scorecard."""
    settings = Settings.load(None, flags)
    clock = StoppedClock()
    store = await open_database(database, clock=clock, keys=keys)
    telemetry = Telemetry.create(version="1.2.3", mode=settings.mode, span_exporter=span_exporter)
    service: Service

    async def readiness() -> Sequence[Part]:
        return service.parts

    async def reload() -> None:
        if service.reload_failure:
            raise service.reload_failure
        service.reloads += 1

    async def stop() -> Stop | None:
        return await stopped_by_switch(store, None, now=clock.now())

    async def set_aside(quarantined: Sequence[Quarantined]) -> None:
        await store.note([Record("alert.quarantined", asdict(one)) for one in quarantined], at=clock.now())

    async def refresh() -> None:
        telemetry.queued(await store.queue_depth())
        telemetry.open_escalations(await store.open_escalations())
        telemetry.paused(await stop() is not None)

    async def no_watchdog() -> str:
        return "none is awaited"

    control = ControlRoutes(
        store,
        store,
        clock=clock,
        rules=lambda: RULES,
        stop=stop,
        paused=telemetry.paused,
        wake=lambda: None,
        replica="remediator-1",
        watchdog=no_watchdog,
    )
    keeper = LogKeeper(
        store,
        [] if anchor is None else [FileAnchor(anchor)],
        trusted=KEYS.known,
        clock=clock,
        say=lambda _: None,
        seen=lambda *_: None,
    )
    await keeper.begin()
    operating = OperatingRoutes(
        settings=settings,
        telemetry=telemetry,
        refresh=refresh,
        readiness=readiness,
        reload=reload,
        version="1.2.3",
    )
    receiver = Receiver(
        lambda alerts, authority: store.accept(alerts, at=clock.now(), authority=authority),
        set_aside=set_aside,
        telemetry=telemetry,
        max_body_bytes=settings.max_body_bytes,
        stopping=asyncio.Event(),
    )
    passwords = Passwords()
    application = build_application(
        receiver.routes(),
        operating=operating,
        control=control,
        audit=AuditRoutes(store, keeper, clock=clock, wake=lambda: None),
        budgets=BudgetRoutes(store, cluster="lab", rules=lambda: RULES, clock=clock),
        incidents=IncidentRoutes(store),
        deployments=DeploymentRoutes(store.rollouts, metrics=metrics, clock=clock, problem=lambda: ""),
        escalations=EscalationRoutes(store, rules=lambda: RULES, clock=clock),
        authenticator=Authenticator(lambda: service.access, passwords),
        exports=ExportRoutes(store.exports, store, clock=clock, cluster="lab", version="1.2.3"),
        reports=ReportRoutes(
            Sources(store, store, store.reports, store.rollouts, lambda: RULES, "lab"), clock=clock, version="1.2.3"
        ),
        scores=ScoreRoutes(
            store.scores,
            rules=lambda: table,
            clock=clock,
            bar=Bar(settings.promote_min_decisions, settings.promote_min_right_ratio, settings.promote_max_harmful),
            mode=settings.mode,
        ),
        hosts=Hosts(settings.known_hosts(), settings.home()),
        telemetry=telemetry,
        max_body_bytes=settings.max_body_bytes,
        version="1.2.3",
    )
    server = HttpServer(
        application,
        grace_seconds=1,
        tls=access.web.tls,
        max_connections=settings.web_max_connections,
        max_connections_per_peer=settings.web_max_connections_per_peer,
        refused=telemetry.connection_refused,
    )
    await server.start("127.0.0.1", 0)
    scheme = "http" if access.web.tls is None else "https"
    try:
        async with ClientSession(f"{scheme}://127.0.0.1:{server.port}") as client:
            service = Service(store, clock, telemetry, client, server, access)
            yield service
    finally:
        await server.stop()
        passwords.close()
        await store.close()
        telemetry.shutdown()
