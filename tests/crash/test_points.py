"""The process is killed (SIGKILL) between every two steps of the way of one alert, for every action, and started again.

Nothing is lost: the alert has its one incident. Nothing is repeated: the API server got the same real writes as from a
service that lived. It comes to the same end, which was found out by reading the object back, within a minute. The
incident the service dies in is played by `theatre.py`, the points are in `points.py`.

`pytest --long` takes every point with every action five times on each store; without it every point is taken once and
every action by its most dangerous points on SQLite, and on PostgreSQL the points at which the store has the last word,
each with one action. What is to come out is on both what comes out on SQLite.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from remediator.model import TERMINAL, State
from tests.crash.nursery import Nursery, ended, nursery
from tests.crash.points import BACKWARD, FORWARD, POINTS, Point, Wire
from tests.crash.stores import STORES, Kept
from tests.crash.theatre import (
    ACTIONS,
    STUCK_SECONDS,
    TERMINAL_WITHIN_SECONDS,
    Ending,
    Theatre,
    theatre,
    undisturbed,
)

pytestmark = pytest.mark.crash

TAKES_BACK = ("revert", "loan", "shed")
"""The scenes that have a way back."""

SIX = ("rollback", "restart", "evict", "scale", "shed", "resize")
"""The actions; the other scenes are a rollback that is taken back and a scale that is given back."""

DANGEROUS = ("before-send", "sent-not-arrived", "done-not-replied")
"""After each of these only the object itself can tell whether the request was done."""

DANGEROUS_BACK = ("inverse-before-send", "inverse-sent-not-arrived", "inverse-done-not-replied")
OF_THE_STORE = {
    "stored-not-answered": "restart",
    "claimed-not-committed": "rollback",
    "claimed": "evict",
    "intent-not-committed": "scale",
    "intent-committed": "resize",
    "sent-not-arrived": "restart",
    "done-not-replied": "evict",
    "recorded-not-committed": "rollback",
    "settled-not-committed": "loan",
    "told-not-noted": "restart",
    "inverse-intent-not-committed": "shed",
    "inverse-done-not-replied": "revert",
}
"""At each of these what the store kept of a transaction, a claim or a duty decides how it goes on."""

RUNS = 5

Lived = Callable[[str], Awaitable[Ending]]


def pairs() -> list[tuple[str, str]]:
    """Every (point, action) that there is."""
    forward = [(point.name, action) for point in FORWARD for action in ACTIONS]
    return forward + [(point.name, action) for point in BACKWARD for action in TAKES_BACK]


def few() -> list[tuple[str, str]]:
    """Every point with one action, by turns; every action with the dangerous points."""
    chosen = {(point.name, action) for point, action in zip(FORWARD, cycle(ACTIONS), strict=False)}
    chosen |= {(point.name, action) for point, action in zip(BACKWARD, cycle(TAKES_BACK), strict=False)}
    chosen |= {(name, action) for name in DANGEROUS for action in SIX}
    chosen |= {(name, action) for name in DANGEROUS_BACK for action in ("revert", "loan")}
    return [pair for pair in pairs() if pair in chosen]


def chosen(is_long: bool) -> list[tuple[str, str, str, int]]:
    """Store, point, action and run."""
    if is_long:
        return [(store, *pair, run) for store in STORES for pair in pairs() for run in range(RUNS)]
    return [("sqlite", *pair, 0) for pair in few()] + [("postgresql", *pair, 0) for pair in OF_THE_STORE.items()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "point" not in metafunc.fixturenames:
        return
    taken = chosen(metafunc.config.getoption("--long"))
    ids = [f"{point}-{action}-{store}-{run}" for store, point, action, run in taken]
    metafunc.parametrize(("kept_in", "point", "action", "run"), taken, ids=ids, indirect=["kept_in"])


@pytest.fixture(scope="module")
def start() -> Iterator[Nursery]:
    with nursery() as started:
        yield started


@pytest.fixture(scope="module")
def lived(start: Nursery, tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """How a scene ends with a service that lives; played once each."""
    endings: dict[str, Ending] = {}

    async def of(action: str) -> Ending:
        if action not in endings:
            endings[action] = await undisturbed(action, tmp_path_factory.mktemp("undisturbed"), start)
        return endings[action]

    return of


@dataclass(frozen=True, slots=True)
class Survived:
    """How the second life ended, and how long it took, in real seconds."""

    ending: Ending
    seconds: float
    answered: int


async def survive(played: Theatre, point: Point, *, control: str = "") -> Survived:
    """Die at the point, start again, and go on until nothing is open; everything is delivered once more meanwhile."""
    async with played.life(point=point) as life:
        if await played.play(life):
            life.ask_to_stop()  # the points of telling may only be reached by the last look for what is to be told
        assert await ended(life, within_seconds=STUCK_SECONDS) == -signal.SIGKILL, f"never came there: {played.log()}"
    answered, before = len(played.delivered), time.monotonic()
    played.repeat()
    async with played.life(control=control) as life:
        assert await played.play(life), f"died again: {played.log()}"
        seconds = time.monotonic() - before
        assert await played.stop(life) == 0, played.log()
    return Survived(await played.ending(), seconds, answered)


def differences(survived: Ending, lived: Ending) -> list[str]:
    """What a crash made of it that it should not have."""
    found = []
    assert {State(state) for state in lived.states} <= TERMINAL
    if survived.states != lived.states or survived.incidents != 1:
        found.append(f"{survived.incidents} incidents, {survived.states} instead of {lived.states}")
    if survived.sent != lived.sent:
        found.append(f"sent {survived.attempts} instead of {lived.attempts}")
    names = [attempt.audit_id for attempt in survived.attempts]
    if len(set(names)) != len(names) or not set(names) <= set(survived.intents):
        found.append(f"{names} were sent, {survived.intents} were intended")
    if survived.outcomes != lived.outcomes:
        found.append(f"{survived.kinds} instead of {lived.kinds}")
    if survived.calls != lived.calls:
        found.append(f"people were called {survived.calls} times, not {lived.calls}")
    if not lived.told <= survived.told:
        found.append(f"told {survived.told} and not {lived.told}")
    return found


async def test_a_crash_loses_nothing_and_repeats_nothing(
    kept_in: Kept, point: str, action: str, run: int, start: Nursery, lived: Lived, tmp_path: Path
) -> None:
    async with theatre(action, tmp_path, start, kept=kept_in) as played:
        survived = await survive(played, POINTS[point])

    assert differences(survived.ending, await lived(action)) == []
    assert survived.seconds < TERMINAL_WITHIN_SECONDS


@pytest.mark.parametrize("action", ACTIONS)
async def test_every_action_is_really_done(action: str, lived: Lived) -> None:
    """Else "nothing repeated" would say nothing."""
    ending = await lived(action)
    assert ending.states == ("reverted" if action == "revert" else "verified",)
    assert ending.told
    assert len(ending.writes) == (2 if action in TAKES_BACK else 1)


@pytest.mark.parametrize(
    ("kept_in", "action"), [("sqlite", "restart"), ("sqlite", "evict"), ("postgresql", "restart")], indirect=["kept_in"]
)
async def test_a_recovery_that_sends_again_without_looking_is_found_out(
    kept_in: Kept, action: str, start: Nursery, lived: Lived, tmp_path: Path
) -> None:
    """The negative control: the request was done, and its reply was lost with the process."""
    async with theatre(action, tmp_path, start, kept=kept_in) as played:
        survived = await survive(played, POINTS["done-not-replied"], control="blind")
    assert any("sent" in one for one in differences(survived.ending, await lived(action)))


def test_there_are_points_between_all_steps() -> None:
    assert len(POINTS) == len(FORWARD) + len(BACKWARD) >= 12
    assert {point.wire for point in POINTS.values()} >= set(Wire)
    assert {action for _, action in few()} == set(ACTIONS)
    assert {point for point, _ in few()} == set(POINTS)
    assert set(OF_THE_STORE.items()) <= set(pairs())
    assert set(OF_THE_STORE.values()) == set(ACTIONS)
