"""The names that dashboards and alerts rely on."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from remediator.model import AlertStatus, Mode, Outcome
from remediator.reasons import Reason
from remediator.telemetry import Decided, Recovery, Telemetry

EVERYTHING = """\
remediator_action_duration_seconds_bucket{action="rollback",le="+Inf",outcome="verified"} 1.0
remediator_action_duration_seconds_count{action="rollback",outcome="verified"} 1.0
remediator_action_duration_seconds_sum{action="rollback",outcome="verified"} 90.0
remediator_alerts_quarantined_total 1.0
remediator_alerts_received_total{status="firing"} 3.0
remediator_alerts_reconciled_total{what="found"} 2.0
remediator_alerts_reconciled_total{what="gone"} 1.0
remediator_alerts_received_total{status="resolved"} 0.0
remediator_reconcile_last_success_timestamp_seconds 5.0
remediator_config_last_reload_success_timestamp_seconds 1.5e+09
remediator_config_last_reload_successful 1.0
remediator_decisions_total{action="rollback",decision="executed",rule="crash-loop"} 1.0
remediator_decisions_total{action="",decision="no_match",rule=""} 1.0
remediator_duty_faults_total{duty="watch-rollouts"} 1.0
remediator_escalations_total{severity="1",step="opened"} 1.0
remediator_held_total{reason="cooldown",rule="crash-loop"} 1.0
remediator_incidents_total{outcome="recovered_after_action",rule="crash-loop"} 1.0
remediator_mode_info{mode="silent"} 1.0
remediator_notifications_failed_total{integration="slack",reason="TimeoutError"} 1.0
remediator_notifications_total{integration="slack"} 1.0
remediator_open_escalations{acknowledged="false",severity="1"} 2.0
remediator_open_escalations{acknowledged="true",severity="4"} 0.0
remediator_paused 1.0
remediator_queue_depth{state="queued"} 2.0
remediator_queue_depth{state="held"} 0.0
remediator_rollouts{state="watched"} 3.0
remediator_webhook_requests_total{code="503"} 1.0
"""


def lines(telemetry: Telemetry) -> list[str]:
    return telemetry.exposition("")[1].decode().splitlines()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry.create(version="1.2.3", mode=Mode.SILENT)


def test_every_metric_has_its_agreed_name_and_labels(telemetry: Telemetry) -> None:
    telemetry.alerts_received(AlertStatus.FIRING, 3)
    telemetry.alerts_quarantined(1)
    telemetry.reconciled(found=2, gone=1, at_seconds=5)
    telemetry.webhook_answered(503)
    telemetry.decided(rule="crash-loop", action="rollback", decision=Decided.EXECUTED)
    telemetry.decided(rule=None, action=None, decision=Decided.NO_MATCH)
    telemetry.held(rule="crash-loop", reason=Reason.COOLDOWN)
    telemetry.action_finished(action="rollback", outcome=Outcome.VERIFIED, seconds=90)
    telemetry.incident_closed(rule="crash-loop", outcome=Recovery.AFTER_ACTION)
    telemetry.notified("slack")
    telemetry.notification_failed("slack", error=TimeoutError)
    telemetry.paused(True)
    telemetry.queued({"queued": 2})
    telemetry.escalated(step="opened", severity=1)
    telemetry.duty_failed("watch-rollouts")
    telemetry.open_escalations({(1, False): 2})
    telemetry.rollouts({"rolling-out": 1})
    telemetry.rollouts({"watched": 3})
    telemetry.reloaded(at_seconds=1_500_000_000, successful=True)
    shown = lines(telemetry)
    assert [line for line in EVERYTHING.splitlines() if line not in shown] == []
    names = {line.split("{")[0].split(" ")[0] for line in shown if not line.startswith("#")}
    assert names == {line.split("{")[0].split(" ")[0] for line in EVERYTHING.splitlines()} | {"remediator_build_info"}


def test_durations_fall_into_buckets_of_seconds(telemetry: Telemetry) -> None:
    telemetry.action_finished(action="rollback", outcome=Outcome.FAILED, seconds=90)
    shown = lines(telemetry)
    assert 'remediator_action_duration_seconds_bucket{action="rollback",le="60",outcome="failed"} 0.0' in shown
    assert 'remediator_action_duration_seconds_bucket{action="rollback",le="120",outcome="failed"} 1.0' in shown


def test_gauges_stay_from_scrape_to_scrape(telemetry: Telemetry) -> None:
    assert lines(telemetry) == lines(telemetry)


def test_a_failed_reload_keeps_the_time_of_the_last_good_one(telemetry: Telemetry) -> None:
    telemetry.reloaded(at_seconds=1_500_000_000, successful=True)
    telemetry.reloaded(at_seconds=1_600_000_000, successful=False)
    assert "remediator_config_last_reload_successful 0.0" in lines(telemetry)
    assert "remediator_config_last_reload_success_timestamp_seconds 1.5e+09" in lines(telemetry)


def test_only_the_mode_in_force_is_shown(telemetry: Telemetry) -> None:
    telemetry.mode_changed(Mode.ACTIVE)
    assert [line for line in lines(telemetry) if "mode_info{" in line] == ['remediator_mode_info{mode="active"} 1.0']


def test_two_in_one_process_do_not_share(telemetry: Telemetry) -> None:
    Telemetry.create(version="other", mode=Mode.ACTIVE).webhook_answered(200)
    assert not any("webhook_requests_total{" in line for line in lines(telemetry))


def test_answers_openmetrics_to_who_asks(telemetry: Telemetry) -> None:
    content_type, text = telemetry.exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


def test_a_span_records_the_type_of_a_fault_and_not_its_text() -> None:
    spans = InMemorySpanExporter()
    telemetry = Telemetry.create(version="1", mode=Mode.SILENT, span_exporter=spans)
    with pytest.raises(ValueError, match="hunter2"), telemetry.span("step"):
        raise ValueError("hunter2")
    telemetry.shutdown()
    [span] = spans.get_finished_spans()
    assert span.attributes == {"error.type": "ValueError"}
    assert not span.status.is_ok
    assert "hunter2" not in span.to_json()
