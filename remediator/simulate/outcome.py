"""What came of a story, against what was expected: what became of each alert, differences, and harm. Pure.

Called by `cli/testing.py` and the catalogue, after `replay.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from remediator.clock import parse_rfc3339
from remediator.errors import cut
from remediator.model import Json
from remediator.rules.ruleset import Path, RuleSet
from remediator.simulate.replay import Played
from remediator.simulate.story import Decision, Expected, Story
from remediator.store.base import CommittedRecord
from remediator.units import format_duration

DECISIONS: Mapping[str, Decision] = {
    "action.intent": Decision.ACT,
    "decision.recommended": Decision.RECOMMEND,
    "decision.held": Decision.HOLD,
    "decision.awaiting-approval": Decision.ASK,
    "decision.escalated": Decision.ESCALATE,
    "decision.declined": Decision.DECLINE,
    "decision.cancelled": Decision.CANCEL,
    "decision.expired": Decision.EXPIRE,
}
SPOKEN = ("decision.", "outcome.", "action.", "revert.", "restore.")
BESIDE = ("alert.", "escalation.", "story.")
"""Records of a remediation that say nothing of its own way."""
FIELDS = ("rule", "severity", "cause", "does", "decision", "reason", "guard", "state", "contact")


@dataclass(frozen=True, slots=True)
class Standing:
    """How the answer to one alert stood at some time. Empty text, None: not yet known, or it has none.

    `began` is when the alert did. `detail` is all that people were told of it so far, the newest last; `row` the row of
    the rule that was taken, from 0; `trace` says of each row why.
    """

    alert: str
    began: timedelta
    target: str
    rule: str
    severity: int | None
    cause: str
    does: str
    decision: Decision
    reason: str
    guard: str
    state: str
    contact: str
    detail: str
    row: int | None
    trace: Json


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as expected. `because` says what the service said, and where the rule says so."""

    about: str
    field: str
    expected: str
    got: str
    because: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`harm` are the writes that nobody expected; `differences` all that is not as expected, these included."""

    standings: Sequence[Standing]
    differences: Sequence[Difference]
    harm: Sequence[str]
    writes: Sequence[str]
    ended_at: timedelta

    @property
    def is_good(self) -> bool:
        return not self.differences


def outcome_of(story: Story, played: Played, table: RuleSet) -> Outcome:
    """Everything that is expected of a story against what was played."""
    differences = [one for expected in story.expect for one in _compared(expected, played, table)]
    writes = [wrote.text for wrote in played.writes]
    harm, missing = _writes(story.writes, writes)
    told = [f"{moment_text(wrote.at)}  {wrote.text}" for wrote in played.writes if wrote.text in harm]
    if harm or missing:
        wanted = ", ".join(story.writes) or "none"
        why = f"harm, nobody expected: {'; '.join(told)}" if harm else f"not done: {', '.join(missing)}"
        differences.append(Difference("the cluster", "writes", wanted, ", ".join(writes) or "none", why))
    if story.told is not None and not _are_told(story.told, played.gates):
        got = ", ".join(sorted(played.gates)) or "nothing"
        differences.append(Difference("people", "told", ", ".join(sorted(story.told)) or "nothing", got))
    return Outcome(standings(played), differences, harm, writes, played.ended_at)


def standings(played: Played, at: timedelta | None = None) -> list[Standing]:
    """How each alert's answer stood then, or at the end, in the order in which they came."""
    by: dict[int, list[CommittedRecord]] = {}
    began: dict[int, timedelta] = {}
    for record in played.records:
        if record.remediation_id is None or (at is not None and record.at - played.zero > at):
            continue
        if record.kind == "alert.received":
            began[record.remediation_id] = parse_rfc3339(record.body["starts_at"]) - played.zero
        elif not record.kind.startswith(BESIDE):
            by.setdefault(record.remediation_id, []).append(record)
    return [_standing(records, began[number]) for number, records in sorted(by.items())]


