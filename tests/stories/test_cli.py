"""`remediator test rules`: readable for people, JSON and JUnit for machines, exit codes for scripts."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from remediator.cli.output import Output
from remediator.cli.testing import rules
from tests.stories.written import crash

SILENT = "mode: active"


def test_a_test_that_holds_is_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = crash(tmp_path, "undone")
    assert rules([str(file)], Output.SIMPLE) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{file}\n  ok    undone\n1 passed, harmful writes 0 (")


def test_a_failure_shows_expected_and_got_and_where_the_rule_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    file = crash(tmp_path, "held", expect="decision: hold, does: evict")
    assert rules([str(file)], Output.SIMPLE) == 1
    out = capsys.readouterr().out
    assert f"FAIL  held  ({file}:1)" in out
    assert "decision   expected hold             got act" in out
    assert "does       expected evict            got rollback" in out
    assert "because    row 1 rollback: yes (rules/default.yaml:" in out
    assert "1 failed, 0 passed, harmful writes 0" in out


def test_the_difference_as_a_diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rules([str(crash(tmp_path, expect="state: held"))], Output.SIMPLE, as_diff=True) == 1
    out = capsys.readouterr().out
    assert "-state: held" in out
    assert "+state: verified" in out


def test_a_file_that_cannot_be_used_is_misuse_and_nothing_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = crash(tmp_path, "good"), tmp_path / "bad.yaml"
    bad.write_text("name: x\nevnts: []\n", encoding="utf-8")
    assert rules([str(good), str(bad)], Output.SIMPLE) == 2
    captured = capsys.readouterr()
    assert f"{bad}:2:1: error: unknown field 'evnts'" in captured.err
    assert captured.out == ""


def test_patterns_are_expanded_and_files_played_side_by_side(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two", "three"):
        crash(tmp_path, name)
    assert rules([f"{tmp_path}/t*.yaml"], Output.JSON, jobs=2) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in told["tests"]] == ["three", "two"]
    assert told["ok"] is True
    assert told["tests"][0]["standings"][0]["state"] == "verified"


def test_a_report_for_ci(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    crash(tmp_path, "good")
    crash(tmp_path, "worse", expect="state: held")
    report = tmp_path / "report.xml"
    assert rules([str(tmp_path)], Output.SIMPLE, junit=report) == 1
    suites = ElementTree.parse(report).getroot()
    cases = {case.get("name"): case.find("failure") for case in suites.iter("testcase")}
    assert cases["good"] is None
    failure = cases["worse"]
    assert failure is not None
    assert "expected held" in (failure.get("message") or "")


def test_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert rules([str(crash(tmp_path, "a crash"))], Output.SIMPLE, as_table=True) == 0
    out = capsys.readouterr().out
    assert "| a crash | code-error | rollback: verified | - | patch deployments shop/checkout |" in out
    assert "1 incidents, harmful writes 0, acted on 1" in out
