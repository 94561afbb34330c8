"""What two looks show of what somebody did between them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from remediator.score.follow import Kind, Memory, begun, follow
from remediator.score.sight import Touched
from remediator.store.scores_base import Would
from tests.unit.score.cases import (
    AUTOSCALER,
    BATCH,
    GAP,
    IMPORTER,
    POD,
    at,
    gone,
    sight,
    there,
    value,
    would,
)
from tests.workloads import NOW, TARGET

GONE, ENDED = Touched(False), Touched(False, is_ended_by_cluster=True)
SCALE = would("scale", value(TARGET, 2, 4))
RAISE = would("scale", value(AUTOSCALER, 5, 8, "spec", "maxReplicas"))
SHED = would("shed", value(BATCH, 3, 0), value(IMPORTER, 2, 0))
RESIZE = would("resize", value(POD, "512Mi", "1Gi", "spec", "containers", "0", "resources", "limits", "memory"))
EVICT = would("evict", gone())


def after(planned: Would, first: dict[str, Any], *then: dict[str, Any]) -> Memory:
    """What is remembered after looks half a minute apart; each says in what it differs from the first."""
    known = begun(planned, sight(0.5, **first), decided_at=NOW, max_gap=GAP)
    for number, changes in enumerate(then, start=2):
        known = follow(known, planned, sight(number / 2, **{**first, **changes}), max_gap=GAP)
    return known


TABLE: list[tuple[str, Would, dict[str, Any], dict[str, Any], list[Kind]]] = [
    ("nothing", would(), {}, {}, []),
    ("the template restored", would(), {}, {"template_hash": "good", "generation": 8}, [Kind.SAME]),
    ("another template", would(), {}, {"template_hash": "new", "generation": 8}, [Kind.OTHER]),
    ("a restart", would(), {}, {"restarted_at": "t", "generation": 8}, [Kind.OTHER]),
    ("scaled", would(), {}, {"replicas": 5, "generation": 8}, [Kind.OTHER]),
    ("scaled by an autoscaler", would(), {}, {"replicas": 5, "generation": 8, "is_autoscaled": True}, []),
    ("scaled by an autoscaler and back", would(), {"is_autoscaled": True}, {"generation": 9}, []),
    ("paused, or another part", would(), {}, {"generation": 8}, [Kind.OTHER]),
    ("deleted", would(), {}, {"is_there": False}, [Kind.OTHER]),
    ("a ConfigMap", would(), {}, {"config_changed_at": at(0.7)}, [Kind.OTHER]),
    ("a ConfigMap from before", would(), {}, {"config_changed_at": at(-30)}, []),
    ("the failing pod deleted", would(), {}, {"pods": frozenset({"p-2", "p-4"})}, [Kind.OTHER]),
    ("the failing pod ended by its node", would(), {}, {"pods": frozenset(), "ended_by_cluster": frozenset({"p-1"})},
     []),
    ("a ready pod gone", would(), {}, {"pods": frozenset({"p-1", "p-3"})}, []),
    ("pods gone with fewer replicas", would(), {"is_autoscaled": True},
     {"replicas": 1, "generation": 8, "pods": frozenset({"p-2"})}, []),
    ("pods gone with a rollback", would(), {}, {"template_hash": "good", "generation": 8, "pods": frozenset()},
     [Kind.SAME]),
    ("restart", would("restart"), {}, {"restarted_at": "t", "generation": 8}, [Kind.SAME]),
    ("restart: another release", would("restart"), {}, {"template_hash": "new", "generation": 8}, [Kind.OTHER]),
    ("scale: as planned", SCALE, {"touched": (there(2),)}, {"touched": (there(4),), "replicas": 4, "generation": 8},
     [Kind.SAME]),
    ("scale: further", SCALE, {"touched": (there(2),)}, {"touched": (there(9),), "replicas": 9, "generation": 8},
     [Kind.SAME]),
    ("scale: less", SCALE, {"touched": (there(2),)}, {"touched": (there(3),), "replicas": 3, "generation": 8},
     [Kind.OTHER]),
    ("scale: down", SCALE, {"touched": (there(2),)}, {"touched": (there(1),), "replicas": 1, "generation": 8},
     [Kind.OPPOSITE]),
    ("scale: to nothing", SCALE, {"touched": (there(2),)}, {"touched": (there(None),), "replicas": 0, "generation": 8},
     [Kind.OPPOSITE]),
    ("scale: by an autoscaler", SCALE, {"touched": (there(2),), "is_autoscaled": True},
     {"touched": (there(4),), "replicas": 4, "generation": 8}, []),
    ("scale: rolled back", SCALE, {"touched": (there(2),)}, {"touched": (there(2),), "template_hash": "old"},
     [Kind.OTHER]),
    ("bound: raised", RAISE, {"touched": (there(5),)}, {"touched": (there(8),)}, [Kind.SAME]),
    ("bound: lowered", RAISE, {"touched": (there(5),)}, {"touched": (there(3),)}, [Kind.OPPOSITE]),
    ("bound: autoscaler deleted", RAISE, {"touched": (there(5),)}, {"touched": (GONE,)}, []),
    ("shed: both", SHED, {"touched": (there(3), there(2))}, {"touched": (there(0), there(0))}, [Kind.SAME, Kind.SAME]),
    ("shed: one", SHED, {"touched": (there(3), there(2))}, {"touched": (there(0), there(2))}, [Kind.OTHER]),
    ("shed: scaled up", SHED, {"touched": (there(3), there(2))}, {"touched": (there(5), there(2))}, [Kind.OPPOSITE]),
    ("resize: the pod", RESIZE, {"touched": (there("512Mi"),)}, {"touched": (there("1024Mi"),)}, [Kind.SAME]),
    ("resize: less", RESIZE, {"touched": (there("512Mi"),)}, {"touched": (there("600Mi"),)}, [Kind.OTHER]),
    ("resize: lowered", RESIZE, {"touched": (there("512Mi"),)}, {"touched": (there("256Mi"),)}, [Kind.OPPOSITE]),
    ("resize: in the template", RESIZE, {"touched": (there("512Mi"),), "memory": "512Mi"},
     {"touched": (GONE,), "memory": "2Gi", "template_hash": "more", "generation": 8}, [Kind.SAME]),
    ("resize: another release", RESIZE, {"touched": (there("512Mi"),), "memory": "512Mi"},
     {"touched": (GONE,), "memory": "512Mi", "template_hash": "new", "generation": 8}, [Kind.OTHER]),
    ("resize: the pod deleted", RESIZE, {"touched": (there("512Mi"),), "failing": {}}, {"touched": (GONE,)},
     [Kind.OTHER]),
    ("evict: deleted", EVICT, {"touched": (there(),)}, {"touched": (GONE,), "pods": frozenset({"p-4"})}, [Kind.SAME]),
    ("evict: ended by its node", EVICT, {"touched": (there(),)},
     {"touched": (ENDED,), "pods": frozenset(), "ended_by_cluster": frozenset({"p-1"})}, []),
    ("evict: preempted before", EVICT, {"touched": (there(is_ended_by_cluster=True),)}, {"touched": (GONE,)}, []),
    ("evict: gone with a release", EVICT, {"touched": (there(),)},
     {"touched": (GONE,), "template_hash": "new", "generation": 8}, [Kind.OTHER]),
    ("evict: another one deleted", EVICT, {"touched": (there(),), "failing": {"p-1": "a", "p-2": "b"}},
     {"touched": (there(),), "pods": frozenset({"p-1", "p-3"})}, [Kind.OTHER]),
]


@pytest.mark.parametrize(
    ("planned", "first", "then", "kinds"), [pytest.param(*row[1:], id=row[0]) for row in TABLE]
)
def test_what_somebody_did_is_seen(
    planned: Would, first: dict[str, Any], then: dict[str, Any], kinds: list[Kind]
) -> None:
    assert [one.kind for one in after(planned, first, then).noticed] == kinds


@pytest.mark.parametrize(
    ("planned", "first", "kinds"),
    [
        pytest.param(would(), {}, [], id="nothing"),
        pytest.param(would(), {"template_hash": "good", "generation": 8}, [Kind.SAME], id="rolled back"),
        pytest.param(would(), {"generation": 8}, [Kind.OTHER], id="changed"),
        pytest.param(would(), {"generation": 8, "is_autoscaled": True}, [], id="scaled by an autoscaler"),
        pytest.param(would(), {"is_there": False}, [Kind.OTHER], id="deleted"),
        pytest.param(would(), {"restarted_at": "long ago"}, [], id="restarted before the decision"),
        pytest.param(SCALE, {"touched": (there(4),), "replicas": 4, "generation": 8}, [Kind.SAME], id="scaled"),
        pytest.param(EVICT, {"touched": (GONE,)}, [Kind.SAME], id="evicted"),
    ],
)
def test_what_was_done_before_the_first_look_is_told_by_the_plan(
    planned: Would, first: dict[str, Any], kinds: list[Kind]
) -> None:
    known = after(planned, first)
    assert [one.kind for one in known.noticed] == kinds
    assert all(one.after == NOW for one in known.noticed)


def test_what_was_done_may_be_taken_back() -> None:
    back = after(would(), {}, {"template_hash": "good", "generation": 8}, {"template_hash": "new", "generation": 9})
    assert [one.kind for one in back.noticed] == [Kind.SAME, Kind.UNDONE]
    touched = {"touched": (there(2),)}
    down = after(SCALE, touched, {"touched": (there(4),), "generation": 8}, {"touched": (there(2),), "generation": 9})
    assert [one.kind for one in down.noticed] == [Kind.SAME, Kind.UNDONE]


def test_whole_since_is_the_begin_of_the_unbroken_run() -> None:
    known = after(would(), {}, {"is_whole": True}, {"is_whole": False}, {"is_whole": True}, {"is_whole": True})
    assert known.whole_since == at(2)


def test_a_pause_that_is_too_long_is_a_gap_and_breaks_the_run() -> None:
    known = begun(would(), sight(0.5, is_whole=True), decided_at=NOW, max_gap=GAP)
    known = follow(known, would(), sight(9, is_whole=True), max_gap=GAP)
    assert known.gaps == ((at(0.5), at(9)),)
    assert known.whole_since == at(9)


def test_a_first_look_that_comes_late_is_a_gap_too() -> None:
    assert begun(would(), sight(5), decided_at=NOW, max_gap=GAP).gaps == ((NOW, at(5)),)


def test_a_clock_that_was_set_back_changes_nothing() -> None:
    known = after(would(), {})
    assert follow(known, would(), sight(-10, template_hash="new"), max_gap=GAP) == known


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))
def test_what_is_remembered_survives_the_store(row: Any) -> None:
    """A restart in the middle forgets nothing."""
    adapter: TypeAdapter[Memory] = TypeAdapter(Memory)
    known = after(row[1], row[2], row[3])
    assert adapter.validate_json(adapter.dump_json(known)) == known
