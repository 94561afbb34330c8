"""What one replica knows of itself: a name of its own, and duties only as long as their lease surely lives."""

from __future__ import annotations

import ast
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from remediator import replica as module
from remediator.app import PASS_SHARE
from remediator.replica import (
    DUTY_SHARE,
    LOOKS_LEFT_OUT,
    MAX_FAILURES,
    MAX_SKEW_SHARE,
    POLL_SHARE,
    Replica,
    own_name,
)
from remediator.store.base import StoreUnavailable
from remediator.store.duties_base import Duty, Held

PACKAGE = Path(module.__file__).parent


class Away:
    """A store whose answers a test decides. `asked` are the duties that were asked for, look by look."""

    is_shared = True

    def __init__(self) -> None:
        self.fails = False
        self.asked: list[list[str]] = []
        self.left: list[list[str] | None] = []

    async def hold_duties(self, names: Collection[str], *, owner: str, lease: timedelta) -> Held:
        if self.fails:
            raise StoreUnavailable("away")
        self.asked.append(list(names))
        return Held(dict.fromkeys(names, 1))

    async def leave_duties(self, names: Collection[str] | None = None, *, owner: str) -> None:
        if self.fails:
            raise StoreUnavailable("away")
        self.left.append(None if names is None else list(names))

    async def duties(self) -> list[Duty]:
        return []


def one(store: Away, *, lease_seconds: float) -> Replica:
    return Replica(store, name="a", duties=["x", "y"], lease_seconds=lease_seconds, changed=lambda _: None)


def test_two_processes_are_never_taken_for_one() -> None:
    """Not even the next one in the same pod, which has the same name and number."""
    assert own_name() != own_name()


async def test_a_duty_ends_by_itself_when_the_store_does_not_answer_any_more() -> None:
    """By time that nobody sets: a process that was stopped for longer than its lease has nothing when it wakes up."""
    store = Away()
    short = one(store, lease_seconds=0.0)
    await short.look()
    assert not short.has("x")

    lasting = one(store, lease_seconds=60)
    await lasting.look()
    store.fails = True
    await lasting.look()
    assert (lasting.has("x"), lasting.has("z")) == (True, False)
    await lasting.leave()
    assert not lasting.has("x"), "also when it could not say so"


async def test_what_went_wrong_three_times_in_a_row_is_left_out_for_two_looks() -> None:
    store = Away()
    sick = one(store, lease_seconds=60)
    await sick.look()
    for _ in range(MAX_FAILURES - 1):
        sick.went("x", False)
    sick.went("x", True)
    for _ in range(MAX_FAILURES - 1):
        sick.went("x", False)
    assert sick.has("x"), "not in a row"
    sick.went("x", False)
    assert not sick.has("x"), "at once, not only when the store has heard of it"
    assert sick.has("y")
    for _ in range(3):
        await sick.look()
    assert store.asked == [["x", "y"], ["y"], ["y"], ["x", "y"]]
    assert store.left == [["x"]] * LOOKS_LEFT_OUT
    assert sick.held == ["x", "y"]
    sick.went("x", False)
    assert sick.has("x"), "it has as many tries as before"


async def test_a_duty_that_is_given_up_while_it_is_prolonged_is_given_up() -> None:
    class Slow(Away):
        async def hold_duties(self, names: Collection[str], *, owner: str, lease: timedelta) -> Held:
            held = await super().hold_duties(names, owner=owner, lease=lease)
            if len(self.asked) == 2:
                for _ in range(MAX_FAILURES):
                    sick.went("x", False)
            return held

    store = Slow()
    sick = one(store, lease_seconds=60)
    await sick.look()
    await sick.look()
    assert sick.held == ["y"]
    await sick.look()
    assert (sick.held, store.left) == (["y"], [["x"]])


async def test_a_store_that_is_away_is_told_later_what_was_given_up() -> None:
    store = Away()
    sick = one(store, lease_seconds=60)
    await sick.look()
    for _ in range(MAX_FAILURES):
        sick.went("x", False)
    store.fails = True
    for _ in range(5):
        await sick.look()
    assert sick.held == ["y"]
    store.fails = False
    await sick.look()
    assert (store.left, store.asked[-1]) == ([["x"]], ["y"])


async def test_failures_of_a_duty_that_is_another_s_do_not_count() -> None:
    """Say, of a comparison that was asked for here."""
    store = Away()
    healthy = one(store, lease_seconds=60)
    for _ in range(MAX_FAILURES - 1):
        healthy.went("x", False)
    await healthy.look()
    healthy.went("x", False)
    assert healthy.has("x")


def test_who_dies_is_replaced_within_a_lease_and_no_tolerated_clock_takes_a_pass_away() -> None:
    assert DUTY_SHARE + POLL_SHARE <= 1
    assert PASS_SHARE + 2 * MAX_SKEW_SHARE <= 1
    assert LOOKS_LEFT_OUT >= 2, "between two of ours each other replica, which looks as often, has looked"


def test_nothing_is_written_to_a_cluster_but_through_the_gate() -> None:
    """Who sends without `dry_run=True`: the actions, by the gate; Events and the anchor by their own leave."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "send":
                said = {keyword.arg: keyword.value for keyword in node.keywords}
                value = said.get("dry_run")
                if isinstance(value, ast.Constant) and value.value is False:
                    found.add(str(file.relative_to(PACKAGE)))
    assert found == {"actions/write.py", "sinks/kubernetes_event.py", "anchor/config_map.py"}
