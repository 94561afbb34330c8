"""What happened, whether we would have been right, and whether we would have done harm: the table of judgements."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from remediator.score.follow import Kind, Memory
from remediator.score.judge import judge
from remediator.store.scores_base import Case, Circumstances, Happened, Judgement
from tests.unit.score.cases import BATCH, GAP, WINDOW, at, case, did, gone, seen, there, value, would

FIRES = Circumstances(None, None, ())
SAME, OTHER, OPPOSITE, UNDONE = Kind.SAME, Kind.OTHER, Kind.OPPOSITE, Kind.UNDONE


def ended(minutes: float) -> Circumstances:
    return Circumstances(at(minutes), None, ())


def well(minutes: float, *noticed: Any, since: float, **changes: Any) -> Memory:
    """Whole since then, by a last look at `minutes`."""
    facts = {"last_whole": True, "whole_since": at(since), "last_ready": 2, **changes}
    return seen(minutes, *noticed, **facts)


def judged(one: Case, memory: Memory | None, around: Circumstances, minutes: float) -> Judgement | None:
    return judge(one, memory, around, now=at(minutes), window=WINDOW, max_gap=GAP)


TABLE = [
    # a person did the same
    ("same, recovered", None, well(16, did(SAME, 10), since=11), ended(14), 16, Happened.SAME, True, False),
    ("same after another try", None, well(16, did(OTHER, 3), did(SAME, 10), since=11), ended(14), 16, Happened.SAME,
     True, False),
    ("same, not recovered", None, seen(60, did(SAME, 10)), FIRES, 60, Happened.SAME, False, False),
    ("same, got worse", None, seen(60, did(SAME, 10), last_ready=1), FIRES, 60, Happened.SAME, False, True),
    ("same, another alert", None, seen(60, did(SAME, 10)), Circumstances(None, None, ("A",)), 60, Happened.SAME, False,
     True),
    ("same, taken back", None, seen(60, did(SAME, 10), did(UNDONE, 20)), FIRES, 60, Happened.SAME, False, False),
    ("same, taken back, then recovered", None, well(40, did(SAME, 10), did(UNDONE, 20), since=21), ended(30), 40,
     Happened.SAME, False, False),
    # a person did something else
    ("other, recovered", None, well(16, did(OTHER, 10), since=11), ended(14), 16, Happened.OTHER, False, False),
    ("other, not recovered", None, seen(60, did(OTHER, 10)), FIRES, 60, Happened.OTHER, None, False),
    ("other, got worse", None, seen(60, did(OTHER, 10), last_ready=0), FIRES, 60, Happened.OTHER, None, False),
    ("opposite, recovered", None, well(16, did(OPPOSITE, 10), since=11), ended(14), 16, Happened.OTHER, False, True),
    ("opposite, not recovered", None, seen(60, did(OPPOSITE, 10)), FIRES, 60, Happened.OTHER, None, False),
    # nobody did anything
    ("alone, at once", None, well(8, since=5), ended(5), 8, Happened.ALONE, False, False),
    ("alone, ready pods at stake", None, well(8, since=5, at_stake=2), ended(5), 8, Happened.ALONE, False, True),
    ("alone, late", None, well(28, since=25, at_stake=2), ended(25), 28, Happened.ALONE, None, False),
    ("alone, alert lags behind", None, well(15, since=4, at_stake=1), ended(12), 15, Happened.ALONE, False, True),
    ("worse, fewer pods", None, seen(60, last_ready=1), FIRES, 60, Happened.WORSE, None, False),
    ("worse, another alert", None, seen(60), Circumstances(None, None, ("A",)), 60, Happened.WORSE, None, False),
    ("as before", None, seen(60), FIRES, 60, Happened.UNKNOWN, None, False),
    # what people do after it has recovered
    ("alone, then the same", None, well(8, did(SAME, 7), since=5), ended(5), 8, Happened.ALONE, False, False),
    # harm of the other actions
    ("restart", would("restart"), well(8, since=5, at_stake=2), ended(5), 8, Happened.ALONE, False, True),
    ("evict, healed", would("evict", gone()), well(8, since=5, last_touched=(there(is_ready=True),)), ended(5), 8,
     Happened.ALONE, False, True),
    ("evict, not ready", would("evict", gone()), well(8, since=5, last_touched=(there(),)), ended(5), 8,
     Happened.ALONE, False, False),
    ("shed", would("shed", value(BATCH, 3, 0)), well(8, since=5, last_touched=(there(3),)), ended(5), 8,
     Happened.ALONE, False, True),
    ("scale", would("scale", value(BATCH, 2, 4)), well(8, since=5, at_stake=2, last_touched=(there(2),)), ended(5), 8,
     Happened.ALONE, False, False),
    # what nobody can know
    ("we acted", None, well(8, since=5), Circumstances(at(5), at(3), ()), 8, Happened.UNKNOWN, None, False),
    ("never read", None, None, FIRES, 60, Happened.UNKNOWN, None, False),
    ("not read at its end", None, seen(40), FIRES, 60, Happened.UNKNOWN, None, False),
    ("nobody there at its end", None, seen(90, did(SAME, 80)), FIRES, 90, Happened.UNKNOWN, None, False),
    ("recovered in a gap", None, well(8, since=5, gaps=((at(1), at(5)),)), ended(4), 8, Happened.UNKNOWN, None, False),
    ("recovered after a gap", None, well(8, since=5, gaps=((at(1), at(4)),)), ended(5), 8, Happened.ALONE, False,
     False),
    ("well after its time", None, well(63, since=61), ended(61), 61, Happened.UNKNOWN, None, False),
    # a workload of which nobody can say whether it is whole
    ("gone", None, seen(16, did(OTHER, 10), last_whole=None, was_whole=None), ended(12), 16, Happened.OTHER, False,
     False),
]


@pytest.mark.parametrize(
    ("planned", "memory", "around", "minutes", "happened", "is_right", "is_harmful"),
    [pytest.param(*row[1:], id=row[0]) for row in TABLE],
)
def test_what_happened_is_judged(
    planned: Any, memory: Any, around: Any, minutes: float, happened: Happened, is_right: bool | None, is_harmful: bool
) -> None:
    found = judged(case(planned), memory, around, minutes)
    assert found is not None
    assert (found.happened, found.is_right, found.is_harmful) == (happened, is_right, is_harmful), found.detail


@pytest.mark.parametrize(
    ("memory", "around", "minutes"),
    [
        pytest.param(None, FIRES, 59, id="nothing read yet"),
        pytest.param(seen(30), FIRES, 30, id="it fires"),
        pytest.param(seen(30, did(SAME, 10)), FIRES, 30, id="a person did the same, and it fires"),
        pytest.param(seen(30), ended(10), 30, id="the alert ended, and the workload is broken"),
        pytest.param(well(30, since=20), FIRES, 30, id="the workload is whole, and the alert fires"),
        pytest.param(well(11, since=10), ended(8), 11, id="not for long enough"),
        pytest.param(well(60, since=59), ended(59), 60, id="well at the very end: long enough is awaited"),
    ],
)
def test_its_time_is_awaited(memory: Any, around: Any, minutes: float) -> None:
    assert judged(case(), memory, around, minutes) is None


@pytest.mark.parametrize(("minutes", "saved"), [(0.5, 0), (10, 9.5), (45, 44.5)])
def test_time_saved_ends_at_the_look_before_a_person_did_the_same(minutes: float, saved: float) -> None:
    found = judged(case(), well(minutes + 4, did(SAME, minutes), since=minutes), ended(minutes + 1), minutes + 4)
    assert found is not None
    assert found.saved == timedelta(minutes=saved)


@pytest.mark.parametrize("row", [row for row in TABLE if row[5] is not Happened.SAME], ids=lambda row: str(row[0]))
def test_no_time_is_saved_where_nobody_did_the_same(row: Any) -> None:
    found = judged(case(row[1]), row[2], row[3], row[4])
    assert found is not None
    assert found.saved is None
