"""Step 7 of an alert: send the one request of a plan, or find out whether it was done. The only writer to workloads.

A request carries the action id and tests what it was decided on, so reading the object back tells whether it happened;
nothing is ever re-sent blindly.
"""

from __future__ import annotations

from dataclasses import dataclass

from remediator.errors import PermanentError, RemediatorError
from remediator.kube.base import Cluster, Conflict, NotFound, ReplyLost, annotations_of, path_of
from remediator.kube.ownership import LAST_ACTION
from remediator.model import Answer, Plan, Reason, Request


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


async def act(plan: Plan, cluster: Cluster) -> Written:
    """Send the plan's request once."""
    return await _write(plan, plan.request, plan.action_id, cluster)


async def revert(plan: Plan, cluster: Cluster) -> Written:
    """Send the plan's inverse once. The inverse tests that the object is still as we left it."""
    assert plan.inverse is not None
    return await _write(plan, plan.inverse, revert_id(plan), cluster)


async def read_back(plan: Plan, cluster: Cluster) -> Written:
    """Whether the plan's request was done, from the object alone."""
    return await _read_back(plan, plan.action_id, cluster)


async def read_back_revert(plan: Plan, cluster: Cluster) -> Written:
    """Whether the plan's inverse was done, from the object alone."""
    return await _read_back(plan, revert_id(plan), cluster)


def revert_id(plan: Plan) -> str:
    """The mark that the inverse leaves on the object."""
    return f"{plan.action_id}.revert"


async def _write(plan: Plan, request: Request, mark: str, cluster: Cluster) -> Written:
    try:
        item = await cluster.send(request, dry_run=False)
    except Conflict as error:
        # A repeat of what was already done conflicts too, so look before calling it someone else's change.
        found = await _read_back(plan, mark, cluster)
        if found.answer is Answer.APPLIED:
            return found
        return Written(Answer.NOT_APPLIED, Reason.CONFLICT, str(error))
    except ReplyLost:
        return await _read_back(plan, mark, cluster)
    except NotFound as error:
        return Written(Answer.NOT_APPLIED, Reason.TARGET_NOT_FOUND, str(error))
    except PermanentError as error:
        return Written(Answer.NOT_APPLIED, Reason.REFUSED_BY_API, str(error))
    return Written(Answer.APPLIED, Reason.NONE, "the API server accepted it", item["metadata"].get("generation"))


async def _read_back(plan: Plan, mark: str, cluster: Cluster) -> Written:
    target = plan.target
    try:
        item = await cluster.get(path_of(target.kind, namespace=target.namespace, name=target.name))
    except NotFound as error:
        return Written(Answer.NOT_APPLIED, Reason.TARGET_NOT_FOUND, str(error))
    except RemediatorError as error:
        return Written(Answer.UNKNOWN, Reason.REPLY_LOST, f"the object could not be read back: {error}")
    generation = item["metadata"].get("generation")
    if item["metadata"]["uid"] != target.uid:
        return Written(Answer.NOT_APPLIED, Reason.TARGET_CHANGED, "another object has the name now")
    if annotations_of(item).get(LAST_ACTION) == mark:
        return Written(Answer.APPLIED, Reason.NONE, "the object carries the action id", generation)
    if mark == plan.action_id and generation == plan.generation:
        return Written(Answer.NOT_APPLIED, Reason.REPLY_LOST, "the object is as it was before the request", generation)
    if annotations_of(item).get(LAST_ACTION) == plan.action_id:
        return Written(Answer.NOT_APPLIED, Reason.REPLY_LOST, "the object still carries the first action", generation)
    return Written(
        Answer.UNKNOWN, Reason.CHANGED_BY_SOMEONE_ELSE, "the object changed and carries no mark of ours", generation
    )
