"""What one replica knows of itself: a name of its own, and duties only as long as their lease surely lives."""

from __future__ import annotations

import ast
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from remediator import replica as module
from remediator.app import PASS_SHARE
from remediator.replica import DUTY_SHARE, MAX_SKEW_SHARE, POLL_SHARE, Replica, own_name
from remediator.store.base import StoreUnavailable
from remediator.store.duties_base import Duty, Held

PACKAGE = Path(module.__file__).parent


class Away:
    """A store whose answers a test decides."""

    def __init__(self) -> None:
        self.fails = False

    async def hold_duties(self, names: Collection[str], *, owner: str, lease: timedelta) -> Held:
        if self.fails:
            raise StoreUnavailable("away")
        return Held(dict.fromkeys(names, 1))

    async def leave_duties(self, *, owner: str) -> None:
        raise StoreUnavailable("away")

    async def duties(self) -> list[Duty]:
        return []


def one(store: Away, *, lease_seconds: float) -> Replica:
    return Replica(
        store, name="a", duties=["x"], lease_seconds=lease_seconds, changed=lambda _: None
    )


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
    assert (lasting.has("x"), lasting.has("y")) == (True, False)
    await lasting.leave()
    assert not lasting.has("x"), "also when it could not say so"


def test_who_dies_is_replaced_within_a_lease_and_no_tolerated_clock_takes_a_pass_away() -> None:
    assert DUTY_SHARE + POLL_SHARE <= 1
    assert PASS_SHARE + 2 * MAX_SKEW_SHARE <= 1


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
