"""What a plan costs: which budgets it is debited to, and when there is room again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from remediator.guards import GUARDS
from remediator.guards.budgets import BudgetsGuard
from remediator.guards.check import check
from remediator.verdicts import Scope
from tests.unit.guards.examples import parameters, store, view
from tests.workloads import NOW


async def test_the_next_slot_of_a_limit_is_when_the_oldest_leaves_its_window() -> None:
    used = [NOW - timedelta(minutes=50), NOW - timedelta(minutes=20)]

    ruling = await check(view(store=store(spent={Scope.RULE: used})), GUARDS, parameters)

    assert ruling.deciding.until == NOW + timedelta(minutes=10)
    assert "2 of 2 per 1h used" in ruling.deciding.detail


async def test_the_next_slot_is_when_every_budget_has_room() -> None:
    spent = {Scope.ACTION: [NOW - timedelta(minutes=40)], Scope.NAMESPACE: [NOW - timedelta(minutes=10)]}

    ruling = await check(view(store=store(spent=spent)), GUARDS, parameters)

    assert ruling.deciding.until == NOW + timedelta(minutes=50)
    assert "1 of 1 per 1h used for this namespace" in ruling.deciding.detail


async def test_what_is_allowed_names_every_budget_that_it_costs() -> None:
    ruling = await check(view(), GUARDS, parameters)

    assert [str(budget) for budget in ruling.budgets] == [
        "rule 1 at once",
        "namespace 1 at once",
        "cluster 3 at once",
        "rule 1 per 10m",
        "rule 2 per 1h",
        "action 1 per 1h",
        "namespace 1 per 1h",
        "cluster 10 per 1h",
        "cluster 30 per 1d",
    ]


@pytest.mark.parametrize(("action", "limit"), [("rollback", "1 per 1h"), ("restart", "2 per 20m")])
async def test_a_rollback_is_dearer_than_other_actions(action: str, limit: str) -> None:
    seen = view()
    ruling = await check(replace(seen, plan=replace(seen.plan, action=action)), [BudgetsGuard()], parameters)

    assert str(ruling.budgets[0]) == f"action {limit}"


@pytest.mark.parametrize(("workloads", "limit"), [(0, 1), (19, 1), (20, 2), (57, 5)])
async def test_the_share_of_a_namespace_is_a_tenth_of_its_workloads(workloads: int, limit: int) -> None:
    ruling = await check(view(store=store(workloads=workloads)), [BudgetsGuard()], parameters)

    assert f"namespace {limit} per 1h" in map(str, ruling.budgets)
