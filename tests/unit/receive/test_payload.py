"""From the bytes of a webhook body to alerts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from remediator.access.base import ANYONE, Credential, May
from remediator.authority import Authority
from remediator.model import AlertStatus
from remediator.receive import payload as payload_module
from remediator.receive.base import BadBody
from remediator.receive.payload import MAX_LABELS, Payload, fingerprint
from remediator.redact import Remembering
from remediator.rules.automaton import compile_pattern
from tests.unit.receive.bodies import API_V2, PAYLOADS, body, captured, element

WEBHOOK_BODIES = sorted(path.name for path in PAYLOADS.glob("*.json") if path.name not in API_V2)


def read(data: bytes) -> Payload:
    return payload_module.read(data, Remembering(), sender=ANYONE.credential)


@pytest.mark.parametrize("name", WEBHOOK_BODIES)
def test_reads_every_captured_body_whole(name: str) -> None:
    """Nothing that a real Alertmanager sent is quarantined, and its fingerprints are those of its labels."""
    payload = read(captured(name))
    expected = json.loads(captured(name))["alerts"]
    assert payload.quarantined == []
    assert [alert.labels for alert in payload.alerts] == [item["labels"] for item in expected]
    assert [fingerprint(alert.labels) for alert in payload.alerts] == [item["fingerprint"] for item in expected]


def test_all_captured_files_are_tested() -> None:
    assert len(WEBHOOK_BODIES) == 24


@pytest.mark.parametrize("name", API_V2)
def test_an_answer_of_the_api_is_no_webhook_body(name: str) -> None:
    with pytest.raises(BadBody):
        read(captured(name))


def test_takes_the_fields_as_they_are_meant() -> None:
    [alert] = read(
        body(
            element(
                status="resolved",
                startsAt="2026-11-23T09:10:45.347123456+02:00",
                endsAt="2026-11-23T07:20:00Z",
                fingerprint="6322af18d620bf06",
            ),
            truncatedAlerts=4,
        )
    ).alerts
    assert alert.status is AlertStatus.RESOLVED
    assert alert.starts_at == datetime(2026, 11, 23, 7, 10, 45, 347123, UTC)
    assert alert.ends_at == datetime(2026, 11, 23, 7, 20, tzinfo=UTC)
    assert alert.fingerprint == "6322af18d620bf06"
    assert (alert.receiver, alert.group_key) == ("remediator", '{}:{alertname="KubePodCrashLooping"}')
    assert alert.truncated == 4


def test_unescapes_what_go_escapes() -> None:
    [alert] = read(captured("wire-bytes-special-characters.json")).alerts
    assert alert.labels == {"alertname": 'Norm <&> "q"', "case": "norm", "inst": "ü 漢"}
    assert "\u2028" in alert.annotations["summary"]


@pytest.mark.parametrize(
    "fields",
    [
        {"endsAt": "0001-01-01T00:00:00Z"},
        {"endsAt": "2026-11-23T07:20:00Z"},
        {"endsAt": ...},
        {"endsAt": None},
        {"status": "resolved", "endsAt": "0001-01-01T00:00:00Z"},
    ],
)
def test_has_no_end_while_it_fires_or_where_none_is_given(fields: dict[str, Any]) -> None:
    [alert] = read(body(element(**fields))).alerts
    assert alert.ends_at is None


@pytest.mark.parametrize("optional", ["annotations", "generatorURL", "fingerprint", "endsAt"])
@pytest.mark.parametrize("absent", [..., None])
def test_what_alertmanager_may_leave_out_may_be_absent(optional: str, absent: Any) -> None:
    assert len(read(body(element(**{optional: absent}))).alerts) == 1


def test_tolerates_unknown_fields_everywhere() -> None:
    """0.32 and 0.34 added fields without a new version."""
    future = {"anything": [{"deep": {"er": 1.5}}]}
    payload = read(body(element(**future), notification_reason="first notification", routeLabels={}, **future))
    assert len(payload.alerts) == 1


@pytest.mark.parametrize(
    ("fields", "place", "problem"),
    [
        ({"version": ...}, "version", "missing"),
        ({"version": "3"}, "version", 'expected "4"'),
        ({"version": 4}, "version", 'expected "4"'),
        ({"version": "1", "orgId": 1, "state": "alerting"}, "version", "Grafana"),
        ({"receiver": ...}, "receiver", "missing"),
        ({"groupKey": ...}, "groupKey", "missing"),
        ({"alerts": ...}, "alerts", "missing"),
        ({"alerts": None}, "alerts", "list"),
        ({"alerts": {}}, "alerts", "list"),
        ({"truncatedAlerts": -1}, "truncatedAlerts", "greater"),
        ({"truncatedAlerts": "1"}, "truncatedAlerts", "integer"),
        ({"groupKey": "\x00"}, "$.groupKey", "NUL"),
        ({"receiver": "\ud800"}, "$.receiver", "surrogate"),
    ],
)
def test_refuses_a_body_that_is_not_version_4(fields: dict[str, Any], place: str, problem: str) -> None:
    with pytest.raises(BadBody) as caught:
        read(body(**fields))
    assert caught.value.place == place
    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("poisoned", "place", "problem"),
    [
        (element(startsAt=...), "alerts[1].startsAt", "missing"),
        (element(status=...), "alerts[1].status", "missing"),
        (element(labels=...), "alerts[1].labels", "missing"),
        (element(startsAt="yesterday"), "alerts[1].startsAt", "RFC 3339"),
        (element(startsAt="2026-11-23T07:10:45"), "alerts[1].startsAt", "RFC 3339"),
        (element(startsAt="0001-01-01T00:00:00Z"), "alerts[1].startsAt", "RFC 3339"),
        (element(startsAt=1763881845), "alerts[1].startsAt", "string"),
        (element(status="resolved", endsAt="soon"), "alerts[1].endsAt", "RFC 3339"),
        (element(status="pending"), "alerts[1].status", "'firing' or 'resolved'"),
        (element(labels={}), "alerts[1].labels", "at least 1"),
        (element(labels={f"l{n}": "" for n in range(MAX_LABELS + 1)}), "alerts[1].labels", "at most 64"),
        (element(labels={"alertname": "x" * 4097}), "alerts[1].labels.alertname", "at most 4096"),
        (element(labels={"alertname": 1}), "alerts[1].labels.alertname", "string"),
        (element(fingerprint="6322AF18D620BF06"), "alerts[1].fingerprint", "pattern"),
        (element(fingerprint="6322af18d620bf0"), "alerts[1].fingerprint", "pattern"),
        (element(labels={"alertname": "a\x00b"}), "alerts[1].labels.alertname", "NUL"),
        (element(annotations={"summary": "\ud800"}), "alerts[1].annotations.summary", "surrogate"),
        ("not an object", "alerts[1]", "JSON object"),
    ],
)
def test_quarantines_a_poisoned_alert_and_keeps_the_others(poisoned: Any, place: str, problem: str) -> None:
    payload = read(body(element(labels={"n": "first"}), poisoned, element(labels={"n": "last"})))
    assert [alert.labels["n"] for alert in payload.alerts] == ["first", "last"]
    [item] = payload.quarantined
    assert item.place == place
    assert problem in item.problem
    assert item.element.isascii()


def test_cuts_prose_that_is_too_long_rather_than_lose_its_alert() -> None:
    [alert] = read(body(element(annotations={"description": "x" * 5000}))).alerts
    assert len(alert.annotations["description"]) == 4096
    assert alert.annotations["description"].endswith("x…")


def test_computes_a_missing_fingerprint_as_alertmanager_does() -> None:
    whole = json.loads(captured("wire-bytes-special-characters.json"))
    expected = whole["alerts"][0].pop("fingerprint")
    [alert] = read(json.dumps(whole).encode()).alerts
    assert alert.fingerprint == expected


LIMITED = Credential(
    "shop",
    frozenset({May.ALERT}),
    Authority(receivers=compile_pattern("shop/.*"), namespaces=compile_pattern("shop|shop-.*")),
)
OWN = {"alertname": "A", "namespace": "shop", "pod": "api-1"}
THEIRS = {"alertname": "A", "namespace": "pay", "pod": "api-1"}


def sent(*alerts: Any, receiver: str = "shop/am/remediator") -> Payload:
    return payload_module.read(body(*alerts, receiver=receiver), Remembering(), sender=LIMITED)


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": OWN},
        {"labels": OWN, "fingerprint": fingerprint(OWN)},
        {"labels": OWN, "fingerprint": ...},
        {"labels": {**OWN, "exported_namespace": "shop-eu"}},
        {"labels": OWN, "status": "resolved", "endsAt": "2026-11-23T08:00:00Z"},
        {"labels": {**OWN, "remediate_namespace": "pay"}},
    ],
    ids=["its own", "fingerprint", "no fingerprint", "exported", "resolved", "step 3 looks at what else leads away"],
)
def test_a_limited_sender_may_speak_of_its_own(fields: dict[str, Any]) -> None:
    payload = sent(element(**fields))
    assert [alert.credential for alert in payload.alerts] == ["shop"]
    assert payload.quarantined == []


@pytest.mark.parametrize(
    ("fields", "receiver", "place", "said"),
    [
        ({"labels": THEIRS}, "shop/x", "labels", "namespace 'pay' is outside"),
        ({"labels": {"alertname": "A"}}, "shop/x", "labels", "what is in no namespace is outside"),
        ({"labels": {**OWN, "exported_namespace": "pay"}}, "shop/x", "labels", "namespace 'pay' is outside"),
        ({"labels": {**THEIRS, "exported_namespace": "shop"}}, "shop/x", "labels", "namespace 'pay' is outside"),
        ({"labels": OWN}, "pay/x", "labels", "receiver 'pay/x' is outside"),
        ({"labels": OWN}, "workshop/x", "labels", "receiver 'workshop/x' is outside"),
        ({"labels": OWN, "fingerprint": fingerprint(THEIRS)}, "shop/x", "fingerprint", "is not the fingerprint"),
        (
            {"labels": THEIRS, "status": "resolved", "endsAt": "2026-11-23T08:00:00Z"},
            "shop/x",
            "labels",
            "namespace 'pay' is outside",
        ),
    ],
)
def test_a_limited_senders_alert_about_others_is_set_aside(
    fields: dict[str, Any], receiver: str, place: str, said: str
) -> None:
    payload = sent(element(labels=OWN), element(**fields), receiver=receiver)
    one = payload.quarantined[-1]
    assert (one.place, one.credential) == (f"alerts[1].{place}", "shop")
    assert one.problem.startswith("credential shop: ")
    assert said in one.problem
    assert json.loads(one.element)["labels"] == fields["labels"]
    assert [alert.labels for alert in payload.alerts] == ([OWN] if receiver == "shop/x" else [])


def test_what_nobody_can_use_is_nobodys_fault() -> None:
    [one] = sent(element(startsAt="never")).quarantined
    assert one.credential == ""


def test_the_limits_are_asked_of_the_labels_as_they_came() -> None:
    """What is redacted could look like another name."""
    labels = {"alertname": "A", "namespace": "pay", "note": "password=hunter2hunter2"}
    assert [one.credential for one in sent(element(labels=labels)).quarantined] == ["shop"]
    labels["namespace"] = "shop"
    [alert] = sent(element(labels=labels, fingerprint=fingerprint(labels))).alerts
    assert "hunter2" not in str(alert.labels)


def test_without_limits_a_fingerprint_is_taken_as_it_comes() -> None:
    """Alertmanager computed it; to do so again costs as much as all the rest."""
    [alert] = read(body(element(fingerprint="00112233aabbccdd"))).alerts
    assert alert.fingerprint == "00112233aabbccdd"
