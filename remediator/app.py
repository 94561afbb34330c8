"""The only wiring: settings -> parts -> one TaskGroup; and the order of start, reload and stop.

`cli/serve.py` runs it as a process, `cli/demo.py` and the tests inside their own. Nothing else constructs a part.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from importlib.metadata import version

import structlog
from aiohttp import web

from remediator.access.authenticate import Authenticator
from remediator.access.loading import Access, AccessFiles, known_access
from remediator.access.passwords import Passwords
from remediator.alertmanager import reconcile
from remediator.alertmanager.client import AlertmanagerApi
from remediator.anchor.keeper import LogKeeper
from remediator.anchor.opening import anchors_of, log_keys
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
from remediator.authority import Authority
from remediator.clock import Clock
from remediator.duties import COUNT, ESCALATE, PRUNE, RECONCILE, SCORE, WATCH, DutyLoops
from remediator.guards.faults import CountedCluster, CountedMetrics, Faults
from remediator.guards.stop import Stop, SwitchInCluster, stopped_by_switch
from remediator.kube.base import Cluster
from remediator.kube.client import connect
from remediator.lasting import Lasting
from remediator.loaded import Loaded
from remediator.model import Alert, Mode, Remediation
from remediator.parts import Parts
from remediator.pipeline import admit
from remediator.prometheus.base import Metrics
from remediator.prometheus.client import PrometheusMetrics
from remediator.readiness import FOR_ANYONE, Readiness
from remediator.receive.base import Quarantined
from remediator.receive.server import Receiver
from remediator.reload import Reloader
from remediator.replica import Replica, own_name
from remediator.rules.ruleset import RuleSet
from remediator.rules.table import rule_table
from remediator.score.promotion import Bar
from remediator.settings import Settings
from remediator.sinks.base import Sink
from remediator.sinks.kubernetes_event import KubernetesEventSink
from remediator.sinks.log import LogSink
from remediator.sinks.metrics import MetricsSink
from remediator.sinks.webhook import WebhookSink
from remediator.store.base import Accepted, Record
from remediator.store.database import Database
from remediator.store.log import LogKeys
from remediator.store.log_base import LogStanding
from remediator.store.opening import open_database
from remediator.store.place import storage_of
from remediator.store.urls import parsed
from remediator.telemetry import Telemetry, otlp_exporter
from remediator.watchdog import watchdog_of
from remediator.worker import Pace, Publisher, Worker

PASS_SHARE = 0.75
"""Share of the lease that one pass over a remediation may take; the rest is for the last commit and for clocks."""

REQUEST_SECONDS = 10.0
"""How long a request to the API server may take, unless a short lease leaves less of it after a pass."""

VERSION = version("remediator")


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
        alertmanager: AlertmanagerApi | None = None,
        table: Loaded[RuleSet],
        access: Loaded[Access],
        keys: LogKeys,
        say: Callable[[str], None] = lambda _: None,
        clock_offset_seconds: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._table = table
        self.access = access
        trust = None if alertmanager is None or settings.alertmanager_ca_file is None else alertmanager.trust
        self._passwords = Passwords()
        self._authenticator = Authenticator(lambda: access.current, self._passwords)
        self._cluster = cluster
        self._metrics = metrics
        self._log = structlog.get_logger("remediator.app")
        self._stopping = asyncio.Event()
        self.database = database
        self.storage = storage_of(parsed(settings.storage_url))
        self._keeper = LogKeeper(
            database,
            anchors_of(settings, cluster),
            trusted=keys.known,
            clock=clock,
            say=say,
            seen=self._log_seen,
        )
        self._watchdog = watchdog_of(settings, database.watchdog)
        api_server, prometheus = Faults("the API server", clock), Faults("Prometheus", clock)
        self.parts = Parts(
            store=database,
            cluster=CountedCluster(cluster, api_server),
            metrics=None if metrics is None else CountedMetrics(metrics, prometheus),
            clock=clock,
            faults=(api_server, prometheus),
            alertmanager=alertmanager,
            watchdog=self._watchdog,
            switch=SwitchInCluster(*place, cluster) if (place := settings.switch_in_cluster()) else None,
            log=self._keeper,
            clock_offset_seconds=clock_offset_seconds,
            rules=lambda: table.current,
            mode=settings.mode,
            rollouts=database.rollouts,
            protected_namespaces=settings.never_touched(),
            authority_of=lambda name: access.current.credentials.authority_of(name),
            lease=timedelta(seconds=settings.lease_seconds),
        )
        self._told = self._sinks()
        self._replica = Replica(
            database,
            name=own_name(),
            duties=[*map(_telling, self._told), ESCALATE, WATCH, SCORE, PRUNE, COUNT, RECONCILE],
            lease_seconds=settings.lease_seconds,
            changed=telemetry.duties,
        )
        telemetry.replica(self._replica.name)
        pace = Pace(
            owner=self._replica.name,
            workers=settings.workers,
            lease=timedelta(seconds=settings.lease_seconds),
            poll_seconds=settings.poll_seconds,
            grace_seconds=settings.grace_seconds,
            pass_seconds=settings.lease_seconds * PASS_SHARE,
        )
        self._worker = Worker(
            self.parts,
            pace,
            around=self._traced,
            is_receiving=lambda: database.is_receiving,
            may_claim=lambda: not self._replica.problem,
        )
        self._publishers = [
            Publisher(
                sink,
                reader=database,
                poll_seconds=min(1.0, settings.poll_seconds),
                is_ours=partial(self._replica.has, _telling(sink)),
                went=partial(self._replica.went, _telling(sink)),
            )
            for sink in self._told
        ]
        self._lasting = Lasting(clock, count=telemetry.duty_failed, went=self._replica.went)
        self._readiness = Readiness(
            mode=settings.mode,
            clock=clock,
            storage=self.storage,
            database=database,
            cluster=cluster,
            metrics=metrics,
            table=table,
            access=access,
            trust=trust,
            replica=self._replica,
            lasting=self._lasting,
            keeper=self._keeper,
            watchdog=self._watchdog,
            telemetry=telemetry,
        )
        self.readiness = self._readiness.parts
        self._duties = DutyLoops(
            settings,
            parts=self.parts,
            database=database,
            cluster=cluster,
            metrics=metrics,
            telemetry=telemetry,
            replica=self._replica,
            lasting=self._lasting,
            readiness=self._readiness,
            stop=self._stop,
        )
        self._reloader = Reloader(
            table,
            access,
            others=[] if trust is None else [trust],
            renew=lambda tls: self._server.renew(tls),
            clock=clock,
            telemetry=telemetry,
            poll_seconds=settings.reload_poll_seconds,
        )
        self._receiver = Receiver(
            self._admit,
            set_aside=self._set_aside,
            telemetry=telemetry,
            max_body_bytes=settings.max_body_bytes,
            stopping=self._stopping,
            cut_off=self._alerts_cut_off,
        )
        self._reconciler: reconcile.Reconciler | None = None
        if alertmanager is not None and settings.reconcile_seconds > 0:
            self._reconciler = reconcile.Reconciler(
                alertmanager,
                database.known,
                take=self._take,
                count=self._count_reconciled,
                is_left_out=self._is_watchdog,
                receivers=settings.alertmanager_receivers,
                clock=clock,
                pace=reconcile.Pace(timedelta(seconds=settings.reconcile_seconds)),
                is_duty=partial(self._replica.has, RECONCILE),
                went=partial(self._replica.went, RECONCILE),
            )
        self._server = HttpServer(
            self._application(),
            grace_seconds=settings.grace_seconds,
            tls=access.current.web.tls,
            max_connections=settings.web_max_connections,
            max_connections_per_peer=settings.web_max_connections_per_peer,
            refused=telemetry.connection_refused,
        )

    @property
    def port(self) -> int:
        return self._server.port

    async def start(self) -> None:
        """Listen. The worker starts with `run`: what arrives before is stored and waits, and every sink is told it."""
        self._reloader.tell(successful=True)
        await self._keeper.begin()
        if self._watchdog is None:
            await self.database.watchdog.forget()
        await self._readiness.watchdog()
        for sink, skipped in (await self.database.begin_cursors([sink.name for sink in self._told])).items():
            if skipped:
                self._log.info("a sink that is new here begins at the present", sink=sink, skipped=skipped)
        await self._replica.look()  # before anything asks whose a duty is, and whether the clock is right
        await self._server.start(self._settings.listen_host, self._settings.listen_port)
        self._log.info(
            "listening",
            address=f"{self._settings.listen_host or ''}:{self.port}",
            replica=self._replica.name,
            mode=self._settings.mode.value,
            rules=len(self._table.current.rules),
            tls=self.access.current.web.tls is not None,
            credentials=len(self.access.current.credentials.by_name),
            version=VERSION,
        )
        stored = self.storage
        self._log.info("storage", engine=stored.engine, file_system=stored.file_system, at=stored.at)
        if stored.doubt:
            self._log.warning("what is accepted may be lost", why=stored.doubt)
        if self._settings.mode is Mode.ACTIVE and not self._settings.alertmanager_urls:
            self._log.warning("silences that come after a delivery are not seen", missing="alertmanager_urls")
        if self._readiness.is_for_anyone:
            self._log.warning(FOR_ANYONE, missing="web_credentials_file, web_token_files or web_config_file")

    def stop(self) -> None:
        """Begin to stop: no more alerts are accepted, nothing more is claimed."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve until `stop`. Stop order: 503 for new alerts, no more claims, drain, tell what is committed, close."""
        async with asyncio.TaskGroup() as group:
            replica = group.create_task(self._replica.run())
            worker = group.create_task(self._worker.run(), name="worker")
            publishers = [group.create_task(publisher.run()) for publisher in self._publishers]
            watch = group.create_task(self._reloader.watch_files())
            keeper = group.create_task(self._keeper.run())
            duties = [group.create_task(loop) for loop in self._duties.loops()]
            reconciler = group.create_task(self._reconcile())
            await self._stopping.wait()
            watch.cancel()
            for duty in duties:
                duty.cancel()
            reconciler.cancel()
            self._worker.stop()
            await asyncio.wait([worker])
            for publisher in self._publishers:
                publisher.stop()
            await asyncio.wait(publishers)
            keeper.cancel()
            replica.cancel()
            await self._replica.leave()
            await self._server.stop()
            self._passwords.close()

    async def reload(self) -> None:
        """Load all files again. Raises ConfigError; what is wrong stays as it was, the others are in force."""
        await self._reloader.reload()

    def request_reload(self) -> None:
        """For SIGHUP: reload soon; a failure is in the log and in `/-/ready`."""
        self._reloader.ask()

    def _log_seen(self, standing: LogStanding, anchored: int, is_sound: bool) -> None:
        self._telemetry.log_stands(
            size=standing.size,
            root=standing.root,
            anchored=anchored,
            is_sound=is_sound,
            at_seconds=standing.at.timestamp(),
        )

    async def _admit(self, alerts: Sequence[Alert], authority: Authority) -> Accepted:
        accepted = await admit(
            alerts,
            store=self.database,
            clock=self.parts.clock,
            authority=authority,
            rules=self.parts.rules(),
            max_open=self._settings.max_waiting,
            watchdog=self._watchdog,
        )
        if accepted.heard:
            await self._readiness.watchdog()
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
        sinks: list[Sink] = [LogSink(is_verbose=self._settings.log_level == "debug"), MetricsSink(self._telemetry)]
        if self._settings.events:
            sinks.append(KubernetesEventSink(self._cluster))
        if self._settings.webhook_url:
            token_file = self._settings.webhook_token_file
            cluster = self._settings.cluster_name
            count = self._count_webhook
            sinks.append(WebhookSink(self._settings.webhook_url, cluster=cluster, token_file=token_file, count=count))
        return sinks

    def _count_webhook(self, error: Exception | None) -> None:
        self._telemetry.notified("webhook")
        if error is not None:
            self._telemetry.notification_failed("webhook", error=type(error))

    def _application(self) -> web.Application:
        operating = OperatingRoutes(
            settings=self._settings,
            telemetry=self._telemetry,
            refresh=self._duties.refresh,
            readiness=self.readiness,
            reload=self.reload,
            version=VERSION,
        )
        return build_application(
            self._receiver.routes(),
            operating=operating,
            audit=AuditRoutes(self.database, self._keeper, clock=self.parts.clock, wake=self._worker.wake),
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
                rules=self.parts.rules,
                stop=self._stop,
                paused=self._telemetry.paused,
                wake=self._worker.wake,
                replica=self._replica.name,
                watchdog=self._readiness.watchdog_in_words,
            ),
            incidents=IncidentRoutes(self.database),
            deployments=DeploymentRoutes(
                self.database.rollouts,
                metrics=self._metrics,
                clock=self.parts.clock,
                problem=self._duties.rollouts_problem,
            ),
            escalations=EscalationRoutes(self.database, rules=self.parts.rules, clock=self.parts.clock),
            authenticator=self._authenticator,
            exports=ExportRoutes(
                self.database.exports,
                self.database,
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
            scores=ScoreRoutes(
                self.database.scores,
                rules=self.parts.rules,
                clock=self.parts.clock,
                bar=Bar(
                    self._settings.promote_min_decisions,
                    self._settings.promote_min_right_ratio,
                    self._settings.promote_max_harmful,
                ),
                mode=self._settings.mode,
            ),
            hosts=Hosts(self._settings.known_hosts(), self._settings.home()),
            telemetry=self._telemetry,
            max_body_bytes=self._settings.max_body_bytes,
            version=VERSION,
        )

    async def _reconcile(self) -> None:
        if self._reconciler is not None:
            await self._lasting.run(RECONCILE, self._reconciler.run)

    async def _take(self, offer: reconcile.Offer) -> int | None:
        """The door for what Alertmanager's list says. It is the operator's own Alertmanager, and speaks with the
        authority of a credential of the operator's choice; where that is not clear, it is only told."""
        sender = self.access.current.credentials.only_sender(self._settings.alertmanager_credential)
        if sender is None:
            self._log.warning("not taken: nobody knows on whose authority", missing="alertmanager_credential")
            return None
        accepted = await self._receiver.take(json.dumps(offer.body).encode(), sender)
        return accepted.queued + accepted.resolved

    def _count_reconciled(self, found: int, gone: int) -> None:
        self._telemetry.reconciled(found=found, gone=gone, at_seconds=self.parts.clock.now().timestamp())

    def _alerts_cut_off(self) -> None:
        if self._reconciler is not None:
            self._reconciler.ask()
        else:
            self._log.warning("Alertmanager left alerts out of a body, and is not asked for them", limit="max_alerts")

    def _is_watchdog(self, labels: Mapping[str, str]) -> bool:
        return self._watchdog is not None and self._watchdog.is_meant_by(labels)

    async def _stop(self) -> Stop | None:
        return await stopped_by_switch(self.database, self.parts.switch, now=self.parts.clock.now())


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
        table = rule_table(settings.rules)
        access = known_access(
            AccessFiles(settings.web_credentials_file, settings.web_token_files, settings.web_config_file)
        )
        keys = log_keys(settings)
        cluster = await connect(
            name=settings.cluster_name,
            kubeconfig=settings.kubeconfig,
            context=settings.kube_context,
            server=settings.kube_server,
            # What is left of a lease at the end of the longest pass: a write that fits in no more is not sent.
            request_timeout_seconds=min(REQUEST_SECONDS, settings.lease_seconds * (1 - PASS_SHARE)),
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
            alertmanager = AlertmanagerApi(
                settings.alertmanager_urls,
                token_file=settings.alertmanager_token_file,
                ca_file=settings.alertmanager_ca_file,
            )
            stack.push_async_callback(alertmanager.close)
        database = await open_database(settings.storage_url, clock=clock, keys=keys, log_name=settings.cluster_name)
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
            access=access,
            keys=keys,
            say=say,
            clock_offset_seconds=lambda: cluster.clock_offset_seconds,
        )
        await service.start()
        yield service


def _telling(sink: Sink) -> str:
    return f"tell-{sink.name}"
