"""The kill switch, pauses, resets, budgets and status over loopback, and the commands that use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.cli import control
from remediator.model import Mode, RemediationId, State
from remediator.reasons import Reason
from remediator.store.base import Change, Record
from remediator.store.budgets_base import Forgiven, Reset
from remediator.store.pauses_base import Pause, PauseOf
from remediator.units import Limit
from remediator.verdicts import Budget, Gate, Scope
from tests.unit.api.service import NOW, TOKEN, Service, running
from tests.unit.store.examples import NOTE, brought_to, firing, plan, queued, target

SIGNED = {"Authorization": TOKEN}
ADA = "ada (credential desk)"
"""Who says to be ada: the token is not hers alone."""


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with running() as service:
        yield service


async def test_pause_engages_shows_and_releases(service: Service) -> None:
    until = (NOW + timedelta(hours=1)).isoformat()
    wanted = {"engaged": True, "comment": "migration", "by": "ada", "until": until}
    status, told = await service.ask("POST", "/api/v1/pause", json=wanted, headers=SIGNED)
    assert status == 200
    assert (await service.get("/api/v1/pause"))[1] == told
    assert told == {
        "engaged": True,
        "comment": "migration",
        "by": ADA,
        "at": "2026-11-23T12:00:00Z",
        "until": "2026-11-23T13:00:00Z",
        "pauses": [],
    }
    assert "remediator_paused 1.0" in (await service.text("/metrics"))[1]
    released = {"engaged": False, "comment": "done", "by": "ada"}
    assert (await service.ask("POST", "/api/v1/pause", json=released, headers=SIGNED))[1]["engaged"] is False


async def test_what_people_say_is_kept_without_its_secrets(service: Service) -> None:
    said = {"engaged": True, "by": "ann", "comment": "restarted it with --password=hunter2x from the wiki"}
    assert (await service.ask("POST", "/api/v1/pause", json=said, headers=SIGNED))[0] == 200
    _, answer = await service.get("/api/v1/pause")
    assert answer["comment"] == "restarted it with --password=[redacted] from the wiki"
    assert "hunter2x" not in str([record.body for record in await service.store.records(after=0, limit=10)])


async def test_a_pause_that_ran_out_is_shown_as_released(service: Service) -> None:
    until = (NOW + timedelta(hours=1)).isoformat()
    wanted = {"engaged": True, "comment": "migration", "by": "ada", "until": until}
    await service.ask("POST", "/api/v1/pause", json=wanted, headers=SIGNED)
    service.clock.instant = NOW + timedelta(hours=2)
    assert (await service.get("/api/v1/pause"))[1]["engaged"] is False


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ({"engaged": True, "by": "ada"}, "comment: Field required"),
        ({"engaged": True, "comment": "", "by": "ada"}, "comment"),
        ({"engaged": True, "comment": "  ", "by": "ada"}, "comment"),
        ({"engaged": True, "comment": "x"}, "by: Field required"),
        ({"engaged": "yes", "comment": "x", "by": "ada"}, "engaged"),
        ({"engaged": True, "comment": "x", "by": "a\x00"}, "NUL"),
        ({"engaged": True, "comment": "x", "by": "ada", "until": "2026-11-23T11:00:00Z"}, "in the future"),
        ({"engaged": True, "comment": "x", "by": "ada", "until": "2026-11-24T11:00:00"}, "until"),
        ({"engaged": False, "comment": "x", "by": "ada", "until": "2026-11-24T11:00:00Z"}, "only for engaging"),
        ({"engaged": True, "comment": "x", "by": "ada", "for": "1h"}, "for: Extra"),
    ],
)
async def test_refuses_a_pause_that_is_not_clear(service: Service, wanted: dict[str, Any], error: str) -> None:
    status, told = await service.ask("POST", "/api/v1/pause", json=wanted, headers=SIGNED)
    assert status == 400
    assert error in told["error"]
    assert (await service.get("/api/v1/pause"))[1]["engaged"] is False


async def test_pause_needs_the_token(service: Service) -> None:
    wanted = {"engaged": True, "comment": "x", "by": "ada"}
    status, told = await service.ask("POST", "/api/v1/pause", json=wanted)
    assert (status, told) == (401, {"error": "unauthorized"})


async def test_pause_is_not_for_forms(service: Service) -> None:
    """A page of another site can post a form without being asked for leave."""
    status, _ = await service.ask("POST", "/api/v1/pause", data={"engaged": "true"}, headers=SIGNED)
    assert status == 415


async def test_a_pause_of_one_thing_leaves_the_switch_released(service: Service) -> None:
    until = (NOW + timedelta(hours=1)).isoformat()
    wanted = {"engaged": True, "namespace": "shop", "comment": "migration", "by": "ada", "until": until}
    status, told = await service.ask("POST", "/api/v1/pause", json=wanted, headers=SIGNED)
    assert (status, told["engaged"]) == (200, False)
    [one] = told["pauses"]
    assert (one["what"], one["subject"], one["by"], one["comment"]) == ("namespace", "shop", ADA, "migration")
    service.clock.instant = NOW + timedelta(hours=2)
    assert (await service.get("/api/v1/pause"))[1]["pauses"] == []


async def test_a_pause_is_lifted_once(service: Service) -> None:
    await service.ask(
        "POST", "/api/v1/pause", json={"engaged": True, "rule": "latency", "comment": "x", "by": "ada"}, headers=SIGNED
    )
    lifted = {"engaged": False, "rule": "latency", "comment": "done", "by": "ada"}
    answers = [await service.ask("POST", "/api/v1/pause", json=lifted, headers=SIGNED) for _ in range(2)]
    assert [status for status, _ in answers] == [200, 404]
    kinds = [record.kind for record in await service.store.records(after=0, limit=10)]
    assert kinds == ["pause.set", "pause.lifted"]


@pytest.mark.parametrize(
    ("rule", "hint"), [("crash-lop", "; did you mean 'crash-loop'?"), ("zzz", "")], ids=["near", "unlike any"]
)
async def test_a_pause_of_a_rule_that_is_not_there_would_stop_nothing(service: Service, rule: str, hint: str) -> None:
    wanted = {"engaged": True, "rule": rule, "comment": "x", "by": "ada"}
    status, told = await service.ask("POST", "/api/v1/pause", json=wanted, headers=SIGNED)
    assert (status, told["error"]) == (400, f"rule: the table has no rule {rule!r}{hint}")
    assert await service.store.pauses() == []


async def test_the_pause_of_a_rule_that_went_away_can_be_lifted(service: Service) -> None:
    await service.store.set_pause(Pause(PauseOf.RULE, "of-yesterday", "ada", "x", NOW, None))
    lifted = {"engaged": False, "rule": "of-yesterday", "comment": "gone", "by": "ada"}
    assert (await service.ask("POST", "/api/v1/pause", json=lifted, headers=SIGNED))[0] == 200


async def test_a_pause_is_of_one_thing(service: Service) -> None:
    wanted = {"engaged": True, "rule": "a", "namespace": "b", "comment": "x", "by": "ada"}
    status, told = await service.ask("POST", "/api/v1/pause", json=wanted, headers=SIGNED)
    assert (status, "at most one" in told["error"]) == (400, True)


async def test_a_reset_is_kept_with_who_and_why(service: Service) -> None:
    wanted = {"what": "rule", "subject": "crash-loop", "comment": "fixed", "by": "ada"}
    assert (await service.ask("POST", "/api/v1/reset", json=wanted))[0] == 401
    assert (await service.ask("POST", "/api/v1/reset", json={**wanted, "what": "all"}, headers=SIGNED))[0] == 400
    assert (await service.ask("POST", "/api/v1/reset", json=wanted, headers=SIGNED))[0] == 200
    status, told = await service.ask("POST", "/api/v1/reset", json={**wanted, "subject": "crash-lop"}, headers=SIGNED)
    assert (status, told["error"]) == (400, "rule: the table has no rule 'crash-lop'; did you mean 'crash-loop'?")
    assert await service.store.last_reset(Forgiven.RULE, "crash-lop") is None
    kept = await service.store.last_reset(Forgiven.RULE, "crash-loop")
    assert kept == Reset(Forgiven.RULE, "crash-loop", ADA, "fixed", NOW)


async def recommended(service: Service) -> None:
    """One recommendation that a storm was seen with."""
    [remediation] = await queued(service.store, firing(1))
    planned = await brought_to(service.store, remediation, State.PLANNED, on=target())
    change = Change(
        rule="crash-loop",
        mode=Mode.SILENT,
        plan=plan(target()),
        budgets=(Budget(Scope.CLUSTER, Limit(10, timedelta(hours=1))),),
        gates=(Gate("storm", Reason.STORM, "5 targets alert", timedelta(minutes=10)),),
    )
    await service.store.advance(planned, to=State.RECOMMENDED, record=NOTE, at=NOW, change=change)


async def commands(service: Service, capsys: pytest.CaptureFixture[str], *calls: Any) -> str:
    """What the commands print on standard output; the service, in the same process, logs there too."""
    for call in calls:
        assert await asyncio.to_thread(call, f"http://127.0.0.1:{service.port}", "simple") == 0
    return "\n".join(line for line in capsys.readouterr().out.splitlines() if "[warning" not in line)


async def test_the_status_says_what_holds_it_back(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    await recommended(service)
    assert "writes are allowed" in await commands(service, capsys, control.status)
    for scope in ({}, {"target": "shop/deployment/checkout"}):
        body = {"engaged": True, "comment": "migration", "by": "ada", **scope}
        await service.ask("POST", "/api/v1/pause", json=body, headers=SIGNED)
    assert (await commands(service, capsys, control.status)).splitlines() == [
        f"nothing is written: kill switch engaged by {ADA} at 2026-11-23T12:00:00Z: migration",
        f"target shop/deployment/checkout paused by {ADA}: migration",
        "storm since 2026-11-23T12:00:00Z: 5 targets alert",
        "open: nothing",
        "watchdog: none is awaited",
    ]


async def test_the_commands_pause_resume_and_reset(
    service: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN.removeprefix("Bearer ") + "\n")

    def pause(url: str, output: str) -> int:
        return control.pause(url, output, comment="a", by="ada", lasts="1h", token_file=str(token))

    def resume(url: str, output: str) -> int:
        return control.pause(url, output, comment="b", by="ada", engaged=False, token_file=str(token))

    def one(url: str, output: str) -> int:
        return control.pause(url, output, comment="c", by="ada", subject={"rule": "latency"}, token_file=str(token))

    def reset(url: str, output: str) -> int:
        return control.reset(url, output, what="rule", subject="latency", comment="d", by="ada", token_file=str(token))

    said = (await commands(service, capsys, pause, resume, one, reset)).splitlines()
    assert said[0].startswith("kill switch engaged until ")
    assert said[1:] == [
        "kill switch released",
        "kill switch released",
        f"rule latency paused by {ADA}: c",
        "rule latency counts anew from 2026-11-23T12:00:00Z",
    ]


def test_a_command_names_what_it_cannot_do(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert control.pause(None, "simple", comment="x", lasts="soon") == 2
    assert control.pause(None, "simple", comment="x", token_file=str(tmp_path / "none")) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("error: --for: ")
    assert said[1].startswith("error: cannot read the token file ")


async def test_budgets_say_who_used_them_and_when_there_is_room(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    [remediation] = await queued(service.store, firing(1))
    planned = await brought_to(service.store, remediation, State.PLANNED, on=target())
    change = Change(rule="crash-loop", plan=plan(target()), acted_at=NOW)
    await service.store.advance(planned, to=State.ACTING, record=NOTE, at=NOW, change=change)
    _, told = await service.get("/api/v1/budgets")
    lines = {(line["scope"], line["subject"], line["limit"]): line for line in told["budgets"]}
    used = {key for key, line in lines.items() if line["used"]}
    cluster = target().cluster
    assert used == (
        {("rule", "crash-loop", limit) for limit in ("1 per 10m", "3 per 1h", "7 per 1d")}
        | {("action", "rollback", "1 per 1h"), ("namespace", "shop", "1 per 1h")}
        | {("cluster", cluster, limit) for limit in ("10 per 1h", "30 per 1d")}
    )
    assert lines["rule", "crash-loop", "1 per 10m"]["next_slot"] == "2026-11-23T12:10:00Z"
    assert lines["rule", "crash-loop", "3 per 1h"]["next_slot"] is None
    printed = (await commands(service, capsys, control.budgets)).splitlines()
    [line] = [line for line in printed if line.startswith("namespace")]
    assert " ".join(line.split()) == "namespace shop 1 per 1h 1 2026-11-23T13:00:00Z R-1 2026-11-23T12:00:00Z"


async def test_the_shadow_shows_what_silent_mode_would_have_used(service: Service) -> None:
    await recommended(service)
    used = {}
    for shadow in ("false", "true"):
        _, told = await service.get(f"/api/v1/budgets?shadow={shadow}")
        used[shadow] = sum(line["used"] for line in told["budgets"])
    assert used["false"] == 0
    assert used["true"] > 0
    assert (await service.get("/api/v1/budgets?shadow=maybe"))[0] == 400


async def waiting_for_ada(service: Service) -> None:
    [remediation] = await queued(service.store, firing(1))
    planned = await brought_to(service.store, remediation, State.PLANNED, on=target())
    body = {
        "target": str(target()),
        "action": "rollback",
        "plan": {"summary": "roll back it", "before": {"image": "a:2"}, "after": {"image": "a:1"}},
        "verdicts": [{"guard": "dry-run", "detail": "would be accepted"}],
        "costs": ["cluster 10 per 1h"],
        "plan_hash": "ab" * 32,
    }
    record = Record("decision.awaiting-approval", body)
    change = Change(rule="crash-loop", plan=plan(target()), due_at=NOW + timedelta(minutes=15))
    await service.store.advance(planned, to=State.AWAITING_APPROVAL, record=record, at=NOW, change=change)


async def test_a_person_sees_the_change_and_approves_that_one(
    service: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    await waiting_for_ada(service)
    token = tmp_path / "token"
    token.write_text(TOKEN.removeprefix("Bearer "))
    assert (await commands(service, capsys, control.approvals)).splitlines() == [
        "R-1  roll back it  (rule crash-loop)",
        "  --- before",
        "  +++ after",
        "  @@ -1,3 +1,3 @@",
        "   {",
        '  -  "image": "a:2"',
        '  +  "image": "a:1"',
        "   }",
        "  dry run  would be accepted",
        "  costs    cluster 10 per 1h",
        "  until    2026-11-23T12:15:00Z",
    ]

    def approve(url: str, output: str) -> int:
        return control.approve(
            url, output, remediation="R-1", comment="yes", is_granted=True, by="ada", token_file=str(token)
        )

    assert (await commands(service, capsys, approve)).splitlines()[-1] == f"R-1 approved by {ADA}"
    said = await service.store.approval(RemediationId(1))
    assert said is not None
    assert (said.is_granted, said.by, said.comment, said.plan_hash) == (True, ADA, "yes", "ab" * 32)
    url = f"http://127.0.0.1:{service.port}"
    again = await asyncio.to_thread(
        control.approve, url, "simple", remediation="R-1", comment="no", is_granted=False, token_file=str(token)
    )
    assert again == 1
    assert "does not wait" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "changes", "status"),
    [
        ("R-1/approve", {}, 200),
        ("1/deny", {}, 200),
        ("R-1/approve", {"plan_hash": "cd" * 32}, 409),
        ("R-2/approve", {}, 409),
        ("x/approve", {}, 400),
        ("R-1/approve", {"plan_hash": "ab"}, 400),
        ("R-1/approve", {"comment": ""}, 400),
    ],
)
async def test_an_answer_over_http(service: Service, path: str, changes: dict[str, str], status: int) -> None:
    await waiting_for_ada(service)
    body = {"comment": "x", "by": "ada", "plan_hash": "ab" * 32, **changes}
    assert (await service.ask("POST", f"/api/v1/approvals/{path}", json=body))[0] == 401
    assert (await service.ask("POST", f"/api/v1/approvals/{path}", json=body, headers=SIGNED))[0] == status


async def test_a_target_is_paused_however_its_kind_is_written(service: Service) -> None:
    body = {"engaged": True, "comment": "x", "by": "ada", "target": "shop/Deployment/checkout"}
    _, told = await service.ask("POST", "/api/v1/pause", json=body, headers=SIGNED)
    assert [one["subject"] for one in told["pauses"]] == ["shop/deployment/checkout"]
    for wrong in ("checkout", "shop/checkout", "lab/shop/Deployment/checkout", "shop//checkout"):
        status, told = await service.ask("POST", "/api/v1/pause", json={**body, "target": wrong}, headers=SIGNED)
        assert (status, "namespace/kind/name" in told["error"]) == (400, True)


async def test_a_mistake_is_told_in_our_words(service: Service) -> None:
    wanted = {"engaged": True, "target": "nonsense", "comment": "x", "by": "ada"}
    status, told = await service.ask("POST", "/api/v1/pause", json=wanted, headers=SIGNED)
    assert (status, told["error"]) == (400, "target: write namespace/kind/name, like shop/deployment/checkout")
