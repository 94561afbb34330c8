"""Step 6 of an alert: ask every guard, and hear them in order. Called by `pipeline.py`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from remediator.guards.base import Question
from remediator.kube.base import Forbidden
from remediator.reasons import Reason
from remediator.verdicts import Bound, Decision, Gate, Verdict

GUARD_TIMEOUT_SECONDS = 15.0

BEGIN_A_ROUND = frozenset({"shared-cause", "dry-run"})
"""The guards of a round are asked at the same time: their questions share transactions and the wait for the servers. A
round begins where nothing should be asked before all of those ahead allowed it: the guards from `shared-cause` on read
the API server and Prometheus, which a storm of alerts must not reach through an engaged kill switch; a dry run is a
request of its own."""

V = TypeVar("V")
NOBODY_ASKED = Verdict("none", Decision.ALLOW, Reason.NONE, "no guard was asked")


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the guards say together. `deciding` is the verdict that settles it; `verdicts` are all that were asked."""

    deciding: Verdict
    verdicts: Sequence[Verdict]

    @property
    def is_allowed(self) -> bool:
        return self.deciding.decision is Decision.ALLOW

    @property
    def budgets(self) -> tuple[Bound, ...]:
        """What the action is to be debited to."""
        return tuple(budget for verdict in self.verdicts for budget in verdict.budgets)

    @property
    def gates(self) -> tuple[Gate, ...]:
        """The common causes that guards saw."""
        return tuple(verdict.gate for verdict in self.verdicts if verdict.gate is not None)


async def check(view: V, guards: Sequence[Question[V]], parameters: Callable[[str], BaseModel]) -> Ruling:
    """The first hold, refusal or escalation decides, in the order of `guards`; what those behind it would have said is
    not heard, errors included. A RECOMMEND (silent mode) and an ASK let the later guards speak,
    so that a recommendation says whether active mode would have been allowed and nobody is asked for what would be
    refused; they decide when none says no, the recommendation first.

    `parameters` gives a guard's parameters by its name. A guard without an answer in time refuses. Faults of the API
    server or the store propagate: no answer, no action.
    """
    verdicts: list[Verdict] = []
    for guards_of_round in _rounds(guards):
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(_heard(guard, view, parameters(guard.name))) for guard in guards_of_round]
        for answer in [task.result() for task in asked]:
            if isinstance(answer, Exception):
                raise answer
            verdicts.append(answer)
            if answer.decision in (Decision.HOLD, Decision.REFUSE, Decision.ESCALATE):
                return Ruling(answer, verdicts)
    for cautious in (Decision.RECOMMEND, Decision.ASK):
        if (found := next((verdict for verdict in verdicts if verdict.decision is cautious), None)) is not None:
            return Ruling(found, verdicts)
    return Ruling(verdicts[0] if verdicts else NOBODY_ASKED, verdicts)


def _rounds(guards: Sequence[Question[V]]) -> Iterator[Sequence[Question[V]]]:
    begins = [number for number, guard in enumerate(guards) if number == 0 or guard.name in BEGIN_A_ROUND]
    for begin, end in zip(begins, [*begins[1:], len(guards)], strict=True):
        yield guards[begin:end]


async def _heard(guard: Question[V], view: V, parameters: BaseModel) -> Verdict | Exception:
    """An error is raised only where nobody ahead said no, so it must not end the others of the round."""
    try:
        return await _ask(guard, view, parameters)
    except Exception as error:
        return error


async def _ask(guard: Question[V], view: V, parameters: BaseModel) -> Verdict:
    try:
        async with asyncio.timeout(GUARD_TIMEOUT_SECONDS):
            return await guard.check(view, parameters)
    except TimeoutError:
        detail = f"no answer within {GUARD_TIMEOUT_SECONDS:.0f} s"
        return Verdict(guard.name, Decision.REFUSE, Reason.FACT_MISSING, detail)
    except Forbidden as error:
        return Verdict(guard.name, Decision.REFUSE, Reason.FACT_MISSING, str(error))