def _standing(records: Sequence[CommittedRecord], began: timedelta) -> Standing:
    newest = records[-1].body
    said = [record for record in records if record.kind.startswith(SPOKEN)]
    decided = [record for record in records if record.kind in DECISIONS]
    rows = next((record.body["rows"] for record in reversed(records) if record.body.get("rows")), None)
    taken = next((row for row in rows or () if row["holds"]), None)

    def last(name: str) -> Any:
        return next((record.body[name] for record in reversed(records) if record.body.get(name)), None)

    return Standing(
        alert=str(newest.get("alertname", "")),
        began=began,
        target=str(last("target") or ""),
        rule=str(last("rule") or ""),
        severity=last("severity"),
        cause=str(last("cause") or ""),
        does=str(taken["do"]) if taken else "",
        decision=DECISIONS[decided[-1].kind] if decided else Decision.NONE,
        reason=str(said[-1].body.get("reason") or "") if said else "",
        guard=str(decided[-1].body.get("guard") or "") if decided else "",
        state=str(newest.get("to", "")),
        contact=str(last("contact") or ""),
        detail="\n".join(_told(record) for record in said),
        row=taken["position"] if taken else None,
        trace=rows or [],
    )


def _told(record: CommittedRecord) -> str:
    return "; ".join(str(record.body[name]) for name in ("detail", "advice") if record.body.get(name))


def _compared(expected: Expected, played: Played, table: RuleSet) -> list[Difference]:
    about = " ".join(str(part) for part in (expected.alert or "any alert", expected.of or "") if part)
    about += "" if expected.began is None else f" of {moment_text(expected.began)}"
    about += "" if expected.at is None else f" at {moment_text(expected.at)}"
    meant = [one for one in standings(played, expected.at) if _is_meant(one, expected)]
    found = [] if len(meant) == expected.count else [Difference(about, "alerts", str(expected.count), str(len(meant)))]
    for one in meant[: expected.count]:
        found += _differences(about, expected, one, table)
    return found


def _is_meant(one: Standing, expected: Expected) -> bool:
    is_of = expected.of is None or str(expected.of) == one.target
    return expected.alert in (None, one.alert) and is_of and expected.began in (None, one.began)


def moment_text(at: timedelta) -> str:
    """A time of a story as its file writes it: `5m`, `-1h`."""
    return f"-{format_duration(-at)}" if at < timedelta() else format_duration(at)


def _differences(about: str, expected: Expected, got: Standing, table: RuleSet) -> list[Difference]:
    found = []
    for field in FIELDS:
        wanted, seen = getattr(expected, field), getattr(got, field)
        if wanted is not None and str(wanted) != str(seen if seen is not None else ""):
            because = _rows(got, table) if field in ("cause", "does") and got.trace else _said(got, table)
            found.append(Difference(about, field, str(wanted) or "none", str(seen or "-"), because))
    if expected.detail is not None and expected.detail not in got.detail:
        found.append(Difference(about, "detail", f"... {expected.detail} ...", "something else", _said(got, table)))
    return found


def _said(got: Standing, table: RuleSet) -> str:
    """What the service said last, and where the row of the rule stands that it followed."""
    said = cut(got.detail.splitlines()[-1] if got.detail else "nothing was decided")
    path: Path = () if got.row is None else ("respond", got.row)
    return f"{said} ({table.place(got.rule, path)})" if got.rule else said


def _rows(got: Standing, table: RuleSet) -> str:
    """Each row as far as the one that was taken, with the conditions that did not hold, and where that one stands."""
    told = []
    for row in got.trace if got.row is None else got.trace[: got.row + 1]:
        missed = [f"{one['name']} {one['seen']}" for one in row["conditions"] if not one["holds"]]
        told.append(f"row {row['position'] + 1} {row['do']}: {'no, ' + ', '.join(missed) if missed else 'yes'}")
    path: Path = () if got.row is None else ("respond", got.row)
    return f"{'; '.join(told)} ({table.place(got.rule, path)})"


def _are_told(expected: Sequence[str], got: Sequence[str]) -> bool:
    pairs = zip(sorted(expected), sorted(got), strict=False)
    return len(expected) == len(got) and all(fnmatchcase(told, wanted) for wanted, told in pairs)


def _writes(expected: Sequence[str], got: Sequence[str]) -> tuple[list[str], list[str]]:
    """The writes that nobody expected, and those that did not come. In order; `*` stands for any part of a name."""
    left, harm = list(expected), []
    for text in got:
        if left and fnmatchcase(text, left[0]):
            left.pop(0)
        else:
            harm.append(text)
    return harm, left
