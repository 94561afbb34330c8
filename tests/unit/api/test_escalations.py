"""What people have to do, over loopback, and the commands that list it and take it on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.cli import escalations as commands
from remediator.cli.incidents import show_incident
from remediator.model import State
from remediator.reasons import Reason
from remediator.store.base import Change
from remediator.store.escalations_base import Call
from remediator.verdicts import Gate
from tests.unit.api.service import NOW, TOKEN, Service, running
from tests.unit.store.examples import NOTE, brought_to, escalated, firing, queued, resolved, target

SIGNED = {"Authorization": TOKEN}
SAID = {"comment": "on it", "by": "ada"}
ADA = "ada (credential desk)"
WHY = "the rule escalates for cause unknown"
CALL = Call("pods", "application-on-call", timedelta(minutes=5), 1, Reason.ROW_ESCALATES, WHY)
STORM = Gate("storm", Reason.STORM, "5 targets alert", timedelta(minutes=10))


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """One open escalation, E-1 of inc-1, told to the first of the shipped row `pods`."""
    async with running() as one:
        await escalated(one.store, firing(), CALL, on=target(), at=NOW)
        yield one


async def storm(service: Service) -> None:
    [remediation] = await queued(service.store, firing(2))
    planned = await brought_to(service.store, remediation, State.PLANNED, on=target("web"))
    change = Change(gates=(STORM,), gate_calls={"storm": CALL})
    await service.store.advance(planned, to=State.RECOMMENDED, record=NOTE, at=NOW, change=change)


async def test_the_open_ones_are_listed_with_who_is_next(service: Service) -> None:
    status, told = await service.get("/api/v1/escalations")
    assert status == 200
    assert told == {
        "escalations": [
            {
                "ref": "E-1",
                "incident": "inc-1",
                "gate": None,
                "title": "KubePodCrashLooping",
                "target": "shop/deployment/api",
                "rule": "crash-loop",
                "severity": 1,
                "contact": "pods",
                "told": "application-on-call",
                "reason": "row-escalates",
                "detail": WHY,
                "opened_at": "2026-11-23T12:00:00Z",
                "next_at": "2026-11-23T12:05:00Z",
                "acked_at": None,
                "acked_by": None,
                "acked_comment": None,
                "ended_at": None,
                "ended": None,
                "next": "application-lead",
            }
        ]
    }


@pytest.mark.parametrize("text", ["E-1", "1", "inc-1"])
async def test_one_is_acknowledged_by_its_number_or_its_incident(service: Service, text: str) -> None:
    status, told = await service.ask("POST", f"/api/v1/escalations/{text}/ack", json=SAID, headers=SIGNED)
    assert (status, told["ref"], told["acked_by"], told["acked_comment"]) == (200, "E-1", ADA, "on it")
    assert told["acked_at"] == "2026-11-23T12:00:00Z"
    _, listed = await service.get("/api/v1/escalations")
    assert [(one["acked_by"], one["next"]) for one in listed["escalations"]] == [(ADA, None)]


@pytest.mark.parametrize(
    ("path", "options", "status", "error"),
    [
        ("E-1", {"json": SAID}, 401, "unauthorized"),
        ("E-1", {"json": {"by": "ada"}, "headers": SIGNED}, 400, "comment: Field required"),
        ("E-1", {"json": {**SAID, "for": "1h"}, "headers": SIGNED}, 400, "for: Extra"),
        ("E-1", {"data": SAID, "headers": SIGNED}, 415, "application/json"),
        ("R-1", {"json": SAID, "headers": SIGNED}, 400, "expected a number, E-<number> or inc-<number>"),
        ("E-9", {"json": SAID, "headers": SIGNED}, 404, "E-9 is not open"),
        ("inc-9", {"json": SAID, "headers": SIGNED}, 404, "inc-9 has no open escalation"),
    ],
)
async def test_refuses_what_is_not_clear(
    service: Service, path: str, options: dict[str, Any], status: int, error: str
) -> None:
    answered, told = await service.ask("POST", f"/api/v1/escalations/{path}/ack", **options)
    assert answered == status
    assert error in told["error"]


async def test_one_is_acknowledged_once_and_may_be_closed_after_that(service: Service) -> None:
    path = "/api/v1/escalations/E-1/ack"
    answers = [await service.ask("POST", path, json=SAID, headers=SIGNED) for _ in range(2)]
    assert [status for status, _ in answers] == [200, 409]
    assert answers[1][1] == {"error": f"E-1 was acknowledged by {ADA}: on it"}
    closed = {"comment": "gone for good", "by": "bob", "close": True}
    _, told = await service.ask("POST", path, json=closed, headers=SIGNED)
    assert told["ended"] == "closed by bob (credential desk): gone for good"
    assert (await service.get("/api/v1/incidents?open=true"))[1] == {"incidents": []}


async def test_the_incident_shows_it(service: Service) -> None:
    await service.store.accept([resolved()], at=NOW + timedelta(minutes=1))
    _, told = await service.get("/api/v1/incidents/1")
    [one] = told["escalations"]
    assert (one["ref"], one["ended"]) == ("E-1", "every alert of it is resolved")


async def test_the_open_ones_are_a_gauge(service: Service) -> None:
    _, text = await service.text("/metrics")
    assert 'remediator_open_escalations{acknowledged="false",severity="1"} 1.0' in text
    assert 'remediator_open_escalations{acknowledged="true",severity="1"} 0.0' in text


async def printed(capsys: pytest.CaptureFixture[str], service: Service, call: Any, *arguments: Any) -> list[str]:
    code = await asyncio.to_thread(call, f"http://127.0.0.1:{service.port}", *arguments)
    assert code == 0
    return [line for line in capsys.readouterr().out.splitlines() if "[warning" not in line]


async def test_the_commands_list_and_acknowledge(
    service: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN.removeprefix("Bearer ") + "\n")
    await storm(service)
    assert await printed(capsys, service, commands.escalations, "simple") == [
        "E-1  severity 1  inc-1  shop/deployment/api  KubePodCrashLooping",
        f"  why      {WHY}",
        "  contact  pods, since 2026-11-23T12:00:00Z",
        "  now      application-on-call was told; application-lead is next at 2026-11-23T12:05:00Z",
        "E-2  severity 1  storm",
        f"  why      {WHY}",
        "  contact  pods, since 2026-11-23T12:00:00Z",
        "  now      application-on-call was told; application-lead is next at 2026-11-23T12:05:00Z",
    ]

    def ack(url: str, name: str) -> int:
        return commands.ack(
            url, "simple", escalation=name, comment="on it", by="ada", token_file=str(token), closes=name == "E-2"
        )

    said = f"acknowledged by {ADA} at 2026-11-23T12:00:00Z: on it"
    assert await printed(capsys, service, ack, "inc-1") == [f"E-1 {said}"]
    assert await printed(capsys, service, ack, "E-2") == [f"E-2 ended at 2026-11-23T12:00:00Z: closed by {ADA}: on it"]
    assert await printed(capsys, service, commands.escalations, "simple") == [
        "E-1  severity 1  inc-1  shop/deployment/api  KubePodCrashLooping",
        f"  why      {WHY}",
        "  contact  pods, since 2026-11-23T12:00:00Z",
        f"  now      {said}",
    ]
    assert f"  people    E-1 {said}" in await printed(capsys, service, show_incident, "inc-1", "simple")


async def test_with_nothing_to_do_it_says_so(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    await service.store.accept([resolved()], at=NOW)
    assert await printed(capsys, service, commands.escalations, "simple") == ["nothing waits for people"]


def test_nobody_who_answered_is_said_too() -> None:
    one = {"ended_at": None, "acked_at": None, "next_at": None, "told": "ada"}
    assert commands.state_of(one) == "nobody answered; ada was told last"
