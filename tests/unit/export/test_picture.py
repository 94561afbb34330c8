"""The timeline as a picture: where an instant stands, and that no two marks of a lane cover each other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from remediator.export.axis import axis_over
from remediator.export.picture import LANES, Picture, across, down
from remediator.export.words import Lane, Tone
from remediator.model import State
from tests.unit.export.stories import NOON, at, planned, received, record, remediation, step, story

PICTURES = pytest.mark.parametrize("draw", [across, down])


def test_an_axis_names_round_instants_and_each_new_day() -> None:
    axis = axis_over([at(0), at(7)])
    assert [tick.label for tick in axis.ticks(most=9)] == [f"12:0{n}" for n in range(8)]
    assert [tick.day for tick in axis.ticks(most=9)][:2] == ["23 Nov", ""]
    over_midnight = axis_over([at(700), at(760)])
    assert [(tick.label, tick.day) for tick in over_midnight.ticks(most=9) if tick.day] == [
        ("23:40", "23 Nov"),
        ("00:00", "24 Nov"),
    ]


@pytest.mark.parametrize("minutes", [0, 0.2, 3, 47, 600, 5000, 400_000])
def test_there_are_some_names_and_not_too_many(minutes: float) -> None:
    axis = axis_over([at(0), at(minutes)])
    ticks = axis.ticks(most=9)
    assert 1 <= len(ticks) <= 9
    assert all(0 <= tick.place <= 1 for tick in ticks)


def test_what_began_long_before_stands_at_the_edge() -> None:
    axis = axis_over([at(-3 * 24 * 60), at(0), at(2)])
    assert axis.is_before(at(-3 * 24 * 60))
    assert axis.place(at(-3 * 24 * 60)) == 0
    assert axis.place(at(2)) - axis.place(at(0)) > 0.9


@PICTURES
def test_every_line_of_the_list_has_its_mark_with_its_number(draw: Callable[..., Picture]) -> None:
    one, picture = story(), draw(story())
    assert sorted(mark.number for mark in picture.marks) == list(range(1, len(one.timeline) + 1))
    assert all(0 <= mark.x <= picture.width and 0 <= mark.y <= picture.height for mark in picture.marks)


def crowded() -> list[object]:
    """Thirty decisions in one minute."""
    kinds = ("storm", "cooldown")
    return [received(1), planned(2)] + [
        step(n + 3, n / 30, "decision.held", reason=kinds[n % 2], detail=str(n)) for n in range(30)
    ]


@PICTURES
def test_no_two_marks_of_a_lane_cover_each_other(draw: Callable[..., Picture]) -> None:
    one = story(crowded(), remediation(state=State.HELD), closed_at=None)  # type: ignore[arg-type]
    picture = draw(one)
    for lane in LANES:
        own = [mark for mark in picture.marks if one.timeline[mark.number - 1].lane is lane]
        along = sorted(mark.x if draw is across else mark.y for mark in own)
        assert all(b - a > 19 for a, b in pairwise(along)), lane


@PICTURES
def test_bars_stand_for_what_lasted(draw: Callable[..., Picture]) -> None:
    pause = {"what": "namespace", "subject": "shop", "by": "ada", "comment": "x"}
    around = [
        record(2, -1, "pause.set", remediation=None, incident=None, **pause),
        record(6, 4, "pause.lifted", remediation=None, incident=None, **pause),
    ]
    records = [
        received(1),
        planned(3),
        step(4, 0, "decision.held", reason="paused-by-person"),
        step(7, 5, "action.applied", action="rollback"),
        step(8, 7, "outcome.verified"),
    ]
    one = story(records, around=around, closed_at=at(7))
    bars = [box for box in draw(one).boxes if box.style.startswith("span")]
    assert [(box.style.split()[1], box.title) for box in bars] == [
        (Tone.BAD, "KubePodCrashLooping fires"),
        (Tone.WAITS, "Paused"),
        (Tone.WAITS, "Held: paused-by-person"),
        (Tone.PLAIN, "verifying"),
    ]
    lengths = [max(box.width, box.height) for box in bars]
    assert lengths == sorted([lengths[0], *lengths[1:]], reverse=True)  # 12, 5, 5 and 2 minutes


@PICTURES
def test_threads_lead_to_what_a_line_followed_from(draw: Callable[..., Picture]) -> None:
    one, picture = story(), draw(story())
    assert len([line for line in picture.lines if line.style == "thread"]) == sum(
        event.follows is not None for event in one.timeline
    )


def test_an_open_incident_shows_a_little_of_the_time_since() -> None:
    one = story([received(1), planned(2)], remediation(state=State.HELD), closed_at=None)
    [firing] = [box for box in across(one).boxes if box.style.startswith("span")]
    marks = [mark.x for mark in across(one).marks]
    assert firing.x + firing.width > max(marks) + 20
    assert one.made_at - NOON == timedelta(hours=1)


@PICTURES
def test_a_story_without_events_is_a_picture_all_the_same(draw: Callable[..., Picture]) -> None:
    picture = draw(story([], diagnoses={}))
    assert picture.marks == ()
    assert [word.text for word in picture.words][: len(Lane)][0] == "alert"
