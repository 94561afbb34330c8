"""Step 7 of an alert: send one request of a plan, or find out whether it was done. The only writer to workloads.

A request tests what it was decided on, and what it touches tells whether it happened (a mark, the value itself, or that
the object is gone); nothing is ever re-sent blindly. None goes out without the gate having been asked in that moment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from remediator.clock import Clock
from remediator.errors import PermanentError, RemediatorError
from remediator.kube.base import (
    Cluster,
    Conflict,
    DisruptionBudget,
    NotFound,
    ReplyLost,
    Unreachable,
    annotations_of,
    path_of,
    value_at,
)
from remediator.kube.ownership import LAST_ACTION
from remediator.kube.rollout import is_observed
from remediator.model import Answer, Json, Plan, Request, Step, Target, ToldBy
from remediator.reasons import Reason

OBSERVED_WITHIN_SECONDS = 15.0
"""How long a step waits for the controller to have observed the one before it."""

POLL_SECONDS = 0.5

Gate = Callable[[], Awaitable[float]]
"""Whether a write may go out, asked immediately before it does: the steady second by which its answer must be here.
Raises LostClaim: it may not, since the remediation is no longer ours."""


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a write, with the reason where it was not done. `generation` is the object's afterwards.

    `detail` holds the API server's own words, which `kube/replies.py` has cut: once more would lose their end, where an
    admission policy says why.
    """

    answer: Answer
    reason: Reason
    detail: str
    generation: int | None = None


async def act(plan: Plan, number: int, *, audit_id: str, gate: Gate, cluster: Cluster, clock: Clock) -> Written:
    """Send the request of step `number` (from 0) once; `audit_id` is its name in the API server's audit log.

    Raises what the gate does, and TooLate: then nothing was sent.
    """
    step = plan.steps[number]
    if step.after_observed and not await _observed(plan.target, cluster, clock):
        detail = f"the controller of {plan.target} has not observed the change before this one"
        return Written(Answer.NOT_APPLIED, Reason.NOT_OBSERVED, detail)
    request = replace(step.request, audit_id=audit_id, not_after=await gate())
    return await _write(step, request, plan.action_id, cluster)


async def undo(plan: Plan, number: int, *, audit_id: str, gate: Gate, cluster: Cluster) -> Written:
    """Send the inverse of step `number` once. An inverse tests that the object is still as we left it. As `act`."""
    step = plan.steps[number]
    assert step.inverse is not None
    inverse = replace(step.inverse, audit_id=audit_id, not_after=await gate())
    return await _write(_inverted(step), inverse, revert_id(plan), cluster)


async def read_back(plan: Plan, number: int, *, cluster: Cluster) -> Written:
    """Whether the request of step `number` was done, from the object alone."""
    return await _read_back(plan.steps[number], plan.action_id, cluster)


async def read_back_undo(plan: Plan, number: int, *, cluster: Cluster) -> Written:
    """Whether the inverse of step `number` was done, from the object alone."""
    return await _read_back(_inverted(plan.steps[number]), revert_id(plan), cluster)


def revert_id(plan: Plan) -> str:
    """The mark that an inverse leaves on the object."""
    return f"{plan.action_id}.revert"


def _inverted(step: Step) -> Step:
    """The step that leads back. Its generation is not known before the first one was done."""
    assert step.inverse is not None
    return Step(step.inverse, step.touched, step.told_by, None, step.pointer, step.after, step.before)


async def _write(step: Step, request: Request, mark: str, cluster: Cluster) -> Written:
    try:
        item = await cluster.send(request, dry_run=False)
    except Conflict as error:
        # A repeat of what was already done conflicts too, so look before calling it someone else's change.
        found = await _read_back(step, mark, cluster)
        if found.answer is Answer.APPLIED:
            return found
        return Written(Answer.NOT_APPLIED, Reason.CONFLICT, str(error))
    except ReplyLost:
        return await _read_back(step, mark, cluster)
    except DisruptionBudget as error:
        return Written(Answer.NOT_APPLIED, Reason.DISRUPTION_BUDGET, str(error))
    except Unreachable as error:
        return Written(Answer.NOT_APPLIED, Reason.NOT_SENT, str(error))
    except NotFound as error:
        if step.told_by is ToldBy.GONE:
            return Written(Answer.APPLIED, Reason.NONE, f"{step.touched} is gone")
        return Written(Answer.NOT_APPLIED, Reason.TARGET_NOT_FOUND, str(error))
    except PermanentError as error:
        return Written(Answer.NOT_APPLIED, Reason.REFUSED_BY_API, str(error))
    return Written(
        Answer.APPLIED, Reason.NONE, "the API server accepted it", (item.get("metadata") or {}).get("generation")
    )


