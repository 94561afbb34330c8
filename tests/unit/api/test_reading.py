"""The read API over a real store, and the command line that reads it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from remediator.cli.incidents import list_incidents, show_incident
from remediator.model import Alert, AlertStatus, State, Target
from remediator.reasons import Reason
from remediator.store.base import Change, Record
from tests.unit.api.service import NOW, Service, running

TARGET = Target("lab", "Deployment", "shop", "api", "uid-1")


def alert(number: int) -> Alert:
    labels = {"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": f"api-{number}"}
    return Alert(f"{number:016x}", AlertStatus.FIRING, labels, {"summary": "x"}, NOW, None, "", "remediator", "key")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """One incident that was declined, and one that is still being diagnosed, on a target."""
    async with running() as service:
        store = service.store
        for number in (1, 2):
            await store.accept([alert(number)], at=NOW + timedelta(minutes=number))
        later = NOW + timedelta(minutes=3)
        first, second = await store.claim(owner="test", at=later, lease=timedelta(minutes=1), limit=2)
        first = await store.advance(first, to=State.DIAGNOSING, record=Record("step.diagnosing", {}), at=later)
        no = {"reason": "no-rule", "detail": "no rule matches; nearest rule crash-loop: namespace\x1b[31m"}
        await store.advance(
            first,
            to=State.DECLINED,
            record=Record("decision.declined", no),
            at=later,
            change=Change(reason=Reason.NO_RULE),
        )
        await store.advance(
            second,
            to=State.DIAGNOSING,
            record=Record("step.diagnosing", {"evidence": ["container api exits with 1"], "cause": "code-error"}),
            at=later,
            change=Change(rule="crash-loop", severity=1, target=TARGET),
        )
        yield service


async def test_lists_incidents_newest_first_by_limit_and_openness(service: Service) -> None:
    _, told = await service.get("/api/v1/incidents")
    assert sorted(item["outcome"] for item in told["incidents"]) == ["declined", "diagnosing"]
    _, one = await service.get("/api/v1/incidents?limit=1")
    assert one["incidents"] == told["incidents"][:1]
    _, still_open = await service.get("/api/v1/incidents?open=true")
    [item] = still_open["incidents"]
    assert (item["target"], item["severity"], item["rule"], item["closed_at"]) == (
        "shop/deployment/api",
        1,
        "crash-loop",
        None,
    )


async def test_shows_an_incident_by_number_and_by_reference(service: Service) -> None:
    _, told = await service.get("/api/v1/incidents?open=true")
    reference = told["incidents"][0]["ref"]
    _, by_reference = await service.get(f"/api/v1/incidents/{reference}")
    _, by_number = await service.get(f"/api/v1/incidents/{reference.removeprefix('inc-')}")
    assert by_reference == by_number
    [attempt] = by_reference["remediations"]
    assert attempt["labels"]["pod"] == "api-2"
    assert attempt["target"]["uid"] == "uid-1"
    assert [entry["kind"] for entry in by_reference["records"]] == ["alert.received", "step.diagnosing"]


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/api/v1/incidents?limit=0", 400, "limit: expected a number from 1 to 1000"),
        ("/api/v1/incidents?limit=1001", 400, "limit: expected a number from 1 to 1000"),
        ("/api/v1/incidents?limit=all", 400, "limit: expected a number from 1 to 1000"),
        ("/api/v1/incidents?open=yes", 400, "open: expected true or false"),
        ("/api/v1/incidents/inc-999", 404, "there is no incident inc-999"),
        ("/api/v1/incidents/nine", 400, "'nine' is no incident: expected a number or inc-<number>"),
        ("/api/v1/incidents/9999999999999999999", 400, "is no incident"),
    ],
)
async def test_says_what_is_wrong_with_a_question(service: Service, path: str, status: int, error: str) -> None:
    answered, told = await service.get(path)
    assert answered == status
    assert error in told["error"]


async def test_the_command_lists_in_columns(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    code = await asyncio.to_thread(list_incidents, f"http://127.0.0.1:{service.port}", "simple")
    heading, *rows = capsys.readouterr().out.splitlines()
    assert code == 0
    assert heading.split() == ["ID", "SINCE", "SEVERITY", "TARGET", "TITLE", "OUTCOME", "REASON"]
    assert any(row.split()[-2:] == ["declined", "no-rule"] for row in rows)


async def test_the_command_shows_a_timeline_with_reasons(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    _, told = await service.get("/api/v1/incidents")
    for item in told["incidents"]:
        code = await asyncio.to_thread(show_incident, f"http://127.0.0.1:{service.port}", item["ref"], "simple")
        assert code == 0
    shown = capsys.readouterr().out
    assert "2026-11-23T12:03:00Z  decision.declined: no rule matches; nearest rule crash-loop" in shown
    assert "reason: no-rule" in shown
    assert "cause: code-error" in shown
    assert "evidence: container api exits with 1" in shown
    assert "\x1b" not in shown


async def test_the_command_prints_the_json_of_the_api(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert await asyncio.to_thread(list_incidents, f"http://127.0.0.1:{service.port}", "json", limit=1) == 0
    assert json.loads(capsys.readouterr().out) == (await service.get("/api/v1/incidents?limit=1"))[1]


async def test_the_command_finds_the_service_by_its_variable(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMEDIATOR_URL", f"http://127.0.0.1:{service.port}/")
    assert await asyncio.to_thread(list_incidents, None, "simple", only_open=True) == 0


async def test_an_unknown_incident_is_a_failure_and_a_wrong_reference_misuse(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"http://127.0.0.1:{service.port}"
    assert await asyncio.to_thread(show_incident, url, "inc-999", "simple") == 1
    assert await asyncio.to_thread(show_incident, url, "../pause", "simple") == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: there is no incident inc-999",
        "error: '../pause' is no incident: expected a number or inc-<number>",
    ]


def test_no_service_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_incidents("http://127.0.0.1:1", "simple") == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        "error: no remediator answers at http://127.0.0.1:1: connection refused; is it running? (--url, REMEDIATOR_URL)"
    )


@pytest.mark.parametrize(("url", "output"), [("127.0.0.1:9095", "simple"), ("http://127.0.0.1:1", "yaml")])
def test_misuse_is_exit_code_2(url: str, output: str) -> None:
    assert list_incidents(url, output) == 2
