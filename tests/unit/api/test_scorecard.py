"""The scorecard over loopback, and the commands that show it, judge, and say what a rule has earned."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from remediator.access.base import Credential
from remediator.authority import Authority
from remediator.cli import scorecard as commands
from remediator.cli.main import app
from remediator.model import Mode, State
from remediator.reasons import Reason
from remediator.rules.automaton import compile_pattern
from remediator.rules.load import load_rules
from remediator.rules.ruleset import RuleSet
from remediator.store.base import Change
from remediator.store.scores_base import Happened, Judgement
from tests.unit.api.service import NOW, TOKEN, Service, knowing, running
from tests.unit.store.examples import NOTE, brought_to, firing, plan, queued, target

SIGNED = {"Authorization": TOKEN}
SAID = {"judged": "right", "comment": "we did the same by hand", "by": "ada"}
ADA = "ada (credential desk)"
RULES = """\
rules:
  - name: crash-loop
    match: ['alertname="KubePodCrashLooping"']
    severity: 1
    respond: [{do: rollback}]
    verify: {expect: [rollout-complete]}
"""


def loaded(folder: Path, text: str = RULES) -> RuleSet:
    file = folder / "rules.yaml"
    file.write_text(text)
    return load_rules(file)


async def recommended(
    service: Service,
    number: int,
    happened: Happened | None = Happened.SAME,
    right: bool | None = True,
    *,
    sense: str,
    harmful: bool = False,
) -> None:
    """R-<number>, of the rule with that sense, with what became of it."""
    store, on = service.store, target(f"api-{number}", uid=f"uid-{number}")
    [remediation] = await queued(store, firing(number), at=NOW)
    diagnosing = await brought_to(store, remediation, State.DIAGNOSING, on=on, at=NOW)
    change = Change(plan=plan(on), rule="crash-loop")
    planned = await store.advance(diagnosing, to=State.PLANNED, record=NOTE, at=NOW, change=change)
    change = Change(mode=Mode.SILENT, reason=Reason.MODE_SILENT, scored=sense)
    await store.advance(planned, to=State.RECOMMENDED, record=NOTE, at=NOW, change=change)
    if happened is not None:
        saved = timedelta(minutes=12) if happened is Happened.SAME else None
        found = Judgement(happened, right, harmful, "it was seen\x1b[31m", saved)
        [case] = [one for one in await store.scores.open_cases(at=NOW, limit=99) if one.remediation == remediation.id]
        await store.scores.judged(case, found, at=NOW + timedelta(hours=1))


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """Four decisions: the same, something else, harmful, and one whose end is awaited."""
    table = loaded(tmp_path)
    async with running(table=table) as one:
        sense = table.rules[0].sense
        await recommended(one, 1, sense=sense)
        await recommended(one, 2, Happened.OTHER, False, sense=sense)
        await recommended(one, 3, Happened.ALONE, False, harmful=True, sense=sense)
        await recommended(one, 4, None, sense=sense)
        yield one


async def test_each_rule_has_its_card(service: Service) -> None:
    status, told = await service.get("/api/v1/scorecard")
    assert status == 200
    [card] = told["rules"]
    assert (card["rule"], card["mode"], card["decisions"], card["awaited"]) == ("crash-loop", "silent", 4, 1)
    assert (card["right"], card["wrong"], card["undecided"]) == (1, 2, 0)
    low, high = card["precision"].pop("low"), card["precision"].pop("high")
    assert card["precision"] == {"count": 1, "of": 3, "ratio": 1 / 3}
    assert 0 < low < 1 / 3 < high < 1
    assert (card["agreement"]["count"], card["agreement"]["of"]) == (1, 2)
    assert (card["harmful"]["count"], card["harmful"]["of"]) == (1, 3)
    assert (card["saved_seconds"], card["saved_median_seconds"]) == (720, 720)
    assert told["decisions"] == []


async def test_one_rule_comes_with_its_decisions(service: Service) -> None:
    _, told = await service.get("/api/v1/scorecard?rule=crash-loop")
    assert [(one["ref"], one["happened"], one["judged"]) for one in told["decisions"]] == [
        ("R-4", None, "open"),
        ("R-3", "recovered-alone", "wrong"),
        ("R-2", "person-did-something-else", "wrong"),
        ("R-1", "person-did-the-same", "right"),
    ]
    assert told["decisions"][1]["harmful"] is True


async def test_only_what_was_decided_since_counts(service: Service) -> None:
    service.clock.instant = NOW + timedelta(days=2)
    _, told = await service.get("/api/v1/scorecard?since=1d")
    assert told["rules"] == []
    _, told = await service.get("/api/v1/scorecard?since=3d")
    assert told["rules"][0]["decisions"] == 4


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("since=yesterday", "since: expected a duration like 24h"),
        ("rule=crash-lop", "the table has no rule 'crash-lop'; did you mean"),
        ("rule=a%20b", "rule: expected a name"),
        ("rules=a", "rules: not a parameter here"),
    ],
)
async def test_a_question_that_is_not_clear_is_refused(service: Service, query: str, error: str) -> None:
    status, told = await service.get(f"/api/v1/scorecard?{query}")
    assert status == 400
    assert error in told["error"]


# -- judge


@pytest.mark.parametrize("text", ["R-2", "2"])
async def test_a_persons_word_beats_the_judgement(service: Service, text: str) -> None:
    status, told = await service.ask("POST", f"/api/v1/scorecard/{text}/judge", json=SAID, headers=SIGNED)
    assert (status, told["ref"], told["judged"], told["said_by"]) == (200, "R-2", "right", ADA)
    assert (told["happened"], told["said_comment"]) == ("person-did-something-else", "we did the same by hand")
    _, card = await service.get("/api/v1/scorecard")
    assert (card["rules"][0]["right"], card["rules"][0]["by_people"]) == (2, 1)
    [record] = [one for one in await service.store.records(after=0, limit=999) if one.kind == "score.said"]
    assert record.body["by"] == ADA, "the identity that was proved"


async def test_a_later_word_takes_its_place(service: Service) -> None:
    path = "/api/v1/scorecard/R-1/judge"
    await service.ask("POST", path, json={**SAID, "judged": "wrong", "harmful": True}, headers=SIGNED)
    _, told = await service.ask("POST", path, json=SAID, headers=SIGNED)
    assert (told["judged"], told["harmful"]) == ("right", False)


@pytest.mark.parametrize(
    ("path", "options", "status", "error"),
    [
        ("R-1", {"json": SAID}, 401, "unauthorized"),
        ("R-1", {"json": {"judged": "right", "by": "ada"}, "headers": SIGNED}, 400, "comment: Field required"),
        ("R-1", {"json": {**SAID, "judged": "maybe"}, "headers": SIGNED}, 400, "judged: Input should be 'right'"),
        ("R-1", {"json": {**SAID, "harmful": True}, "headers": SIGNED}, 400, "harmful is only for what was wrong"),
        ("R-1", {"data": SAID, "headers": SIGNED}, 415, "application/json"),
        ("E-1", {"json": SAID, "headers": SIGNED}, 400, "expected a number or R-<number>"),
        ("R-9", {"json": SAID, "headers": SIGNED}, 404, "R-9 has no recommendation"),
    ],
)
async def test_refuses_what_is_not_clear(
    service: Service, path: str, options: dict[str, Any], status: int, error: str
) -> None:
    answered, told = await service.ask("POST", f"/api/v1/scorecard/{path}/judge", **options)
    assert answered == status
    assert error in told["error"]


@pytest.mark.parametrize(("namespaces", "status"), [("shop", 200), ("pay", 403)])
async def test_a_credential_judges_what_it_may_speak_of(service: Service, namespaces: str, status: int) -> None:
    limited = Credential("desk", authority=Authority(namespaces=compile_pattern(namespaces)))
    service.access = knowing(limited, TOKEN.removeprefix("Bearer "))
    answered, _ = await service.ask("POST", "/api/v1/scorecard/R-1/judge", json=SAID, headers=SIGNED)
    assert answered == status


# -- promote


async def test_what_is_missing_is_said_with_its_numbers(service: Service) -> None:
    status, told = await service.get("/api/v1/promotion/crash-loop")
    assert (status, told["earned"], told["next"], told["diff"]) == (200, False, "approve", None)
    assert [one["name"] for one in told["criteria"] if not one["met"]] == ["decisions", "right", "harmful"]
    assert "3 of the 20 decisions needed" in told["criteria"][2]["detail"]


async def earned(service: Service, table: RuleSet, *, sense: str | None = None) -> None:
    for number in range(1, 21):
        await recommended(service, number, sense=sense or table.rules[0].sense)


async def test_what_is_earned_comes_with_its_diff_and_edits_nothing(tmp_path: Path) -> None:
    table = loaded(tmp_path)
    async with running(table=table, mode="active") as service:
        await earned(service, table)
        _, told = await service.get("/api/v1/promotion/crash-loop")
    assert (told["earned"], told["mode"], told["next"], told["notes"]) == (True, "silent", "approve", [])
    assert "\n   - name: crash-loop\n+    mode: approve\n     match:" in told["diff"]
    assert (tmp_path / "rules.yaml").read_text() == RULES


async def test_what_another_text_of_the_rule_decided_proves_nothing(tmp_path: Path) -> None:
    table = loaded(tmp_path)
    async with running(table=table) as service:
        await earned(service, table, sense="before the rule was changed")
        _, told = await service.get("/api/v1/promotion/crash-loop")
        _, card = await service.get("/api/v1/scorecard")
    assert told["earned"] is False
    assert card["rules"][0]["decisions"] == 20


async def test_what_was_earned_in_silence_does_not_carry_it_past_approval(tmp_path: Path) -> None:
    """Each step is earned anew: the same decisions are enough for the first, and none of them counts for the second."""
    table = loaded(tmp_path, RULES + "    mode: approve\n")
    async with running(table=table, mode="active") as service:
        await earned(service, table)
        _, told = await service.get("/api/v1/promotion/crash-loop")
    assert (told["earned"], told["next"]) == (False, "active")
    assert "0 of the 20 decisions needed" in told["criteria"][2]["detail"]


async def test_the_bar_is_a_setting(tmp_path: Path) -> None:
    table = loaded(tmp_path)
    async with running(table=table, promote_min_decisions=21) as service:
        await earned(service, table)
        _, told = await service.get("/api/v1/promotion/crash-loop")
    assert [one["name"] for one in told["criteria"] if not one["met"]] == ["decisions"]


async def test_a_cautious_setting_and_a_changed_file_are_said(tmp_path: Path) -> None:
    table = loaded(tmp_path)
    async with running(table=table) as service:
        await earned(service, table)
        (tmp_path / "rules.yaml").write_text("rules: []\n")
        _, told = await service.get("/api/v1/promotion/crash-loop")
    assert (told["earned"], told["diff"]) == (True, None)
    assert told["notes"] == [
        "setting mode is silent: the most cautious holds, so that this changes nothing yet",
        "the file is another one than was loaded, or not in lines: set mode: approve there by hand",
    ]


async def test_a_shipped_rule_is_to_be_copied_first() -> None:
    async with running() as service:
        _, told = await service.get("/api/v1/promotion/crash-loop")
        status, unknown = await service.get("/api/v1/promotion/crash-lop")
    assert "this is a rule of the shipped table: copy the table first, and give it with --rules" in told["notes"]
    assert (status, unknown["error"]) == (404, "the table has no rule 'crash-lop'; did you mean 'crash-loop'?")


# -- the commands


async def ran(service: Service, call: Any, *arguments: Any, **options: Any) -> int:
    code: int = await asyncio.to_thread(call, f"http://127.0.0.1:{service.port}", *arguments, **options)
    return code


async def test_the_command_prints_cards_and_decisions(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ran(service, commands.scorecard, "simple", rule="crash-loop") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        *("RULE", "MODE", "DECISIONS", "RIGHT", "AGREEMENT", "HARMFUL", "ALONE", "SAME", "OTHER", "WORSE", "UNKNOWN"),
        *("APPROVED", "AWAITED"),
    ]
    assert lines[1].split() == [
        *("crash-loop", "silent", "4", "1/3", "(6%-79%)", "1/2", "(9%-91%)", "1/3", "(6%-79%)"),
        *("1", "1", "1", "0", "0", "0", "1"),
    ]
    assert "crash-loop: people came to the same 12m00s later than we (median)" in lines
    assert "R-4  2026-11-23T12:00:00Z  rollback shop/deployment/api-4  open" in lines
    assert "R-3  2026-11-23T12:00:00Z  rollback shop/deployment/api-3  wrong, would have been harmful" in lines
    assert "\x1b" not in "".join(lines)


async def test_with_nothing_to_show_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    async with running() as service:
        assert await ran(service, commands.scorecard, "simple") == 0
        assert capsys.readouterr().out == "nothing was recommended that only the mode kept from being done\n"
        assert await ran(service, commands.scorecard, "json", since="30d") == 0
        assert json.loads(capsys.readouterr().out)["rules"] == []
        assert await ran(service, commands.scorecard, "simple", since="soon") == 2


async def test_the_command_judges(
    service: Service, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text(TOKEN.removeprefix("Bearer "))
    given: dict[str, Any] = {"comment": "no", "by": "ada", "token_file": str(token)}
    assert await ran(service, commands.judge, "simple", remediation="R-1", verdict="wrong", harmful=True, **given) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("R-")]
    assert said == [f"R-1 judged wrong, would have been harmful by {ADA}"]
    assert await ran(service, commands.judge, "simple", remediation="R-9", verdict="right", **given) == 1
    assert await ran(service, commands.judge, "simple", remediation="nine", verdict="right", **given) == 2


async def test_promote_prints_what_is_missing_and_fails(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert await ran(service, commands.promote, "simple", rule="crash-loop") == 1
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert lines[0] == "rule crash-loop stays silent; missing: decisions, right, harmful"
    assert any(line.startswith("  missing  decisions: 3 of the 20 decisions needed") for line in lines)
    assert await ran(service, commands.promote, "json", rule="crash-loop") == 1
    assert json.loads(capsys.readouterr().out)["earned"] is False


async def test_promote_prints_the_diff_alone_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that it can be piped into patch."""
    table = loaded(tmp_path)
    async with running(table=table, mode="active") as service:
        await earned(service, table)
        assert await ran(service, commands.promote, "simple", rule="crash-loop") == 0
    told = capsys.readouterr()
    lines = [line for line in told.out.splitlines() if "[info" not in line]
    assert lines[0] == f"--- {tmp_path}/rules.yaml"
    assert "+    mode: approve" in lines
    assert told.err.splitlines()[0] == "# rule crash-loop has earned mode approve"


