"""Tracing and metrics: their set-up, and every span, metric and label name in one place.

`app.py` creates one `Telemetry` and hands it on; each step of the way of an alert calls the method named for what
happened. Labels come from enums and from the operator's own rule and sink names, never from what an alert says.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum

from opentelemetry import trace
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.propagators.textmap import default_getter
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, DEFAULT_ON
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from remediator.errors import ConfigError
from remediator.model import TERMINAL, AlertStatus, Mode, Outcome, State
from remediator.reasons import Reason

DURATION_BUCKETS_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1200, 1800)
"""From one quick request to a verification that takes half an hour; the SDK's own are shaped for milliseconds."""

LEAST_SEVERE = 4

Labels = tuple[tuple[str, str], ...]


class Decided(StrEnum):
    """What came of a decision, as `remediator_decisions_total` counts it."""

    EXECUTED = "executed"
    RECOMMENDED = "recommended"
    HELD = "held"
    ESCALATED = "escalated"
    DECLINED = "declined"
    FAILED = "failed"
    NO_MATCH = "no_match"


class Recovery(StrEnum):
    """How an incident ended, as `remediator_incidents_total` counts it."""

    AFTER_ACTION = "recovered_after_action"
    ALONE = "recovered_alone"
    NOT = "not_recovered"
    REGRESSED = "regressed"


