"""The webhook against a server that takes, refuses, delays and dies; through the publisher at least once, in order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from remediator.clock import SystemClock
from remediator.errors import PermanentError, TransientError
from remediator.model import IncidentId, RemediationId
from remediator.pipeline import publish
from remediator.sinks.webhook import WebhookSink
from remediator.store.base import CommittedRecord, Record
from remediator.store.opening import open_database
from tests.unit.scripted_server import DROP, HANG, Answer, ScriptedServer

AT = datetime(2026, 11, 23, 12, 0, 7, tzinfo=UTC)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    one = ScriptedServer()
    await one.start()
    yield one
    await one.stop()


def record(kind: str = "decision.held", seq: int = 7) -> CommittedRecord:
    body = {"reason": "storm", "detail": "5 targets", "target": "shop/deployment/checkout"}
    return CommittedRecord(seq, AT, kind, RemediationId(3), IncidentId(2), body, b"")


async def test_tells_a_record_as_a_cloud_event(server: ScriptedServer, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("abc\n")
    await WebhookSink(f"{server.url}/hook", cluster="prod", token_file=token).tell(record())
    [asked] = server.asked
    assert (asked.method, asked.path) == ("POST", "/hook")
    assert asked.headers["Content-Type"] == "application/cloudevents+json"
    assert asked.headers["Idempotency-Key"] == "/remediator/prod/7"
    assert asked.headers["Authorization"] == "Bearer abc"
    assert json.loads(asked.body) == {
        "specversion": "1.0",
        "id": "7",
        "source": "/remediator/prod",
        "type": "io.remediator.decision.held",
        "subject": "shop/deployment/checkout",
        "time": "2026-11-23T12:00:07Z",
        "datacontenttype": "application/json",
        "data": {
            "reason": "storm",
            "detail": "5 targets",
            "target": "shop/deployment/checkout",
            "remediation": "R-3",
            "incident": "inc-2",
        },
    }


async def test_people_are_called_by_it(server: ScriptedServer) -> None:
    await WebhookSink(server.url, cluster="prod").tell(record("escalation.opened"))
    [asked] = server.asked
    assert json.loads(asked.body)["type"] == "io.remediator.escalation.opened"


@pytest.mark.parametrize("kind", ["step.planned", "alert.received"])
async def test_what_leads_up_to_a_decision_is_not_told(server: ScriptedServer, kind: str) -> None:
    await WebhookSink(server.url, cluster="prod").tell(record(kind))
    assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(500), TransientError),
        (Answer(503), TransientError),
        (Answer(429), TransientError),
        (DROP, TransientError),
        (HANG, TransientError),
        (Answer(400), PermanentError),
        (Answer(410), PermanentError),
        (Answer(302, headers={"Location": "http://127.0.0.1:9/"}), PermanentError),
    ],
)
async def test_what_is_told_again_and_what_is_not(
    server: ScriptedServer, answer: Answer, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediator.sinks.webhook.TIMEOUT_SECONDS", 0.3)
    server.answers(answer)
    with pytest.raises(error, match="webhook"):
        await WebhookSink(server.url, cluster="prod").tell(record())


async def test_nothing_is_left_out_and_the_order_is_kept_while_the_receiver_comes_and_goes(
    server: ScriptedServer,
) -> None:
    database = await open_database("sqlite:///:memory:", clock=SystemClock())
    await database.note([Record("pause.set", {"n": n}) for n in range(4)], at=AT)
    server.answers(Answer(), Answer(503), Answer(), DROP, Answer())
    attempts: list[Exception | None] = []
    sink = WebhookSink(server.url, cluster="prod", count=attempts.append)
    failures = 0
    for _ in range(8):
        try:
            if not await publish(sink, reader=database, limit=1):
                break
        except TransientError:
            failures += 1
    await database.close()
    told = [json.loads(asked.body)["data"]["n"] for asked in server.asked]
    assert (told, failures) == ([0, 1, 1, 2, 2, 3], 2)
    assert [error is None for error in attempts] == [True, False, True, False, True, True], "each attempt is counted"