@pytest.mark.parametrize("command", ["scorecard", "judge", "promote"])
def test_each_command_has_help_with_an_example(command: str) -> None:
    told = CliRunner().invoke(app, [command, "--help"])
    assert told.exit_code == 0
    assert f"remediator {command}" in told.stdout
    assert "Example:" in told.stdout


@pytest.mark.parametrize("words", ["judge R-1 perhaps --comment x", "judge R-1 right", "promote", "scorecard -x"])
def test_misuse_ends_with_2(words: str) -> None:
    assert CliRunner().invoke(app, words.split()).exit_code == 2


def sense(folder: Path, *lines: str) -> str:
    return loaded(folder, RULES + "".join(f"    {line}\n" for line in lines)).rules[0].sense


@pytest.mark.parametrize("line", ["mode: active", "description: x", "runbook_url: 'https://x'"])
def test_what_is_only_said_of_a_rule_leaves_its_score(tmp_path: Path, line: str) -> None:
    """The mode above all: else a rule would lose its score by being promoted."""
    assert sense(tmp_path, line) == sense(tmp_path)


@pytest.mark.parametrize("line", ["limits: [1 per 1h]", "diagnose: [logs]", "guards: {cooldown: {period: 1h}}"])
def test_a_rule_that_decides_otherwise_begins_anew(tmp_path: Path, line: str) -> None:
    assert sense(tmp_path, line) != sense(tmp_path)