async def _read_back(step: Step, mark: str, cluster: Cluster) -> Written:
    touched = step.touched
    try:
        item = await cluster.get(path_of(touched.kind, namespace=touched.namespace, name=touched.name))
    except NotFound as error:
        if step.told_by is ToldBy.GONE:
            return Written(Answer.APPLIED, Reason.NONE, f"{touched} is gone")
        return Written(Answer.NOT_APPLIED, Reason.TARGET_NOT_FOUND, str(error))
    except RemediatorError as error:
        return Written(Answer.UNKNOWN, Reason.REPLY_LOST, f"the object could not be read back: {error}")
    generation = item["metadata"].get("generation")
    if item["metadata"]["uid"] != touched.uid:
        if step.told_by is ToldBy.GONE:
            return Written(Answer.APPLIED, Reason.NONE, f"{touched} was replaced by another of that name")
        return Written(Answer.NOT_APPLIED, Reason.TARGET_CHANGED, "another object has the name now")
    match step.told_by:
        case ToldBy.MARK:
            return _by_mark(step, mark, item, generation)
        case ToldBy.VALUE:
            return _by_value(step, item, generation)
        case ToldBy.GONE:
            if item["metadata"].get("deletionTimestamp"):
                return Written(Answer.APPLIED, Reason.NONE, f"{touched} is on its way out", generation)
            return Written(Answer.NOT_APPLIED, Reason.REPLY_LOST, f"{touched} is still there", generation)


def _by_mark(step: Step, mark: str, item: Json, generation: int | None) -> Written:
    found = annotations_of(item).get(LAST_ACTION)
    if found == mark:
        return Written(Answer.APPLIED, Reason.NONE, "the object carries the action id", generation)
    if step.generation is not None and generation == step.generation:
        return Written(Answer.NOT_APPLIED, Reason.REPLY_LOST, "the object is as it was before the request", generation)
    if step.before is not None and value_at(item, step.pointer) == step.before:
        # Some kinds have no generation (an autoscaler), and this one's has changed in other fields.
        return Written(Answer.NOT_APPLIED, Reason.REPLY_LOST, "what was to change is as it was before", generation)
    if f"{found}.revert" == mark:
        return Written(Answer.NOT_APPLIED, Reason.REPLY_LOST, "the object still carries the first action", generation)
    return Written(
        Answer.UNKNOWN, Reason.CHANGED_BY_SOMEONE_ELSE, "the object changed and carries no mark of ours", generation
    )


def _by_value(step: Step, item: Json, generation: int | None) -> Written:
    name, found = "/".join(map(str, step.pointer)), value_at(item, step.pointer)
    if found == step.after:
        return Written(Answer.APPLIED, Reason.NONE, f"{name} is {found}", generation)
    if found == step.before:
        return Written(Answer.NOT_APPLIED, Reason.REPLY_LOST, f"{name} is still {found}", generation)
    detail = f"{name} is {found}, neither {step.before} as before nor {step.after} as asked for"
    return Written(Answer.UNKNOWN, Reason.CHANGED_BY_SOMEONE_ELSE, detail, generation)


async def _observed(target: Target, cluster: Cluster, clock: Clock) -> bool:
    path = path_of(target.kind, namespace=target.namespace or None, name=target.name)
    waited = 0.0
    while not is_observed(await cluster.get(path)):
        if waited >= OBSERVED_WITHIN_SECONDS:
            return False
        await clock.sleep(POLL_SECONDS)
        waited += POLL_SECONDS
    return True
