"""The only wiring: settings -> parts -> one TaskGroup; and the order of start, reload and stop.

`cli/serve.py` runs it as a process, `cli/demo.py` and the tests inside their own. Nothing else constructs a part.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

import structlog
from aiohttp import web

from remediator.alertmanager.base import Alertmanager
from remediator.alertmanager.client import AlertmanagerApi
from remediator.anchor.base import Anchor
from remediator.anchor.config_map import ConfigMapAnchor
from remediator.anchor.file import FileAnchor
from remediator.anchor.keeper import LogKeeper
from remediator.api.answers import Part
from remediator.api.application import build_application
from remediator.api.audit import AuditRoutes
from remediator.api.budgets import BudgetRoutes
from remediator.api.control import ControlRoutes
from remediator.api.deployments import DeploymentRoutes
from remediator.api.exporting import ExportRoutes
from remediator.api.operating import OperatingRoutes
from remediator.api.reading import IncidentRoutes
from remediator.api.reports import ReportRoutes, Sources
from remediator.api.requests import RequestReader
from remediator.api.server import HttpServer
from remediator.audit.note import BadNote, SigningKey, signing_key
from remediator.clock import Clock
from remediator.errors import ConfigError, RemediatorError, cut
from remediator.guards.faults import CountedCluster, CountedMetrics, Faults
from remediator.guards.stop import Stop, SwitchInCluster, stopped_by_switch
from remediator.kube.base import Cluster
from remediator.kube.client import connect
from remediator.model import Alert, Mode, Remediation
from remediator.pipeline import Parts, admit
from remediator.prometheus.base import Metrics
from remediator.prometheus.client import PrometheusMetrics
from remediator.receive.base import Quarantined
from remediator.receive.server import Receiver
from remediator.receive.tokens import BearerTokens
from remediator.rules.load import load_rules
from remediator.rules.schema import RuleSet
from remediator.rules.shipped import shipped_rules
from remediator.settings import Settings
from remediator.sinks.base import Sink
from remediator.sinks.kubernetes_event import KubernetesEventSink
from remediator.sinks.log import LogSink
from remediator.sinks.metrics import MetricsSink
from remediator.sinks.webhook import WebhookSink
from remediator.store.base import Accepted, Record
from remediator.store.database import Database, open_database
from remediator.store.log import LogKeys
from remediator.store.log_base import LogStanding
from remediator.telemetry import Telemetry, otlp_exporter
from remediator.watch import watcher as watch
from remediator.worker import Pace, Publisher, Worker

PASS_SHARE = 0.75
"""Share of the lease that one pass over a remediation may take; the rest is for the last commit and for clocks."""

VERSION = version("remediator")


class RuleTable:
    """The rules in force. `reload` loads all files first and swaps then, so a fault leaves the old table standing."""

    def __init__(self, paths: Sequence[Path], *, telemetry: Telemetry, clock: Clock) -> None:
        """Raises ConfigError with every problem of the files."""
        self._paths = tuple(paths)
        self._telemetry = telemetry
        self._clock = clock
        self.problem = ""
        self.current: RuleSet = load_rules(*self._paths)
        self._seen = self._fingerprint()
        telemetry.reloaded(at_seconds=clock.now().timestamp(), successful=True)

    def reload(self) -> None:
        """Raises ConfigError; then the table from before stays in force and `problem` says why."""
        self._seen = self._fingerprint()
        try:
            fresh = load_rules(*self._paths)
        except ConfigError as error:
            self.problem = str(error)
            self._telemetry.reloaded(at_seconds=self._clock.now().timestamp(), successful=False)
            raise
        self.current, self.problem = fresh, ""
        self._telemetry.reloaded(at_seconds=self._clock.now().timestamp(), successful=True)

    def is_changed(self) -> bool:
        """Whether the files differ from what was last loaded or tried."""
        return self._fingerprint() != self._seen

    def _fingerprint(self) -> str:
        files = [f for p in self._paths for f in (sorted(p.glob("*.yaml")) if p.is_dir() else [p])]
        digest = hashlib.sha256()
        for file in files:
            with contextlib.suppress(OSError):
                digest.update(str(file).encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()


class Service:
    """The running service. Make it with `open_service`; `run` serves until `stop` is called or a part fails."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Clock,
        telemetry: Telemetry,
        database: Database,
        cluster: Cluster,
        metrics: Metrics | None,
        alertmanager: Alertmanager | None = None,
        table: RuleTable,
        tokens: BearerTokens,
        keys: LogKeys,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._table = table
        self._tokens = tokens
        self._cluster = cluster
        self._metrics = metrics
        self._log = structlog.get_logger("remediator.app")
        self._stopping = asyncio.Event()
        self._reload_asked = asyncio.Event()
        self.database = database
        self._keeper = LogKeeper(
            database,
            anchors_of(settings, cluster),
            trusted=keys.known,
            clock=clock,
            say=say,
            seen=self._log_seen,
        )
        api_server, prometheus = Faults("the API server", clock), Faults("Prometheus", clock)
        self.parts = Parts(
            store=database,
            cluster=CountedCluster(cluster, api_server),
            metrics=None if metrics is None else CountedMetrics(metrics, prometheus),
            clock=clock,
            faults=(api_server, prometheus),
            alertmanager=alertmanager,
            switch=SwitchInCluster(*place, cluster) if (place := settings.switch_in_cluster()) else None,
            log=self._keeper,
            rules=lambda: table.current,
            mode=settings.mode,
            rollouts=database.rollouts,
            protected_namespaces=settings.never_touched(),
        )
        pace = Pace(
            owner=f"{socket.gethostname()}:{os.getpid()}",
            workers=settings.workers,
            lease=timedelta(seconds=settings.lease_seconds),
            poll_seconds=settings.poll_seconds,
            grace_seconds=settings.grace_seconds,
            pass_seconds=settings.lease_seconds * PASS_SHARE,
        )
        self._worker = Worker(
            self.parts, pace, around=self._traced, is_receiving=lambda: database.is_receiving
        )
        self._publishers = [
            Publisher(sink, store=database, reader=database, poll_seconds=min(1.0, settings.poll_seconds))
            for sink in self._sinks()
        ]
        self._watcher = watch.Watcher(
            database.rollouts,
            cluster=cluster,
            metrics=metrics,
            clock=clock,
            protected_namespaces=self.parts.protected_namespaces,
            pace=watch.Pace(settings.rollout_poll_seconds),
            count=telemetry.rollouts,
        )
        self._server = HttpServer(self._application(), grace_seconds=settings.grace_seconds)

    @property
    def port(self) -> int:
        return self._server.port

    async def start(self) -> None:
        """Listen. The worker starts with `run`: what arrives before is stored and waits."""
        await self._keeper.begin()
        await self._server.start(self._settings.listen_host, self._settings.listen_port)
        self._log.info(
            "listening",
            address=f"{self._settings.listen_host or ''}:{self.port}",
            mode=self._settings.mode.value,
            rules=len(self._table.current.rules),
            version=VERSION,
        )
        if self._settings.mode is Mode.ACTIVE and not self._settings.alertmanager_urls:
            self._log.warning("silences that come after a delivery are not seen", missing="alertmanager_urls")

    def stop(self) -> None:
        """Begin to stop: no more alerts are accepted, nothing more is claimed."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`. Stop order: 503 for new alerts, no more claims, drain, tell what is committed, close."""
        async with asyncio.TaskGroup() as group:
            worker = group.create_task(self._worker.run(), name="worker")
            publishers = [group.create_task(publisher.run()) for publisher in self._publishers]
            watch = group.create_task(self._watch_files())
            gauges = group.create_task(self._observe())
            rollouts = group.create_task(self._watch_rollouts())
            keeper = group.create_task(self._keeper.run())
            await self._stopping.wait()
            watch.cancel()
            gauges.cancel()
            rollouts.cancel()
            self._worker.stop()
            await asyncio.wait([worker])
            for publisher in self._publishers:
                publisher.stop()
            await asyncio.wait(publishers)
            keeper.cancel()
            await self._server.stop()

    async def reload(self) -> None:
        """Load rules and tokens again. Raises ConfigError; what was in force then stays."""
        await asyncio.to_thread(self._table.reload)  # a large table takes a second of CPU
        self._tokens.refresh()
        self._log.info("reloaded", rules=len(self._table.current.rules), digest=self._table.current.digest[:12])

    def request_reload(self) -> None:
        """For SIGHUP: reload soon; a failure is in the log and in `/-/ready`."""
        self._reload_asked.set()

    async def readiness(self) -> Sequence[Part]:
        """What `/-/ready` says: each part, and whether it is needed for good decisions."""
        api_server = await self._cluster.is_ready()
        parts = [
            Part("store", True),
            Part("api-server", api_server, "" if api_server else f"cluster {self._cluster.name} does not answer"),
            Part("rules", not self._table.problem, self._table.problem.splitlines()[0] if self._table.problem else ""),
        ]
        try:
            await self.database.kill_switch()
        except RemediatorError as error:
            parts[0] = Part("store", False, cut(str(error)))
        try:
            doubt = await self._keeper.why_not()
        except RemediatorError:
            doubt = None  # the store says it itself
        detail = "" if doubt is None else f"nothing is done to the cluster: {doubt.detail}"
        parts.append(Part("audit", doubt is None, detail, is_required=False))
        if self._metrics is None:
            parts.append(Part("prometheus", False, "not configured: what needs metrics is unknown", is_required=False))
        else:
            parts.append(Part("prometheus", await self._metrics.is_ready(), is_required=False))
        return parts

    def _log_seen(self, standing: LogStanding, anchored: int, is_sound: bool) -> None:
        self._telemetry.log_stands(
            size=standing.size,
            root=standing.root,
            anchored=anchored,
            is_sound=is_sound,
            at_seconds=standing.at.timestamp(),
        )

    async def _admit(self, alerts: Sequence[Alert]) -> Accepted:
        accepted = await admit(alerts, store=self.database, clock=self.parts.clock)
        if accepted.queued:
            self._worker.wake()
        return accepted

    async def _set_aside(self, quarantined: Sequence[Quarantined]) -> None:
        notes = [Record("alert.quarantined", asdict(one)) for one in quarantined]
        await self.database.note(notes, at=self.parts.clock.now())

    async def _traced(self, remediation: Remediation, work: Awaitable[None]) -> None:
        attributes = {"remediator.remediation": str(remediation.id), "remediator.alert": remediation.alert.name}
        with self._telemetry.span("remediate", attributes=attributes):
            await work

    def _sinks(self) -> Sequence[Sink]:
        sinks: list[Sink] = [LogSink(), MetricsSink(self._telemetry)]
        if self._settings.events:
            sinks.append(KubernetesEventSink(self._cluster))
        if self._settings.webhook_url:
            token_file = self._settings.webhook_token_file
            cluster = self._settings.cluster_name
            sinks.append(WebhookSink(self._settings.webhook_url, cluster=cluster, token_file=token_file))
        return sinks

    def _application(self) -> web.Application:
        receiver = Receiver(
            self._admit,
            set_aside=self._set_aside,
            is_allowed=self._tokens.is_allowed,
            telemetry=self._telemetry,
            max_body_bytes=self._settings.max_body_bytes,
            stopping=self._stopping,
        )
        operating = OperatingRoutes(
            self.database,
            settings=self._settings,
            telemetry=self._telemetry,
            is_stopped=self._is_stopped,
            readiness=self.readiness,
            reload=self.reload,
            is_allowed=self._tokens.is_allowed,
            version=VERSION,
        )
        requests = RequestReader(self._tokens.is_allowed)
        return build_application(
            receiver.routes(),
            operating=operating,
            audit=AuditRoutes(
                self.database, self._keeper, clock=self.parts.clock, requests=requests, wake=self._worker.wake
            ),
            budgets=BudgetRoutes(
                self.database,
                cluster=self._settings.cluster_name,
                rules=self.parts.rules,
                clock=self.parts.clock,
            ),
            control=ControlRoutes(
                self.database,
                self.database,
                clock=self.parts.clock,
                stop=self._stop,
                requests=requests,
                paused=self._telemetry.paused,
                wake=self._worker.wake,
            ),
            incidents=IncidentRoutes(self.database),
            deployments=DeploymentRoutes(
                self.database.rollouts,
                metrics=self._metrics,
                clock=self.parts.clock,
                problem=lambda: self._watcher.problem,
            ),
            exports=ExportRoutes(
                self.database.exports,
                clock=self.parts.clock,
                cluster=self._settings.cluster_name,
                version=VERSION,
            ),
            reports=ReportRoutes(
                Sources(
                    store=self.database,
                    incidents=self.database,
                    reports=self.database.reports,
                    rollouts=self.database.rollouts,
                    rules=self.parts.rules,
                    cluster=self._settings.cluster_name,
                ),
                clock=self.parts.clock,
                version=VERSION,
            ),
            telemetry=self._telemetry,
            max_body_bytes=self._settings.max_body_bytes,
            version=VERSION,
        )

    async def _watch_files(self) -> None:
        """Reload when asked to, or when the files change: ConfigMap mounts swap links, so content is compared."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.reload_poll_seconds or None):
                    await self._reload_asked.wait()
            if self._reload_asked.is_set() or await asyncio.to_thread(self._table.is_changed):
                self._reload_asked.clear()
                try:
                    await self.reload()
                except ConfigError as error:
                    self._log.error("reload failed, the rules from before stay in force", problem=cut(str(error)))

    async def _watch_rollouts(self) -> None:
        if self._settings.rollout_poll_seconds > 0:
            await self._watcher.run()

    async def _stop(self) -> Stop | None:
        return await stopped_by_switch(self.database, self.parts.switch, now=self.parts.clock.now())

    async def _is_stopped(self) -> bool:
        return await self._stop() is not None

    async def _observe(self) -> None:
        """Keep the gauges that are not counted from records near the truth."""
        while True:
            with contextlib.suppress(RemediatorError):
                self._telemetry.queued(await self.database.queue_depth())
                self._telemetry.paused(await self._is_stopped())
            await asyncio.sleep(max(1.0, self._settings.poll_seconds))


def anchors_of(settings: Settings, cluster: Cluster) -> Sequence[Anchor]:
    """Where the newest checkpoint of the audit log is kept outside its database."""
    anchors: list[Anchor] = []
    if settings.audit_anchor_file is not None:
        anchors.append(FileAnchor(settings.audit_anchor_file))
    if settings.audit_anchor_configmap is not None:
        namespace, _, name = settings.audit_anchor_configmap.partition("/")
        anchors.append(ConfigMapAnchor(cluster, namespace=namespace, name=name))
    return anchors


def log_keys(settings: Settings) -> LogKeys:
    """The keys of the audit log. Raises ConfigError with the file that cannot be used."""

    def read(file: Path | None) -> SigningKey | None:
        if file is None:
            return None
        try:
            return signing_key(settings.audit_key_name, file.read_bytes())
        except OSError as error:
            raise ConfigError(f"{file}: cannot read the audit log's key: {error.strerror}") from error
        except BadNote as error:
            raise ConfigError(f"{file}: {error}") from error

    return LogKeys(read(settings.audit_key_file), read(settings.audit_previous_key_file))


@contextlib.asynccontextmanager
async def open_service(
    settings: Settings, *, clock: Clock, say: Callable[[str], None] = lambda _: None
) -> AsyncIterator[Service]:
    """Build all parts (what can fail, first), listen, and close them in the reverse order.

    `say` prints a line of the audit log's checkpoints. Raises ConfigError for settings or rules that cannot be used,
    StoreUnavailable.
    """
    exporter = otlp_exporter(settings.otlp_endpoint) if settings.otlp_endpoint else None
    telemetry = Telemetry.create(version=VERSION, mode=settings.mode, span_exporter=exporter)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, telemetry.shutdown)
        table = RuleTable(settings.rules or (shipped_rules(),), telemetry=telemetry, clock=clock)
        tokens = BearerTokens(settings.web_token_files)
        keys = log_keys(settings)
        cluster = await connect(
            name=settings.cluster_name,
            kubeconfig=settings.kubeconfig,
            context=settings.kube_context,
            server=settings.kube_server,
            user_agent=f"remediator/{VERSION}",
        )
        stack.push_async_callback(cluster.close)
        metrics: Metrics | None = None
        if settings.prometheus_url:
            metrics = PrometheusMetrics(
                settings.prometheus_url,
                clock,
                token_file=settings.prometheus_token_file,
                ca_file=settings.prometheus_ca_file,
            )
            stack.push_async_callback(metrics.close)
        alertmanager: AlertmanagerApi | None = None
        if settings.alertmanager_urls:
            alertmanager = AlertmanagerApi(settings.alertmanager_urls, token_file=settings.alertmanager_token_file)
            stack.push_async_callback(alertmanager.close)
        database = await open_database(
            settings.storage_url, clock=clock, keys=keys, log_name=settings.cluster_name
        )
        stack.push_async_callback(database.close)
        service = Service(
            settings,
            clock=clock,
            telemetry=telemetry,
            database=database,
            cluster=cluster,
            metrics=metrics,
            alertmanager=alertmanager,
            table=table,
            tokens=tokens,
            keys=keys,
            say=say,
        )
        await service.start()
        yield service
