"""The catalogue of incidents: each replays through the whole pipeline, harmful writes 0, and the good ones are taken.

`remediator test rules tests/data/incidents --table` prints it; so does `pytest -s` here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

import remediator.pipeline
from remediator.cli.testing import table_lines
from remediator.guards import GUARDS
from remediator.model import State
from remediator.reasons import Reason
from remediator.simulate.stories import Placed, read_stories, story_files
from remediator.simulate.trial import Trial, tried

FOLDER = Path(__file__).parents[1] / "data" / "incidents"
INCIDENTS = {placed.file: placed for file in story_files([FOLDER]) for placed in read_stories(file)}
AT_LEAST, ACTED_AT_LEAST = 45, 12

NAMED = (
    *("node-lost", "zone-lost", "dns-outage", "registry-down", "release-crashes", "config-edited", "lying-metric"),
    *("empty-query", "budget-allows-nothing", "hpa-acts", "gitops-unmarked", "flapping", "dependency-away"),
    *("two-rules-one-target", "our-own-alert"),
)
"""What the catalogue was asked to hold at least."""


SECOND = {
    **dict.fromkeys(("kill-switch", "pause", "mode", "opt-out", "still-firing"), "looked at again after the intent"),
    **dict.fromkeys(("target-state", "dry-run"), "the API server refuses the write itself"),
    **dict.fromkeys(("cluster-health", "canary", "concurrency", "cooldown", "limits", "budgets"), "done too early"),
}
"""Guards without which nothing is written that is not to be written in the end, and why."""

ELSEWHERE = {"audit": "tests/pipeline/test_audit.py", "scope": "tests/pipeline/test_credentials.py"}
"""Guards of what a story does not have, keys and credentials, and where their negative controls are."""


@cache
def trial_of(file: Path) -> Trial:
    return tried(INCIDENTS[file])


@pytest.mark.parametrize("file", INCIDENTS, ids=lambda file: file.stem)
def test_an_incident_ends_as_it_should(file: Path) -> None:
    trial = trial_of(file)
    assert (trial.problem, list(trial.differences)) == ("", [])


def test_nothing_harmful_is_done_and_the_good_is() -> None:
    trials = [trial_of(file) for file in INCIDENTS]
    print("\n".join(["", *table_lines(trials)]))
    acted = [
        trial
        for trial in trials
        if trial.writes and any(one.state == State.VERIFIED and one.does != "recommend" for one in trial.standings)
    ]
    assert len(trials) >= AT_LEAST
    assert [harm for trial in trials for harm in trial.harm] == []
    assert len(acted) >= ACTED_AT_LEAST
    assert {name for name in NAMED if not (FOLDER / f"{name}.yaml").is_file()} == set()


@pytest.mark.parametrize("placed", INCIDENTS.values(), ids=lambda placed: placed.file.stem)
def test_an_incident_says_what_it_is_about(placed: Placed) -> None:
    """What happens in the field and what the wrong reaction does, in a sentence or two; and it expects something."""
    assert len(placed.story.description) > 80
    assert placed.story.expect


@pytest.mark.parametrize("guard", [guard.name for guard in GUARDS if guard.name not in ELSEWHERE])
def test_without_a_guard_an_incident_ends_otherwise(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: each guard is there for an incident that is worse, or at least other, without it."""
    monkeypatch.setattr(remediator.pipeline, "GUARDS", [one for one in GUARDS if one.name != guard])
    stopped = [placed for placed in INCIDENTS.values() if any(one.guard == guard for one in placed.story.expect)]
    if guard in SECOND:
        assert not tried(stopped[0]).is_good, SECOND[guard]
    else:
        assert any(tried(placed).harm for placed in stopped)


def test_most_kinds_of_no_are_shown() -> None:
    shown = {one.reason for file in INCIDENTS for one in trial_of(file).standings}
    assert shown <= set(Reason)
    assert len(shown) >= 40, sorted(set(Reason) - shown)
