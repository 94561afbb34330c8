"""The soak itself: a short run holds, what is planted is found, and each invariant says when it does not hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from remediator.store.rows import to_micros
from tests.soak import invariants
from tests.soak.child import Sample
from tests.soak.courier import Ledger
from tests.soak.faults import NETWORK, PROCESS, schedule
from tests.soak.gate import Written
from tests.soak.invariants import Forbidden, Kept
from tests.soak.run import Plan, Soak

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
KEY = ("f1", AT)


@pytest.mark.crash
async def test_a_short_soak_holds(tmp_path: Path) -> None:
    summary = await Soak(Plan(12, seed=1), tmp_path, say=print).run()
    assert summary["violations"] == []
    assert summary["lives"] >= 2
    assert summary["episodes"] > 0


@pytest.mark.crash
async def test_a_service_that_forgets_what_it_answered_is_found(tmp_path: Path) -> None:
    summary = await Soak(Plan(6, seed=3, plant="lose"), tmp_path, say=print).run()
    assert any(one.startswith("lost: ") for one in summary["violations"])


@pytest.mark.crash
@pytest.mark.parametrize(("plant", "word"), [("deaf", "written "), ("twice", "duplicate: ")])
async def test_a_service_that_breaks_a_promise_is_found(
    plant: str, word: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("minutes: --long")
    summary = await Soak(Plan(180, seed=4, plant=plant), tmp_path, say=print).run()
    assert any(one.startswith(word) for one in summary["violations"])


def test_the_seed_alone_says_what_goes_wrong_and_when() -> None:
    assert schedule(7, 1200) == schedule(7, 1200)
    assert schedule(7, 1200) != schedule(8, 1200)


def test_every_kind_of_fault_comes_about_as_often_as_the_others_and_the_end_leaves_the_process_alone() -> None:
    for lane, kinds in zip(schedule(1, 3600), (PROCESS, NETWORK), strict=True):
        counts = Counter(fault.name for fault in lane)
        assert set(counts) == set(kinds)
        assert max(counts.values()) - min(counts.values()) <= 1
    assert max(fault.begins for fault in schedule(1, 3600)[0]) < 2700


# --- each invariant


def told(times: int = 1, *, ended: bool = False) -> Ledger:
    ledger = Ledger(told=Counter({KEY: times}))
    ledger.ended.update({KEY} if ended else ())
    return ledger


def file(*, times: int = 1, status: str = "firing", undone: bool = False, **more: object) -> Kept:
    key = ("f1", to_micros(AT))
    given = {"problems": (), "states": {}, "reasons": {}, "outcomes": {}, "intents": {}, "orphans": 0, "records": 0}
    undone_keys = {key} if undone else set()
    return Kept(episodes={key: (times, status)}, undone=undone_keys, **{**given, **more})  # type: ignore[arg-type]


def write(audit_id: str, began: float = 10.0) -> Written:
    return Written(began, began + 0.1, AT, "PATCH", "/apis/apps/v1/namespaces/a/deployments/b", audit_id)


def intent(at: datetime = AT, *, remediation: int = 1, kind: str = "action.intent", step: int = 1) -> object:
    return (remediation, kind, step, to_micros(at), "a/deployment/b")


@pytest.mark.parametrize(
    ("ledger", "kept", "said"),
    [
        (told(), file(), 0),
        (told(), Kept((), {}, (), {}, {}, {}, {}, 0, 0), 1),
        (told(2), file(times=1), 1),
        (told(), file(times=3), 0),
        (told(ended=True), file(), 1),
        (told(ended=True), file(status="resolved"), 0),
        (told(), file(undone=True), 1),
    ],
    ids=["all there", "not there", "seldomer", "oftener", "end lost", "ended", "nobody looks"],
)
def test_what_was_lost(ledger: Ledger, kept: Kept, said: int) -> None:
    assert len(list(invariants.lost(ledger, kept))) == said


@pytest.mark.parametrize(
    ("writes", "intents", "words"),
    [
        ([write("x")], {"x": intent()}, []),
        ([write("x")], {}, ["no intent"]),
        ([write("x"), write("x")], {"x": intent()}, ["duplicate", "duplicate", "cooldown"]),
        (
            [write("x"), write("y", 20)],
            {"x": intent(), "y": intent(AT + timedelta(hours=1))},
            ["duplicate"],
        ),
        (
            [write("x"), write("y", 20)],
            {"x": intent(), "y": intent(AT + timedelta(minutes=14), remediation=2)},
            ["cooldown"],
        ),
        (
            [write("x"), write("y", 20)],
            {"x": intent(), "y": intent(AT + timedelta(minutes=15), remediation=2)},
            [],
        ),
        ([write("x"), write("y", 20)], {"x": intent(), "y": intent(kind="revert.intent")}, []),
    ],
    ids=["one", "none", "twice sent", "one remediation twice", "too soon", "in time", "its inverse"],
)
def test_what_was_written(writes: Sequence[Written], intents: dict[str, object], words: Sequence[str]) -> None:
    found = sorted(one.partition(":")[0] for one in invariants.written(writes, file(intents=intents)))
    assert found == sorted(words)


def test_what_was_written_while_it_was_forbidden() -> None:
    window = Forbidden(9.0, 11.0, "written in silent mode")
    assert len(list(invariants.forbidden([write("x", 10.0), write("y", 12.0)], [window]))) == 1


def test_what_has_not_ended() -> None:
    assert list(invariants.ended(file(states={"verified": 3, "escalated": 1}))) == []
    assert len(list(invariants.ended(file(states={"acting": 1}, orphans=2)))) == 2


def test_what_grows() -> None:
    flat = [Sample(1, float(age), 100.0, 20, 20) for age in range(0, 600, 10)]
    grows = [Sample(1, float(age), 100.0 + age / 6, 20, 20) for age in range(0, 600, 10)]
    assert list(invariants.bounded(flat)) == []
    assert "grows by 10.0 MiB" in next(invariants.bounded(grows))
    assert invariants.slope(flat[:10]) is None
    assert len(list(invariants.bounded([Sample(1, 1.0, 100.0, 999, 999)]))) == 2
