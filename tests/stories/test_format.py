"""What a story file may hold, and how it says what is wrong with it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from remediator.simulate.facts import Ref
from remediator.simulate.stories import StoryError, read_stories, story_files

HEAD = "name: x\n"
BAD = [
    ("evnts: []\n", "2:1", "unknown field 'evnts'", "did you mean 'events'?"),
    ("events: [{at: 1m, fire: {alrt: A}}]\n", "2:26", "unknown field 'alrt'", "did you mean 'alert'?"),
    ("events: [{at: 1m}]\n", "2:10", "say what happens, one of: alertmanager", ""),
    ("events: [{undo: a/b, restart: a/b}]\n", "2:10", "one thing at a time, not restart and undo", ""),
    ("events: [{at: soon, undo: a/b}]\n", "2:15", "'soon' is not a duration", ""),
    ("events: [{undo: checkout}]\n", "2:17", "write namespace/name or namespace/kind/name", ""),
    ("events: [{break: {of: a/b, how: crsh}}]\n", "2:33", "unknown fault 'crsh'", "did you mean 'crash'?"),
    ("metrics: [{of: a/b, memory: lots}]\n", "2:29", "'lots' is not a value", ""),
    ("expect: [{reason: strom}]\n", "2:19", "unknown reason 'strom'", "did you mean 'storm'?"),
    ("expect: [{decision: maybe}]\n", "2:21", "unknown decision 'maybe'", "one of: act"),
    ("guards: {strom: {targets: 5}}\n", "2:10", "unknown guard 'strom'", "did you mean 'storm'?"),
    ("tests: []\n", "2:8", "must not be empty", ""),
    ("name: y\n", "2:1", "duplicate field 'name'", ""),
]


@pytest.mark.parametrize(("text", "place", "said", "hint"), BAD, ids=[row[2] for row in BAD])
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, place: str, said: str, hint: str) -> None:
    head = "" if text.startswith("tests") else HEAD
    file = tmp_path / "story.yaml"
    file.write_text((head or "mode: silent\n") + text, encoding="utf-8")
    with pytest.raises(StoryError) as refused:
        read_stories(file)
    [problem] = [one for one in refused.value.problems if said in one.text]
    assert f"{problem.line}:{problem.column}" == place
    assert hint in problem.hint


def test_all_mistakes_of_a_file_are_named(tmp_path: Path) -> None:
    file = tmp_path / "story.yaml"
    file.write_text(HEAD + "evnts: []\nmoed: active\n", encoding="utf-8")
    with pytest.raises(StoryError) as refused:
        read_stories(file)
    assert [problem.line for problem in refused.value.problems] == [2, 3]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoryError, match="cannot be read"):
        read_stories(tmp_path / "none.yaml")
    with pytest.raises(StoryError, match=r"no \*\.yaml file in this folder"):
        story_files([tmp_path])


def test_tests_stand_on_the_ground_of_their_file(tmp_path: Path) -> None:
    """Lists are joined, a workload of the same name takes the other's place, and the test's own word counts."""
    file = tmp_path / "suite.yaml"
    file.write_text(
        """
mode: active
runs_for: 1h
cluster: {nodes: 5, workloads: [{of: a/one, replicas: 1}, {of: a/two, replicas: 1}]}
events: [{at: 1m, undo: a/one}]
tests:
  - {name: as it is}
  - name: other
    mode: approve
    cluster: {workloads: [{of: a/two, replicas: 7}]}
    events: [{at: -2m, undo: a/two}]
""",
        encoding="utf-8",
    )
    first, second = read_stories(file)
    assert (first.line, second.line) == (7, 8)
    assert (first.story.mode, second.story.mode) == ("active", "approve")
    assert second.story.runs_for == timedelta(hours=1)
    assert [event.at for event in second.story.events] == [timedelta(minutes=1), timedelta(minutes=-2)]
    assert {str(one.of): one.replicas for one in second.story.cluster.workloads} == {
        "a/deployment/one": 1,
        "a/deployment/two": 7,
    }
    assert second.story.cluster.nodes == 5


def test_a_workload_is_written_short_or_with_its_kind() -> None:
    assert str(Ref("a", "StatefulSet", "db")) == "a/statefulset/db"