class Telemetry:
    """Owns the meters, the tracer and the registry of one process. Methods are cheap and never raise."""

    def __init__(
        self, meters: MeterProvider, tracers: TracerProvider, registry: CollectorRegistry, *, exports: bool
    ) -> None:
        self._meters, self._tracers, self._registry = meters, tracers, registry
        self._tracer = tracers.get_tracer("remediator")
        self._exports = exports
        self._propagator = TraceContextTextMapPropagator()
        meter = meters.get_meter("remediator")
        self._quarantined = meter.create_counter(
            "remediator.alerts_quarantined", description="Alerts of accepted bodies that could not be used."
        )
        self._refused = meter.create_counter(
            "remediator.alerts_refused", description="Alerts of bodies that were answered with 503, by why."
        )
        self._outside = meter.create_counter(
            "remediator.alerts_outside_credential",
            description="Alerts set aside since the credential that they came by may not speak of them.",
        )
        self._reconciled = meter.create_counter(
            "remediator.alerts_reconciled",
            description="Alerts that Alertmanager listed and never delivered (found), or that ended unheard of (gone).",
        )
        for what in ("found", "gone"):
            self._reconciled.add(0, {"what": what})
        self._decisions = meter.create_counter("remediator.decisions", description="Decisions by rule and action.")
        self._holds = meter.create_counter("remediator.held", description="Why nothing was done, by rule and reason.")
        self._escalations = meter.create_counter(
            "remediator.escalations", description="What became of escalations, by step and severity."
        )
        self._scored = meter.create_counter(
            "remediator.recommendations_scored", description="Recommendations by what happened without us, judged."
        )
        self._harmful = meter.create_counter(
            "remediator.recommendations_harmful", description="Recommendations that would have been harmful, as judged."
        )
        self._said = meter.create_counter(
            "remediator.recommendations_judged_by_people", description="What people said to recommendations."
        )
        self._incidents = meter.create_counter("remediator.incidents", description="Closed incidents by outcome.")
        self._notified = meter.create_counter("remediator.notifications", description="Notifications attempted.")
        self._not_notified = meter.create_counter(
            "remediator.notifications_failed", description="Notifications that did not get through."
        )
        self._durations = meter.create_histogram(
            "remediator.action_duration", unit="s", description="From the request to the outcome of its verification."
        )
        self._duty_faults = meter.create_counter(
            "remediator.duty_faults", description="Faults of ours in what one replica does for all, by duty."
        )
        self._gauges: dict[str, dict[Labels, float]] = {}
        for name, unit, description in (
            ("mode_info", "", "The most that any rule may do."),
            ("paused", "", "Whether the kill switch is engaged."),
            ("queue_depth", "", "Remediations that are not final, by state."),
            ("open_escalations", "", "Escalations that are open, by severity and whether somebody has them."),
            ("rollouts", "", "Present rollouts of the deployment watch, by state."),
            ("config_last_reload_successful", "", "Whether the last attempt to load the rules succeeded."),
            ("config_last_reload_success_timestamp", "s", "When the rules were last loaded, in Unix seconds."),
            ("audit_size", "", "Records in the audit log."),
            ("audit_root_prefix", "", "The first 48 bits of the root over them: with the size, a checkpoint."),
            ("audit_anchored_size", "", "Records that the anchors outside the database know of."),
            ("audit_chain_valid", "", "Whether the audit log is signed and as its head says."),
            ("audit_last_write_timestamp", "s", "When the audit log last grew, in Unix seconds."),
            ("watchdog_last_seen_timestamp", "s", "When the watchdog alert last fired here, in Unix seconds."),
            ("reconcile_last_success_timestamp", "s", "When Alertmanager's list was last compared, in Unix seconds."),
            ("watchdog_absent", "", "Whether the watchdog alert is missing, so that no resolution is believed."),
            ("build_info", "", "Version of remediator and of Python."),
            ("replica_info", "", "The name of this replica in leases and in the log."),
            ("duty_held", "", "Duties for all replicas that this one has: over all replicas each is there once."),
        ):
            self._gauges[name] = {}
            meter.create_observable_gauge(
                f"remediator.{name}", [self._observe(self._gauges[name])], unit, description
            )
        # These are counted for every request: adding here and being read at a scrape costs a tenth of `Counter.add`.
        self._totals: dict[str, dict[Labels, int]] = {
            "alerts_received": {}, "webhook_requests": {}, "connections_refused": {}
        }
        for name, description in (
            ("alerts_received", "Alerts received."),
            ("webhook_requests", "Webhook requests by HTTP status code."),
            ("connections_refused", "Connections refused, or ended before they had asked, by why."),
        ):
            meter.create_observable_counter(
                f"remediator.{name}", [self._observe(self._totals[name])], description=description
            )
        for status in AlertStatus:
            self.alerts_received(status, 0)
        self._quarantined.add(0)

    @classmethod
    def create(cls, *, version: str, mode: Mode, span_exporter: SpanExporter | None = None) -> Telemetry:
        """Telemetry of its own registry. Without `span_exporter` spans go nowhere: they only bring the
        caller's trace id to the log."""
        resource = Resource({"service.name": "remediator", "service.version": version})
        registry = CollectorRegistry()
        # Scope labels would put three otel_scope_* labels on every series; the target_info series is of no use either.
        reader = PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
        meters = MeterProvider(
            [reader],
            resource,
            AlwaysOffExemplarFilter(),
            views=[
                View(
                    instrument_name="remediator.action_duration",
                    aggregation=ExplicitBucketHistogramAggregation(DURATION_BUCKETS_SECONDS),
                )
            ],
        )
        tracers = TracerProvider(sampler=DEFAULT_ON if span_exporter else ALWAYS_OFF, resource=resource)
        if span_exporter:
            tracers.add_span_processor(BatchSpanProcessor(span_exporter))
        telemetry = cls(meters, tracers, registry, exports=span_exporter is not None)
        telemetry._set("build_info", 1, version=version, python=platform.python_version())
        telemetry._set("mode_info", 1, mode=mode.value)
        telemetry.paused(False)
        telemetry.queued({})
        telemetry.open_escalations({})
        return telemetry

    def alerts_received(self, status: AlertStatus, count: int) -> None:
        self._count("alerts_received", ("status", status.value), count)

    def alerts_quarantined(self, count: int) -> None:
        self._quarantined.add(count)

    def alerts_refused(self, why: str, count: int) -> None:
        """`why` is `max_waiting` or `store`; they are sent again, and then counted again."""
        self._refused.add(count, {"reason": why})

    def alerts_outside_credential(self, credential: str, count: int) -> None:
        """`credential` is a name of the operator's own file."""
        self._outside.add(count, {"credential": credential})

    def reconciled(self, *, found: int, gone: int, at_seconds: float) -> None:
        """What a comparison with Alertmanager's list led to; `at_seconds` is Unix time."""
        self._reconciled.add(found, {"what": "found"})
        self._reconciled.add(gone, {"what": "gone"})
        self._set("reconcile_last_success_timestamp", at_seconds)

    def webhook_answered(self, code: int) -> None:
        self._count("webhook_requests", ("code", str(code)), 1)

    def connection_refused(self, why: str) -> None:
        """`why` is `malformed`, `headers`, `body`, `unread`, `connections_peer`, `connections_all` or `idle`."""
        self._count("connections_refused", ("reason", why), 1)

    def decided(self, *, rule: str | None, action: str | None, decision: Decided) -> None:
        self._decisions.add(1, {"rule": rule or "", "action": action or "", "decision": decision.value})

    def held(self, *, rule: str | None, reason: Reason) -> None:
        self._holds.add(1, {"rule": rule or "", "reason": reason.value})

    def action_finished(self, *, action: str, outcome: Outcome, seconds: float) -> None:
        self._durations.record(seconds, {"action": action, "outcome": outcome.value})

    def incident_closed(self, *, rule: str | None, outcome: Recovery) -> None:
        self._incidents.add(1, {"rule": rule or "", "outcome": outcome.value})

    def scored(self, *, rule: str, happened: str, judged: str, is_harmful: bool) -> None:
        """`happened` is a word of `Happened`, `judged` is `right`, `wrong` or `open`."""
        self._scored.add(1, {"rule": rule, "happened": happened, "judged": judged})
        if is_harmful:
            self._harmful.add(1, {"rule": rule})

    def judged_by_person(self, *, rule: str, judged: str) -> None:
        self._said.add(1, {"rule": rule, "judged": judged})

    def notified(self, integration: str) -> None:
        """One attempt to tell; a failed one is counted by `notification_failed` as well."""
        self._notified.add(1, {"integration": integration})

    def notification_failed(self, integration: str, *, error: type[Exception]) -> None:
        self._not_notified.add(1, {"integration": integration, "reason": error.__name__})

    def mode_changed(self, mode: Mode) -> None:
        self._gauges["mode_info"].clear()
        self._set("mode_info", 1, mode=mode.value)

    def paused(self, engaged: bool) -> None:
        self._set("paused", int(engaged))

    def queued(self, depth: Mapping[str, int]) -> None:
        """State -> how many; states that are not named have none."""
        for state in State:
            if state not in TERMINAL:
                self._set("queue_depth", depth.get(state, 0), state=state.value)

    def counted_elsewhere(self) -> None:
        """Another replica shows what all share: nothing of it is shown here, so that the sum over all is true."""
        self._gauges["queue_depth"].clear()
        self._gauges["open_escalations"].clear()

    def replica(self, name: str) -> None:
        self._set("replica_info", 1, replica=name)

    def duty_failed(self, duty: str) -> None:
        """By a fault of ours; what others do not answer is no fault of a duty."""
        self._duty_faults.add(1, {"duty": duty})

    def duties(self, held: Sequence[str]) -> None:
        """Replaces what was said before. Their names are ours and those of the sinks."""
        self._gauges["duty_held"].clear()
        for duty in held:
            self._set("duty_held", 1, duty=duty)

    def escalated(self, *, step: str, severity: int) -> None:
        """`step` is `opened`, `joined`, `passed-on`, `reminded`, `unanswered`, `acknowledged` or `ended`."""
        self._escalations.add(1, {"step": step, "severity": str(severity)})

    def open_escalations(self, counts: Mapping[tuple[int, bool], int]) -> None:
        """(severity, whether acknowledged) -> how many; those that are not named have none."""
        for severity in range(1, LEAST_SEVERE + 1):
            for is_acked in (False, True):
                labels = {"severity": str(severity), "acknowledged": str(is_acked).lower()}
                self._set("open_escalations", counts.get((severity, is_acked), 0), **labels)

    def rollouts(self, counts: Mapping[str, int]) -> None:
        """State -> how many present rollouts; replaces what was said before."""
        self._gauges["rollouts"].clear()
        for state, count in counts.items():
            self._set("rollouts", count, state=state)

    def reloaded(self, *, at_seconds: float, successful: bool) -> None:
        """`at_seconds` is Unix time."""
        self._set("config_last_reload_successful", int(successful))
        if successful:
            self._set("config_last_reload_success_timestamp", at_seconds)

    def watchdog(self, *, last_seen_seconds: float | None, is_absent: bool) -> None:
        """`last_seen_seconds` is Unix time; None: it never came, and nothing is exposed."""
        for name in ("watchdog_last_seen_timestamp", "watchdog_absent"):
            self._gauges[name].clear()
        if last_seen_seconds is not None:
            self._set("watchdog_last_seen_timestamp", last_seen_seconds)
            self._set("watchdog_absent", int(is_absent))

    def log_stands(self, *, size: int, root: bytes, anchored: int, is_sound: bool, at_seconds: float) -> None:
        """The audit log as it is; size and beginning of the root together are a checkpoint that Prometheus keeps."""
        self._set("audit_size", size)
        self._set("audit_root_prefix", int.from_bytes(root[:6], "big"))
        self._set("audit_anchored_size", anchored)
        self._set("audit_chain_valid", int(is_sound))
        self._set("audit_last_write_timestamp", at_seconds)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        headers: Mapping[str, str] | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, str | int | bool | float] | None = None,
    ) -> Iterator[Span]:
        """A span around a step. With `headers`, it joins the W3C trace that their `traceparent` names, if any."""
        if not self._exports and (headers is None or "traceparent" not in headers):
            # Nobody would see it, and there is no trace whose id the log could carry.
            yield trace.INVALID_SPAN
            return
        parent = self._propagator.extract(headers, getter=default_getter) if headers is not None else None
        with self._tracer.start_as_current_span(
            name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                # The type only: messages can hold foreign text.
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR))
                raise

    def exposition(self, accept: str) -> tuple[str, bytes]:
        """The content type and the text of `/metrics` for an Accept header."""
        encode, content_type = choose_encoder(accept)
        return content_type, encode(self._registry)

    def shutdown(self) -> None:
        """Export what is left of the spans, for at most a few seconds. Blocks: call it from a thread."""
        self._tracers.shutdown()
        self._meters.shutdown()

    def _set(self, gauge: str, value: float, **labels: str) -> None:
        self._gauges[gauge][tuple(labels.items())] = value

    def _count(self, total: str, label: tuple[str, str], count: int) -> None:
        counts = self._totals[total]
        counts[(label,)] = counts.get((label,), 0) + count

    def _observe(self, values: Mapping[Labels, float]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [Observation(value, dict(labels)) for labels, value in values.items()]


def otlp_exporter(endpoint: str) -> SpanExporter:
    """The exporter for OTLP over HTTP. Raises ConfigError when the extra `otlp` is not installed."""
    try:
        library = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError as error:
        raise ConfigError("otlp_endpoint is set, but the extra is missing: pip install 'remediator[otlp]'") from error
    exporter: SpanExporter = library.OTLPSpanExporter(endpoint=endpoint)
    return exporter
