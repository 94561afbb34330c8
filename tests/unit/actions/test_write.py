"""One request, sent once; what became of it is read from the object and never guessed."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.actions.write import act, read_back, read_back_revert, revert, revert_id
from remediator.errors import PermanentError
from remediator.kube.base import Conflict, Forbidden, NotFound, ReplyLost, Unreachable
from remediator.kube.ownership import LAST_ACTION
from remediator.model import Answer, Plan, Reason
from tests.fakes import FakeCluster
from tests.workloads import case, workload

PATH = "/apis/apps/v1/namespaces/shop/deployments/checkout"


def plan() -> Plan:
    answer = Rollback().plan(case(), Parameters())
    assert isinstance(answer, Plan)
    return answer


def cluster(reply: Any, *, mark: str | None = None, **metadata: Any) -> FakeCluster:
    """A cluster that answers the write so, and shows the object so afterwards."""
    item = copy.deepcopy(workload().object)
    item["metadata"].update(metadata)
    if mark is not None:
        item["metadata"]["annotations"][LAST_ACTION] = mark
    one = FakeCluster(item)
    one.replies["PATCH", PATH] = reply
    return one


OURS = plan().action_id
DONE = {"metadata": {"generation": 8}}
CASES: list[tuple[str, FakeCluster, Answer, Reason]] = [
    ("accepted", cluster(DONE), Answer.APPLIED, Reason.NONE),
    ("conflict", cluster(Conflict("x")), Answer.NOT_APPLIED, Reason.CONFLICT),
    ("conflict with ourselves", cluster(Conflict("x"), mark=OURS, generation=8), Answer.APPLIED, Reason.NONE),
    ("lost, but done", cluster(ReplyLost("x"), mark=OURS, generation=8), Answer.APPLIED, Reason.NONE),
    ("lost, not done", cluster(ReplyLost("x")), Answer.NOT_APPLIED, Reason.REPLY_LOST),
    ("lost, and someone else", cluster(ReplyLost("x"), generation=9), Answer.UNKNOWN, Reason.CHANGED_BY_SOMEONE_ELSE),
    ("lost, and another object", cluster(ReplyLost("x"), uid="d-2"), Answer.NOT_APPLIED, Reason.TARGET_CHANGED),
    ("gone", cluster(NotFound("x")), Answer.NOT_APPLIED, Reason.TARGET_NOT_FOUND),
    ("forbidden", cluster(Forbidden("x")), Answer.NOT_APPLIED, Reason.REFUSED_BY_API),
    ("denied by policy", cluster(PermanentError("x")), Answer.NOT_APPLIED, Reason.REFUSED_BY_API),
]


@pytest.mark.parametrize(("world", "answer", "reason"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
async def test_a_write_is_sent_once_and_its_fate_named(world: FakeCluster, answer: Answer, reason: Reason) -> None:
    written = await act(plan(), world)

    assert (written.answer, written.reason) == (answer, reason)
    assert [dry_run for _, dry_run in world.sent] == [False]


async def test_what_cannot_be_read_back_is_unknown() -> None:
    world = cluster(ReplyLost("x"))
    world.errors[PATH] = Unreachable("away")

    assert (await act(plan(), world)).answer is Answer.UNKNOWN


async def test_reading_back_sends_nothing() -> None:
    world = cluster(DONE, mark=OURS, generation=8)

    assert (await read_back(plan(), world)).answer is Answer.APPLIED
    assert world.sent == []


async def test_a_revert_that_was_lost_is_told_by_its_own_mark() -> None:
    """The first action's mark says that the revert was not done; the revert's own that it was."""
    undone = cluster(ReplyLost("x"), mark=OURS, generation=8)
    done = cluster(ReplyLost("x"), mark=revert_id(plan()), generation=9)

    assert (await revert(plan(), undone)).answer is Answer.NOT_APPLIED
    assert (await revert(plan(), done)).answer is Answer.APPLIED
    assert (await read_back_revert(plan(), done)).answer is Answer.APPLIED


async def test_a_revert_after_someone_else_s_change_is_not_done() -> None:
    written = await revert(plan(), cluster(Conflict("x"), mark="theirs", generation=9))

    assert written.answer is Answer.NOT_APPLIED
