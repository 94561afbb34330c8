"""`check`: which of several verdicts decides, and what becomes of a guard that does not answer."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from remediator.guards import GUARDS
from remediator.guards.base import NoParameters, View
from remediator.guards.check import BEGIN_A_ROUND, GUARD_TIMEOUT_SECONDS, Ruling, check
from remediator.kube.base import Forbidden, Unreachable
from remediator.reasons import Reason
from remediator.verdicts import Decision, Verdict
from tests.jumping import run_jumping
from tests.unit.guards.examples import view


class Says:
    """A guard that always says the same, and whether it was asked."""

    parameters = NoParameters

    def __init__(self, answer: Decision | Exception | None, name: str = "") -> None:
        self.name = name or str(answer)
        self.answer = answer
        self.asked = False

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        self.asked = True
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is None:
            await asyncio.Event().wait()
        assert isinstance(self.answer, Decision)
        return Verdict(self.name, self.answer, Reason.NONE, "because")


async def ruling(*guards: Says) -> Ruling:
    return await check(view(), guards, lambda _: NoParameters())


ALLOW, RECOMMEND, HOLD, REFUSE, ASK = (
    Decision.ALLOW,
    Decision.RECOMMEND,
    Decision.HOLD,
    Decision.REFUSE,
    Decision.ASK,
)
DECIDES: list[tuple[list[Decision], Decision]] = [
    ([ALLOW, ALLOW], ALLOW),
    ([ALLOW, HOLD, REFUSE], HOLD),
    ([REFUSE, HOLD], REFUSE),
    ([RECOMMEND, ALLOW], RECOMMEND),
    ([RECOMMEND, HOLD], HOLD),
    ([RECOMMEND, REFUSE], REFUSE),
    ([ASK, ALLOW], ASK),
    ([ASK, REFUSE], REFUSE),
    ([ASK, HOLD], HOLD),
    ([ASK, RECOMMEND], RECOMMEND),
]


@pytest.mark.parametrize(("answers", "decision"), DECIDES, ids=lambda value: str(value))
async def test_which_verdict_decides(answers: list[Decision], decision: Decision) -> None:
    found = await ruling(*(Says(answer) for answer in answers))

    assert found.deciding.decision is decision
    assert found.is_allowed == (decision is ALLOW)


@pytest.mark.parametrize("begins", sorted(BEGIN_A_ROUND))
@pytest.mark.parametrize("stop", [HOLD, REFUSE])
async def test_after_a_hold_or_a_refusal_no_further_round_is_asked(stop: Decision, begins: str) -> None:
    same, later = Says(ALLOW), Says(ALLOW, begins)

    await ruling(Says(stop), same, later)

    assert same.asked
    assert not later.asked


async def test_the_guards_of_a_round_are_asked_at_the_same_time() -> None:
    came = asyncio.Barrier(2)

    class Waits(Says):
        async def check(self, view: View, parameters: BaseModel) -> Verdict:
            await came.wait()
            return await super().check(view, parameters)

    async with asyncio.timeout(5):
        found = await ruling(Waits(ALLOW), Waits(HOLD))

    assert found.deciding.decision is HOLD


async def test_a_fault_behind_a_refusal_is_not_heard() -> None:
    found = await ruling(Says(REFUSE), Says(Unreachable("away")))

    assert [one.decision for one in found.verdicts] == [REFUSE]


async def test_a_fault_ahead_of_a_refusal_is_heard() -> None:
    with pytest.raises(Unreachable):
        await ruling(Says(Unreachable("away")), Says(REFUSE))


def test_the_servers_are_asked_only_where_the_store_allows_it() -> None:
    """Whatever the first round reads of the cluster is the kill switch."""
    names = [guard.name for guard in GUARDS]
    first = names[: min(names.index(name) for name in BEGIN_A_ROUND)]

    assert first == ["kill-switch", "pause", "mode", "audit", "freeze", "scope", "opt-out", "breaker", "storm"]
    assert names[-1] == "dry-run"


async def test_what_a_guard_may_not_read_is_a_refusal() -> None:
    found = await ruling(Says(Forbidden("no")))

    assert (found.deciding.decision, found.deciding.reason) == (REFUSE, Reason.FACT_MISSING)


async def test_the_end_of_a_refusal_is_kept_where_a_policy_says_why() -> None:
    """`kube/replies.py` has cut it; once more would lose its end."""
    reason = f"PATCH /x: 403 Forbidden: {'denied ' * 60}because of the label team"

    found = await ruling(Says(Forbidden(reason)))

    assert found.deciding.detail == reason


async def test_a_fault_of_the_outside_is_no_answer() -> None:
    with pytest.raises(Unreachable):
        await ruling(Says(Unreachable("away")))


def test_a_guard_that_hangs_refuses() -> None:
    found, seconds = run_jumping(ruling(Says(None)))

    assert (found.deciding.decision, found.deciding.reason) == (REFUSE, Reason.FACT_MISSING)
    assert seconds == pytest.approx(GUARD_TIMEOUT_SECONDS, abs=1)
