"""What a rule has earned, and the change of its file."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from remediator.model import Mode
from remediator.rules.load import load_rules
from remediator.score.card import card_of
from remediator.score.promotion import Bar, Spot, criteria_of, mode_diff
from remediator.store.scores_base import Happened, Scored
from tests.unit.score.test_card import scored

BAR = Bar(20, 0.95, 0)
ALL = ("mode", "action", "decisions", "right", "harmful")


def missing(found: list[Scored], *, mode: Mode = Mode.SILENT, acts: bool = True) -> list[str]:
    criteria = criteria_of(card_of("crash-loop", found), BAR, mode=mode, acts=acts)
    assert tuple(one.name for one in criteria) == ALL
    return [one.name for one in criteria if not one.is_met]


@pytest.mark.parametrize(
    ("found", "lacks"),
    [
        ([scored()] * 20, []),
        ([scored()] * 19 + [scored(Happened.OTHER, False)], []),
        ([scored()] * 19, ["decisions"]),
        ([scored()] * 19 + [scored(Happened.UNKNOWN, None)] * 30, ["decisions"]),
        ([scored()] * 19 + [scored(None)], ["decisions"]),
        ([scored()] * 18 + [scored(Happened.OTHER, False)] * 2, ["right"]),
        ([scored()] * 39 + [scored(Happened.ALONE, False, harmful=True)], ["harmful"]),
        ([scored()] * 39 + [scored(Happened.ALONE, False, harmful=True, word=True)], []),
        ([scored()] * 20 + [scored(word=False)] * 2, ["right"]),
        ([], ["decisions", "right"]),
    ],
)
def test_each_criterion_is_asked_for(found: list[Scored], lacks: list[str]) -> None:
    assert missing(found) == lacks


def test_what_is_active_or_never_acts_has_nothing_to_earn() -> None:
    assert missing([scored()] * 20, mode=Mode.ACTIVE) == ["mode"]
    assert missing([scored()] * 20, acts=False) == ["action"]


def test_each_criterion_says_its_numbers() -> None:
    found = [scored()] * 18 + [scored(Happened.OTHER, False), scored(Happened.UNKNOWN, None), scored(None)]
    told = {one.name: one.detail for one in criteria_of(card_of("a", found), BAR, mode=Mode.SILENT, acts=True)}
    known = "19 of the 20 decisions needed are known to be right or wrong"
    assert told["decisions"] == f"{known} (21 made, 1 still awaited, 1 do not tell)"
    assert told["right"] == "18 of 19 (95%, 95 % interval 75% to 99%) right, 95% needed"
    assert told["harmful"].startswith("0 of 20 (0%")


RULES = """\
# The table of the shop.
rules:
  - name: crash-loop     # the one
    match: ['alertname="A"']
    severity: 1
    respond: [{do: rollback}]
    verify: {expect: [rollout-complete]}
    MODE
  - name: other
    match: ['alertname="B"']
    severity: 1
    mode: silent
    respond: [{do: escalate}]
"""


def diffed(folder: Path, text: str, *, mode: Mode = Mode.SILENT, to: Mode = Mode.APPROVE) -> str | None:
    """The diff for the first rule, where the loader itself says where it stands."""
    file = folder / "rules.yaml"
    file.write_bytes(text.encode())
    places = load_rules(file).places["crash-loop"]
    place = places.get(("mode",))
    written = None if place is None else (place.line, place.column)
    spot = Spot(column=places[()].column, name_line=places[("name",)].line, mode=written)
    return mode_diff(text, spot, file="rules.yaml", mode=mode, to=to)


@pytest.mark.parametrize(
    ("written", "mode", "to"),
    [
        ("", Mode.SILENT, Mode.APPROVE),
        ("mode: silent", Mode.SILENT, Mode.APPROVE),
        ("mode: silent   # not yet", Mode.SILENT, Mode.APPROVE),
        ("mode: 'approve'", Mode.APPROVE, Mode.ACTIVE),
        ('"mode": "approve"', Mode.APPROVE, Mode.ACTIVE),
    ],
)
def test_the_diff_gives_the_rule_its_next_mode_and_changes_nothing_else(
    tmp_path: Path, written: str, mode: Mode, to: Mode
) -> None:
    """As `patch` applies it, and as the loader reads the file then."""
    text = RULES.replace("    MODE\n", f"    {written}\n" if written else "")
    diff = diffed(tmp_path, text, mode=mode, to=to)
    assert diff is not None
    changed = [line for line in diff.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert len(changed) == (2 if written else 1)
    before = {rule.name: rule for rule in load_rules(tmp_path / "rules.yaml").rules}
    patch = shutil.which("patch")
    assert patch is not None, "patch (1) is needed to try the diff"
    subprocess.run([patch, "-p0"], input=diff, text=True, cwd=tmp_path, check=True, capture_output=True)
    after = {rule.name: rule for rule in load_rules(tmp_path / "rules.yaml").rules}
    assert after["crash-loop"].mode is to
    assert after["crash-loop"].sense == before["crash-loop"].sense
    assert after["other"] == before["other"]


def test_lines_that_end_as_on_windows_stay_so(tmp_path: Path) -> None:
    diff = diffed(tmp_path, RULES.replace("    MODE\n", "").replace("\n", "\r\n"))
    assert diff is not None
    assert "+    mode: approve\r\n" in diff


def test_a_file_without_an_end_is_said_to_be_one(tmp_path: Path) -> None:
    text = RULES[: RULES.index("    MODE")] + "    mode: silent"
    diff = diffed(tmp_path, text)
    assert diff is not None
    assert "-    mode: silent\n\\ No newline at end of file\n+    mode: approve\n" in diff


def test_a_rule_in_one_line_is_left_to_people(tmp_path: Path) -> None:
    text = "rules: [{name: crash-loop, match: ['a=\"b\"'], severity: 1, respond: [{do: escalate}]}]\n"
    assert diffed(tmp_path, text) is None


@pytest.mark.parametrize(
    ("text", "spot"),
    [
        ("", Spot(5, 3, (8, 11))),
        ("rules:\n  - name: crash-loop\n    mode: active\n", Spot(5, 2, (3, 11))),
        ("rules:\n  - match: []\n    name: x\n", Spot(5, 2, None)),
        ("rules:\n", Spot(5, 2, None)),
    ],
)
def test_a_file_that_is_another_one_now_is_not_changed(text: str, spot: Spot) -> None:
    assert mode_diff(text, spot, file="rules.yaml", mode=Mode.SILENT, to=Mode.APPROVE) is None
