"""The ledger of actions: what every store must say of budgets, of what was done before, and of what is set back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from remediator.model import Mode, Outcome, Remediation, State, Target
from remediator.reasons import Reason
from remediator.store.base import Change
from remediator.store.budgets_base import BudgetUsed, Forgiven, PastAction, Reset, Spender
from remediator.store.database import Database
from remediator.units import Limit
from remediator.verdicts import AtOnce, Bound, Budget, Scope
from tests.unit.store.examples import LEASE, NOTE, NOW, SECOND, brought_to, firing, plan, queued, target


async def kinds(store: Database) -> list[str]:
    return [record.kind for record in await store.records(after=0, limit=1000)]



def budget(scope: Scope, count: int = 1, per: timedelta = timedelta(hours=1)) -> Budget:
    return Budget(scope, Limit(count, per))


ALL_SCOPES = [budget(scope, 100) for scope in Scope]


async def planned_on(store: Database, where: Target) -> Remediation:
    [remediation] = await queued(store, firing(100 + len(await kinds(store))))
    return await brought_to(store, remediation, State.PLANNED, on=where)


async def act(
    store: Database, planned: Remediation, *, rule: str = "a", at: datetime = NOW, budgets: Sequence[Bound] = ()
) -> Remediation:
    assert planned.target is not None
    change = Change(rule=rule, plan=plan(planned.target), budgets=budgets)
    return await store.advance(planned, to=State.ACTING, record=NOTE, at=at, change=change)


def other_target(number: int, namespace: str = "shop") -> Target:
    return replace(target(uid=f"uid-{number}", name=f"n{number}"), namespace=namespace)


async def used(store: Database, *, rule: str = "a", namespace: str = "shop", at: timedelta = LEASE) -> list[int]:
    spender = Spender(rule, "rollback", target().cluster, namespace)
    return [len(use.debits) for use in await store.budget_uses(spender, ALL_SCOPES, at=NOW + at)]


async def test_an_action_counts_in_every_scope_that_it_shares(store: Database) -> None:
    await act(store, await planned_on(store, other_target(1)))
    await act(store, await planned_on(store, other_target(2)), rule="b")
    await act(store, await planned_on(store, other_target(3, "pay")))

    assert [scope.value for scope in Scope] == ["rule", "action", "namespace", "cluster"]
    assert await used(store) == [2, 3, 2, 3]
    assert await used(store, rule="b", namespace="pay") == [1, 3, 1, 3]
    other = Spender("a", "rollback", "another-cluster", "shop")
    assert [len(use.debits) for use in await store.budget_uses(other, ALL_SCOPES, at=NOW + LEASE)] == [0, 0, 0, 0]


async def test_what_has_left_the_window_counts_no_more(store: Database) -> None:
    """At the bound itself it is out."""
    await act(store, await planned_on(store, target()))
    hour = timedelta(hours=1)
    assert await used(store, at=hour - SECOND) == [1, 1, 1, 1]
    assert await used(store, at=hour) == [0, 0, 0, 0]


@pytest.mark.parametrize("scope", Scope)
async def test_the_last_slot_is_taken_once(store: Database, scope: Scope) -> None:
    """Both were told that there is room, and come at the same moment."""
    both = [await planned_on(store, other_target(number)) for number in (1, 2)]
    acts = [act(store, one, budgets=(budget(scope),)) for one in both]
    results = await asyncio.gather(*acts, return_exceptions=True)

    [acting] = [result for result in results if isinstance(result, Remediation)]
    [refused] = [result for result in results if isinstance(result, BudgetUsed)]
    assert [debit.remediation for debit in refused.use.debits] == [acting.id]
    assert refused.use.next_slot == NOW + timedelta(hours=1)
    assert await used(store) == [1, 1, 1, 1]
    assert await store.queue_depth() == {"acting": 1, "planned": 1}


async def test_without_a_budget_both_act(store: Database) -> None:
    """The negative control of the test before."""
    both = [await planned_on(store, other_target(number)) for number in (1, 2)]
    await asyncio.gather(*(act(store, one) for one in both))
    assert await used(store) == [2, 2, 2, 2]


@pytest.mark.parametrize("back", [State.DIAGNOSING, State.HELD])
async def test_what_was_provably_not_done_is_given_back(store: Database, back: State) -> None:
    acting = await act(store, await planned_on(store, target()), budgets=(budget(Scope.RULE),))
    assert await used(store) == [1, 1, 1, 1]
    await store.advance(acting, to=back, record=NOTE, at=NOW + SECOND)
    assert await used(store) == [0, 0, 0, 0]


async def test_a_further_request_of_a_plan_is_the_same_action(store: Database) -> None:
    acting = await act(store, await planned_on(store, target()), budgets=(budget(Scope.RULE),))
    await store.advance(acting, to=State.ACTING, record=NOTE, at=NOW + SECOND)
    assert await used(store) == [1, 1, 1, 1]


# -- how many at once


@pytest.mark.parametrize("scope", [Scope.NAMESPACE, Scope.CLUSTER])
async def test_the_last_place_among_those_under_way_is_taken_once(store: Database, scope: Scope) -> None:
    both = [await planned_on(store, other_target(number)) for number in (1, 2)]
    acts = [act(store, one, budgets=(AtOnce(scope, 1),)) for one in both]
    results = await asyncio.gather(*acts, return_exceptions=True)

    [acting] = [result for result in results if isinstance(result, Remediation)]
    [refused] = [result for result in results if isinstance(result, BudgetUsed)]
    assert [debit.remediation for debit in refused.use.debits] == [acting.id]


async def test_a_place_is_free_when_the_outcome_is_known(store: Database) -> None:
    place = AtOnce(Scope.CLUSTER, 1)
    acting = await act(store, await planned_on(store, target()), budgets=(place,))
    verifying = await store.advance(acting, to=State.VERIFYING, record=NOTE, at=NOW + SECOND)
    second = await planned_on(store, other_target(2))
    with pytest.raises(BudgetUsed):
        await act(store, second, budgets=(place,))
    await store.advance(verifying, to=State.VERIFIED, record=NOTE, at=NOW + SECOND)
    await act(store, second, budgets=(place,))


async def test_the_first_action_of_a_rule_as_it_is_written_is_one(store: Database) -> None:
    """Of the same text one, also at the same moment; what the rule did under another text does not count."""

    async def act_by(planned: Remediation, text: str) -> Remediation:
        assert planned.target is not None
        bound = (AtOnce(Scope.RULE, 1, of_same_text=True),)
        change = Change(rule="a", plan=plan(planned.target), budgets=bound, rule_digest=text)
        return await store.advance(planned, to=State.ACTING, record=NOTE, at=NOW, change=change)

    before, *both = [await planned_on(store, other_target(number)) for number in (1, 2, 3)]
    await act_by(before, "old")
    results = await asyncio.gather(*(act_by(one, "new") for one in both), return_exceptions=True)
    assert sorted(type(result) for result in results if not isinstance(result, Remediation)) == [BudgetUsed]


# -- the shadow


async def recommended(store: Database, where: Target) -> Remediation:
    planned = await planned_on(store, where)
    change = Change(rule="a", mode=Mode.SILENT, plan=plan(where), budgets=(budget(Scope.RULE),), rule_digest="d")
    return await store.advance(planned, to=State.RECOMMENDED, record=NOTE, at=NOW, change=change)


async def test_what_would_have_been_done_counts_in_the_shadow_only(store: Database) -> None:
    await recommended(store, target())

    real = Spender("a", "rollback", target().cluster, "shop")
    seen = {
        one.is_shadow: [len(use.debits) for use in await store.budget_uses(one, ALL_SCOPES, at=NOW + SECOND)]
        for one in (real, replace(real, is_shadow=True))
    }
    assert seen == {False: [0, 0, 0, 0], True: [1, 1, 1, 1]}
    assert await store.past_actions(cluster=target().cluster, since=NOW - LEASE) == ()
    assert await store.last_action_at(target()) is None
    assert await store.last_action_at(target(), is_shadow=True) == NOW


async def test_the_last_slot_of_the_shadow_is_taken_once(store: Database) -> None:
    await recommended(store, target())
    with pytest.raises(BudgetUsed):
        await recommended(store, other_target(2))


async def test_what_was_really_done_counts_in_the_shadow_too(store: Database) -> None:
    await act(store, await planned_on(store, other_target(2)))
    with pytest.raises(BudgetUsed):
        await recommended(store, target())


# -- what became of it


@pytest.mark.parametrize(
    ("way", "outcome"),
    [
        ((State.VERIFIED,), Outcome.VERIFIED),
        ((State.TEMPORARY, State.RESTORING, State.UNKNOWN), Outcome.VERIFIED),
        ((State.FAILED, State.REVERTING, State.UNKNOWN), Outcome.FAILED),
        ((State.UNKNOWN,), Outcome.UNKNOWN),
    ],
)
async def test_the_first_end_of_the_verification_is_what_became_of_it(
    store: Database, way: tuple[State, ...], outcome: Outcome
) -> None:
    remediation = await act(store, await planned_on(store, target()), at=NOW)
    [begun] = await store.past_actions(cluster=target().cluster, since=NOW - SECOND)
    assert (begun.outcome, begun.is_under_way) == (None, True)
    for to in (State.VERIFYING, *way):
        remediation = await store.advance(remediation, to=to, record=NOTE, at=NOW + SECOND)
    [done] = await store.past_actions(cluster=target().cluster, since=NOW - SECOND)
    assert done == PastAction(
        remediation=remediation.id,
        rule="a",
        rule_digest="",
        action=plan(target()).action,
        namespace="shop",
        target=target().key,
        at=NOW,
        outcome=outcome,
        is_under_way=False,
    )


async def test_past_actions_are_the_newest_of_the_cluster_of_one_rule_or_on_one_target(store: Database) -> None:
    for number, rule in enumerate(("a", "b", "a")):
        await act(store, await planned_on(store, other_target(number)), rule=rule, at=NOW + number * SECOND)

    async def seen(**changes: object) -> list[int]:
        wanted: dict[str, object] = {"cluster": target().cluster, "since": NOW - SECOND, **changes}
        return [round((one.at - NOW) / SECOND) for one in await store.past_actions(**wanted)]  # type: ignore[arg-type]

    assert await seen() == [2, 1, 0]
    assert await seen(limit=2) == [2, 1]
    assert await seen(rule="a") == [2, 0]
    assert await seen(target=other_target(1)) == [1]
    assert await seen(target=other_target(1), rule="a") == []
    assert await seen(since=NOW) == [2, 1]
    assert await seen(cluster="another") == []


async def test_what_was_given_back_is_no_past_action(store: Database) -> None:
    acting = await act(store, await planned_on(store, target()))
    await store.advance(acting, to=State.HELD, record=NOTE, at=NOW + SECOND, change=Change(reason=Reason.KILL_SWITCH))
    assert await store.past_actions(cluster=target().cluster, since=NOW - SECOND) == ()


# -- what people set back


async def test_the_last_reset_is_kept_with_who_and_why(store: Database) -> None:
    assert await store.last_reset(Forgiven.RULE, "a") is None
    for number in range(2):
        await store.reset(Reset(Forgiven.RULE, "a", f"me-{number}", "looked", NOW + number * SECOND))
    assert await store.last_reset(Forgiven.RULE, "a") == Reset(Forgiven.RULE, "a", "me-1", "looked", NOW + SECOND)
    assert await store.last_reset(Forgiven.CLUSTER, "a") is None
    assert await store.last_reset(Forgiven.RULE, "b") is None
    body = (await store.records(after=0, limit=10))[-1].body
    assert body == {"what": "rule", "subject": "a", "by": "me-1", "comment": "looked"}
    assert await kinds(store) == ["ledger.reset", "ledger.reset"]
