"""What committed records become for metrics and for people who look at the object."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from remediator.audit.record import canonical_json
from remediator.kube.base import Conflict, Forbidden
from remediator.model import IncidentId, Json, Mode, RemediationId
from remediator.sinks.kubernetes_event import KubernetesEventSink
from remediator.sinks.log import LogSink
from remediator.sinks.metrics import MetricsSink
from remediator.store.base import CommittedRecord
from remediator.telemetry import Telemetry
from tests.fakes import FakeCluster
from tests.workloads import NOW

OBJECT = {"cluster": "lab", "kind": "Deployment", "namespace": "shop", "name": "checkout", "uid": "d-1"}
EVENTS = "/apis/events.k8s.io/v1/namespaces/shop/events"


def record(kind: str, *, after: float = 0, **body: Json) -> CommittedRecord:
    whole: dict[str, Any] = {"rule": "crash-loop", "action": "scale", "object": OBJECT, **body}
    return CommittedRecord(
        seq=7,
        at=NOW + timedelta(seconds=after),
        kind=kind,
        remediation_id=RemediationId(3),
        incident_id=IncidentId(2),
        body=whole,
        canonical=canonical_json(whole),
    )


async def metrics_of(*records: CommittedRecord) -> str:
    telemetry = Telemetry.create(version="1", mode=Mode.SILENT)
    sink = MetricsSink(telemetry)
    for one in records:
        await sink.tell(one)
    text = telemetry.exposition("")[1].decode()
    telemetry.shutdown()
    return text


@pytest.mark.parametrize(
    ("kind", "reason", "line"),
    [
        ("action.applied", "", 'remediator_decisions_total{action="scale",decision="executed",rule="crash-loop"} 1.0'),
        (
            "decision.recommended",
            "mode-silent",
            'remediator_decisions_total{action="scale",decision="recommended",rule="crash-loop"} 1.0',
        ),
        ("decision.held", "cooldown", 'remediator_held_total{reason="cooldown",rule="crash-loop"} 1.0'),
        ("decision.declined", "no-rule", 'decision="no_match"'),
        ("outcome.verified", "", 'remediator_incidents_total{outcome="recovered_after_action",rule="crash-loop"} 1.0'),
        ("outcome.reverted", "", 'remediator_incidents_total{outcome="not_recovered",rule="crash-loop"} 1.0'),
        ("escalation.passed-on", "", 'remediator_escalations_total{severity="2",step="passed-on"} 1.0'),
        ("switch.engaged", "", "remediator_paused 1.0"),
    ],
)
async def test_a_record_is_counted(kind: str, reason: str, line: str) -> None:
    assert line in await metrics_of(record(kind, reason=reason, severity=2))


@pytest.mark.parametrize("ends", [["outcome.verified"], ["outcome.temporary", "restore.intent", "outcome.verified"]])
async def test_an_action_lasts_until_it_helped_and_is_counted_once(ends: list[str]) -> None:
    """What was lent and is given back an hour later did not take an hour to help."""
    told = [record(kind, after=60 + 3600 * number) for number, kind in enumerate(ends)]

    text = await metrics_of(record("action.applied"), *told)

    assert 'remediator_action_duration_seconds_count{action="scale",outcome="verified"} 1.0' in text
    assert 'remediator_action_duration_seconds_sum{action="scale",outcome="verified"} 60.0' in text
    assert 'remediator_incidents_total{outcome="recovered_after_action",rule="crash-loop"} 1.0' in text


@pytest.mark.parametrize(
    ("kind", "action", "reason", "type_"),
    [
        ("decision.recommended", "rollback", "WouldRollBack", "Normal"),
        ("decision.recommended", "shed", "WouldShed", "Normal"),
        ("action.applied", "evict", "Evicted", "Normal"),
        ("decision.escalated", "", "Escalated", "Warning"),
        ("outcome.temporary", "scale", "VerifiedForNow", "Normal"),
        ("restore.intent", "scale", "GivingBack", "Normal"),
        ("outcome.failed", "scale", "NotVerified", "Warning"),
        ("escalation.opened", "", "PeopleCalled", "Warning"),
        ("escalation.passed-on", "", "PassedOn", "Warning"),
        ("escalation.acknowledged", "", "Acknowledged", "Normal"),
    ],
)
async def test_a_record_is_an_event_on_its_object(kind: str, action: str, reason: str, type_: str) -> None:
    cluster = FakeCluster()
    cluster.replies["POST", EVENTS] = {}

    await KubernetesEventSink(cluster).tell(record(kind, action=action, detail="why", reason="cooldown"))

    [(request, dry_run)] = cluster.sent
    assert not dry_run
    assert (request.body["reason"], request.body["type"]) == (reason, type_)
    assert request.body["regarding"]["uid"] == "d-1"
    assert request.body["note"] == "inc-2: why [cooldown] (rule crash-loop)"


async def test_what_a_gate_caused_is_no_event_since_it_is_of_no_object() -> None:
    cluster = FakeCluster()
    await KubernetesEventSink(cluster).tell(record("escalation.opened", object=None))
    assert cluster.sent == []


@pytest.mark.parametrize(
    ("kind", "level"),
    [("escalation.opened", "warning"), ("escalation.ended", "info"), ("decision.held", "info")],
)
async def test_what_somebody_has_to_hear_is_a_warning_in_the_log(kind: str, level: str) -> None:
    with capture_logs() as lines:
        await LogSink().tell(record(kind, escalation="E-3", contact="pods", tell="ada", detail="why"))
    [line] = lines
    assert (line["log_level"], line["event"], line["escalation"], line["tell"]) == (level, kind, "E-3", "ada")


@pytest.mark.parametrize("kind", ["step.diagnosing", "alert.received", "revert.intent"])
async def test_steps_that_decide_nothing_are_no_events(kind: str) -> None:
    cluster = FakeCluster()

    await KubernetesEventSink(cluster).tell(record(kind))

    assert cluster.sent == []


@pytest.mark.parametrize("answer", [Conflict("told before"), Forbidden("no")])
async def test_an_event_that_cannot_be_made_stops_nothing(answer: Exception) -> None:
    cluster = FakeCluster()
    cluster.replies["POST", EVENTS] = answer

    await KubernetesEventSink(cluster).tell(record("action.applied"))

    assert len(cluster.sent) == 1
