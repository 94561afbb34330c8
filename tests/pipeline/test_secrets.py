"""Secrets planted wherever a cluster, an alert or an error can carry them: nothing keeps or tells them.

The real service over HTTP, with its file, its log, its spans and its Event; only the cluster and Prometheus are fakes.
The one place that must hold the exact values is the request itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from remediator.access.loading import AccessFiles, known_access
from remediator.app import Service
from remediator.cli.incidents import show_incident
from remediator.clock import rfc3339
from remediator.disclosed import commitment
from remediator.errors import RemediatorError
from remediator.export import bundling
from remediator.export.report_forms import FORMS
from remediator.export.table import FORMATS
from remediator.kube.replies import error_of, read_status
from remediator.model import TERMINAL, Json, Mode, Request, State
from remediator.prometheus.replies import check
from remediator.rules.table import rule_table
from remediator.settings import Settings
from remediator.store.opening import open_database
from remediator.telemetry import Telemetry
from tests.clocks import FakeClock
from tests.cluster.waiting import wait_for_async
from tests.logkeys import KEYS, signing
from tests.pipeline.world import DEPLOYMENT, FakeMetrics, Shop, rule
from tests.unit.receive.bodies import body, element
from tests.workloads import NOW

PLACES = (
    "log",
    "previous-log",
    "event",
    "state-message",
    "env-now",
    "env-before",
    "plain-env-now",
    "plain-env-before",
    "arg-now",
    "arg-before",
    "template-annotation",
    "last-applied",
    "change-cause",
    "api-error",
    "alert-label",
    "alert-annotation",
    "generator-url",
    "prometheus-error",
    "fault",
)


def secret(place: str) -> str:
    """Different for each place, so that what leaks says where it came from."""
    return f"Zq81{place}kLmN"


@dataclass
class Told:
    """Everything that can be read of the service from outside, and the bytes of its file."""

    outcome: str
    answers: str
    exports: str
    command_line: str
    log: str
    spans: str
    events: str
    on_disk: bytes
    requests: list[Request]

    def leaks(self) -> list[tuple[str, str]]:
        """(place of the secret, where it was found)."""
        where: Mapping[str, str] = {
            "API and metrics": self.answers,
            "exports and reports": self.exports,
            "command line": self.command_line,
            "log": self.log,
            "spans": self.spans,
            "Event": self.events,
            "file": self.on_disk.decode("utf-8", "replace"),
        }
        return [(place, name) for place in PLACES for name, text in where.items() if secret(place) in text]


def plant(shop: Shop) -> None:
    """Secrets in the story of `tests/workloads.py`: in both releases, differently in each."""
    for age, templates in {"now": (shop.live, release(shop, 3)), "before": (release(shop, 2),)}.items():
        for item in templates:
            template = item["spec"]["template"]
            template["spec"]["containers"][0] |= {
                "env": [
                    {"name": "DB_PASSWORD", "value": secret(f"env-{age}")},
                    {"name": "GREETING", "value": secret(f"plain-env-{age}")},
                    {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
                ],
                "args": ["serve", "--api-token", secret(f"arg-{age}"), "--port", "80"],
            }
            template["metadata"]["annotations"] = {"example.com/api-key": secret("template-annotation")}
    applied = {"spec": {"env": [{"name": "A", "value": secret("last-applied")}]}}
    for item in (shop.live, release(shop, 3)):
        item["metadata"]["annotations"] |= {
            "kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied),
            "kubernetes.io/change-cause": f"helm upgrade --set db.password={secret('change-cause')}",
        }
    pod = shop.peek("Pod", "shop", "checkout-3-a")
    pod["status"]["containerStatuses"][0]["lastState"]["terminated"]["message"] = f"token={secret('state-message')}"
    shop.log_texts["shop", "checkout-3-a", "app", False] = f"cookie: sid={secret('log')}\n"
    shop.log_texts["shop", "checkout-3-a", "app", True] = (
        f"using postgres://app:{secret('previous-log')}@db:5432/orders\n"
        f"Authorization: Bearer {secret('previous-log')}\n"
        "TypeError: x is not a function\n"
    )
    shop.add(
        {
            "kind": "CoreEvent",
            "apiVersion": "v1",
            "metadata": {"name": "checkout.1", "namespace": "shop", "creationTimestamp": rfc3339(NOW)},
            "involvedObject": {"kind": "Pod", "name": "checkout-3-a", "namespace": "shop", "uid": "uid-checkout-3-a"},
            "type": "Warning",
            "reason": "BackOff",
            "message": f'exec "login --password {secret("event")}" failed',
            "lastTimestamp": rfc3339(NOW),
            "count": 1,
        }
    )


def release(shop: Shop, number: int) -> Json:
    return shop.peek("ReplicaSet", "shop", f"checkout-{number}")


def refusal() -> RemediatorError:
    """A 422 as the API server words it: with the value that it refuses."""
    echo = f'Invalid value: "{secret("api-error")}": may not be specified when `value` is not empty'
    field = "spec.template.spec.containers[0].env[1].valueFrom"
    answer = {
        "kind": "Status",
        "reason": "Invalid",
        "message": f'Deployment.apps "checkout" is invalid: {field}: {echo}',
        "details": {"causes": [{"reason": "FieldValueInvalid", "field": field, "message": echo}]},
    }
    return error_of(f"PATCH {DEPLOYMENT}", 422, read_status(json.dumps(answer).encode(), {}), is_repeatable=True)


def no_metrics() -> RemediatorError:
    """A fault of Prometheus that quotes what it was asked with."""
    try:
        text = f"upstream https://prom:{secret('prometheus-error')}@thanos:9090/api failed"
        check("query", 503, {"status": "error", "errorType": "internal", "error": text}, "")
    except RemediatorError as error:
        return error
    raise AssertionError("that was an error")


def webhook() -> bytes:
    labels = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": "checkout-3-a", "container": "app"}
    return body(
        element(
            labels={**labels, "callback": f"https://hook:{secret('alert-label')}@x.example/"},
            annotations={"summary": f"it printed password={secret('alert-annotation')}"},
            generatorURL=f"http://prom:{secret('generator-url')}@prometheus/graph",
            startsAt=rfc3339(NOW),
        )
    )


async def live_through(
    mode: Mode, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Callable[[Shop, FakeMetrics], None]
) -> Told:
    """One alert from its arrival until nothing more is to be done for it."""
    (tmp_path / "rules.json").write_text(json.dumps({"rules": [rule(mode=mode.value).as_json()]}), encoding="utf-8")
    file = tmp_path / "remediator.db"
    settings = Settings.load(
        None,
        {
            "web_listen_address": "127.0.0.1:0",
            "storage_url": f"sqlite:///{file}",
            "rules": (tmp_path / "rules.json",),
            "poll_seconds": 0.02,
            "lease_seconds": 3600,  # the clock runs ahead of the work
            "mode": mode.value,
            **signing(tmp_path),
        },
    )
    clock, spans = FakeClock(), InMemorySpanExporter()
    telemetry = Telemetry.create(version="1", mode=mode, span_exporter=spans)
    shop = Shop(clock)
    metrics = FakeMetrics(shop, clock)
    plant(shop)
    change(shop, metrics)
    database = await open_database(settings.storage_url, clock=clock, keys=KEYS)
    with capture_logs() as log:
        service = Service(
            settings,
            clock=clock,
            telemetry=telemetry,
            database=database,
            cluster=shop,
            metrics=metrics,
            table=rule_table(settings.rules),
            access=known_access(AccessFiles()),
            keys=KEYS,
        )
        await service.start()
        async with asyncio.TaskGroup() as group, ClientSession(f"http://127.0.0.1:{service.port}") as client:
            running = group.create_task(service.run())
            as_json = {"Content-Type": "application/json"}
            async with client.post("/api/v1/alerts", data=webhook(), headers=as_json) as answer:
                assert answer.status == 200

            told = ""

            async def settled() -> Any:
                nonlocal told
                clock.jump(seconds=5)
                async with client.get("/api/v1/incidents/1") as answer:
                    told += await answer.text()
                    outcome = (await answer.json())["incident"]["outcome"] if answer.status == 200 else "queued"
                return outcome if State(outcome) in TERMINAL else None

            outcome = await wait_for_async(settled, timeout_seconds=20, what="a final state")
            for path in ("/api/v1/incidents", "/metrics", "/api/v1/deployments"):
                async with client.get(path) as answer:
                    told += await answer.text()
            exports = [await _fetched(client, path) for path in EXPORTS]
            await asyncio.to_thread(show_incident, f"http://127.0.0.1:{service.port}", "1", "simple")
            await asyncio.to_thread(show_incident, f"http://127.0.0.1:{service.port}", "1", "json")
            # While there is something to undo, the row of an active remediation holds the exact request.
            on_disk = bytes_of(tmp_path) if mode is Mode.SILENT else b""
            service.stop()
            await running
    await database.close()
    await asyncio.to_thread(telemetry.shutdown)
    on_disk += bytes_of(tmp_path)
    return Told(
        outcome=outcome,
        answers=told,
        exports="\n".join(exports),
        command_line=capsys.readouterr().out,
        log=json.dumps(log, default=repr),
        spans="".join(span.to_json() for span in spans.get_finished_spans()),
        events=json.dumps([request.body for request, _ in shop.sent if request.path.endswith("/events")]),
        on_disk=on_disk,
        requests=shop.writes(),
    )


EXPORTS = (
    *(
        f"/api/v1/export?{scope}&all=true&format={form}"
        for scope in ("incident=1", "since=10d")
        for form in (*FORMATS, bundling.NAME)
    ),
    *(f"/api/v1/report/{kind}?format={form}" for kind in ("handoff", "monthly") for form in FORMS),
)
"""Every form in which a story leaves the service."""


async def _fetched(client: ClientSession, path: str) -> str:
    async with client.get(path) as answer:
        assert answer.status == 200, path
        return (await answer.read()).decode(errors="replace")  # what is in a bundle is not compressed


def bytes_of(folder: Path) -> bytes:
    """The database and its write-ahead log."""
    return b"".join(path.read_bytes() for path in folder.glob("remediator.db*"))


def nothing(shop: Shop, metrics: FakeMetrics) -> None:
    """The story as it is."""


def refuses(shop: Shop, metrics: FakeMetrics) -> None:
    shop.replies["PATCH", DEPLOYMENT] = refusal()


def does_not_help(shop: Shop, metrics: FakeMetrics) -> None:
    shop.heals = False


def without_metrics(shop: Shop, metrics: FakeMetrics) -> None:
    metrics.failure = no_metrics()


def breaks(shop: Shop, metrics: FakeMetrics) -> None:
    shop.errors[DEPLOYMENT] = RuntimeError(f"cannot read {{'password': '{secret('fault')}'}}")


STORIES = {
    "silent": (Mode.SILENT, nothing, "recommended"),
    "silent, refused": (Mode.SILENT, refuses, "recommended"),
    "silent, no metrics": (Mode.SILENT, without_metrics, "recommended"),
    "active": (Mode.ACTIVE, nothing, "verified"),
    "silent, a fault of ours": (Mode.SILENT, breaks, "escalated"),
    "active, refused": (Mode.ACTIVE, refuses, "recommended"),
    "active, does not help": (Mode.ACTIVE, does_not_help, "reverted"),
}


@pytest.mark.parametrize("story", STORIES)
async def test_nothing_of_a_planted_secret_is_kept_or_told(
    story: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    mode, change, outcome = STORIES[story]
    with caplog.at_level(logging.DEBUG):
        told = await live_through(mode, tmp_path, capsys, change)

    assert told.outcome == outcome
    assert told.leaks() == []
    assert [place for place in PLACES if secret(place) in caplog.text] == []


async def test_what_is_kept_still_says_what_was_found_and_what_was_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control: the secrets did pass through, and only their values are gone."""
    told = await live_through(Mode.ACTIVE, tmp_path, capsys, nothing)

    [request] = told.requests
    sent = json.dumps(request.body)
    assert secret("env-before") in sent
    assert secret("plain-env-before") in sent
    for kept in (
        "Authorization: [redacted]",
        "using postgres://app:[redacted]@db:5432/orders",
        "--password [redacted]",
        "token=[redacted]",
        "secretKeyRef",
        "GREETING",
        "[redacted] (changed)",
        "https://hook:[redacted]@x.example/",
        "password=[redacted]",
        "shop/checkout:1.4",
    ):
        assert kept in told.answers, kept
    for kept in ("password=[redacted]", "using postgres://app:[redacted]@db:5432/orders", "shop/checkout:1.4"):
        assert kept in told.exports, kept


async def test_the_record_of_an_intent_commits_to_the_exact_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = await live_through(Mode.ACTIVE, tmp_path, capsys, nothing)
    database = await open_database(f"sqlite:///{tmp_path / 'remediator.db'}", clock=FakeClock())
    try:
        [intent] = [one for one in await database.records(after=0, limit=100) if one.kind == "action.intent"]
        view = await database.incident(intent.incident_id)
    finally:
        await database.close()

    assert view is not None
    [remediation] = view.remediations
    assert remediation.plan is not None
    assert intent.body["request"]["commitment"] == commitment(told.requests[0], salt=remediation.plan.salt)
    assert remediation.plan.salt
    assert remediation.plan.salt not in told.answers
