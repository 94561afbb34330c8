"""One request, sent once; what became of it is read from the object and never guessed."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.actions.write import Written, act, read_back, read_back_undo, revert_id, undo
from remediator.errors import PermanentError
from remediator.kube.base import Conflict, DisruptionBudget, Forbidden, NotFound, ReplyLost, Unreachable
from remediator.kube.ownership import LAST_ACTION
from remediator.model import Answer, Json, Plan, Request, Step, Target, ToldBy
from remediator.reasons import Reason
from tests.clocks import FakeClock, open_gate
from tests.fakes import FakeCluster
from tests.workloads import case, workload

PATH = "/apis/apps/v1/namespaces/shop/deployments/checkout"


def plan() -> Plan:
    answer = Rollback().plan(case(), Parameters())
    assert isinstance(answer, Plan)
    return answer


async def sent(one: Plan, world: FakeCluster) -> Written:
    return await act(one, 0, audit_id="a-1", gate=open_gate, cluster=world, clock=FakeClock())


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
    ("not sent", cluster(Unreachable("x")), Answer.NOT_APPLIED, Reason.NOT_SENT),
    ("gone", cluster(NotFound("x")), Answer.NOT_APPLIED, Reason.TARGET_NOT_FOUND),
    ("forbidden", cluster(Forbidden("x")), Answer.NOT_APPLIED, Reason.REFUSED_BY_API),
    ("denied by policy", cluster(PermanentError("x")), Answer.NOT_APPLIED, Reason.REFUSED_BY_API),
]


@pytest.mark.parametrize(("world", "answer", "reason"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
async def test_a_write_is_sent_once_and_its_fate_named(world: FakeCluster, answer: Answer, reason: Reason) -> None:
    written = await sent(plan(), world)

    assert (written.answer, written.reason) == (answer, reason)
    assert [dry_run for _, dry_run in world.sent] == [False]


async def test_what_cannot_be_read_back_is_unknown() -> None:
    world = cluster(ReplyLost("x"))
    world.errors[PATH] = Unreachable("away")

    assert (await sent(plan(), world)).answer is Answer.UNKNOWN


async def test_reading_back_sends_nothing() -> None:
    world = cluster(DONE, mark=OURS, generation=8)

    assert (await read_back(plan(), 0, cluster=world)).answer is Answer.APPLIED
    assert world.sent == []


async def test_a_revert_that_was_lost_is_told_by_its_own_mark() -> None:
    """The first action's mark says that the revert was not done; the revert's own that it was."""
    undone = cluster(ReplyLost("x"), mark=OURS, generation=8)
    done = cluster(ReplyLost("x"), mark=revert_id(plan()), generation=9)

    assert (await undo(plan(), 0, audit_id="a-2", gate=open_gate, cluster=undone)).answer is Answer.NOT_APPLIED
    assert (await undo(plan(), 0, audit_id="a-2", gate=open_gate, cluster=done)).answer is Answer.APPLIED
    assert (await read_back_undo(plan(), 0, cluster=done)).answer is Answer.APPLIED


POD = Target("lab", "Pod", "shop", "checkout-3-a", "p-1")
EVICTION = Request("POST", "/api/v1/namespaces/shop/pods/checkout-3-a/eviction", "application/json", {})
SCALE = Request("PATCH", f"{PATH}/scale", "application/json-patch+json", [])


def told_by(how: ToldBy) -> Plan:
    """The plan with a step that leaves no mark."""
    gone = Step(EVICTION, POD, ToldBy.GONE)
    value = Step(SCALE, case().target, ToldBy.VALUE, 7, ("spec", "replicas"), 2, 3, SCALE)
    return replace(plan(), steps=(gone if how is ToldBy.GONE else value,))


def pod(**metadata: Any) -> Json:
    return {"kind": "Pod", "metadata": {"name": "checkout-3-a", "namespace": "shop", "uid": "p-1", **metadata}}


def scaled(replicas: int) -> Json:
    item = copy.deepcopy(workload().object)
    item["spec"]["replicas"] = replicas
    return item


LOST = ReplyLost("x")
UNMARKED: list[tuple[str, ToldBy, list[Json], Answer, Reason]] = [
    ("pod gone", ToldBy.GONE, [], Answer.APPLIED, Reason.NONE),
    ("pod on its way out", ToldBy.GONE, [pod(deletionTimestamp="2026-01-01T00:00:00Z")], Answer.APPLIED, Reason.NONE),
    ("another pod of that name", ToldBy.GONE, [pod(uid="p-2")], Answer.APPLIED, Reason.NONE),
    ("pod still there", ToldBy.GONE, [pod()], Answer.NOT_APPLIED, Reason.REPLY_LOST),
    ("value as asked for", ToldBy.VALUE, [scaled(3)], Answer.APPLIED, Reason.NONE),
    ("value as before", ToldBy.VALUE, [scaled(2)], Answer.NOT_APPLIED, Reason.REPLY_LOST),
    ("another value", ToldBy.VALUE, [scaled(5)], Answer.UNKNOWN, Reason.CHANGED_BY_SOMEONE_ELSE),
    ("object gone", ToldBy.VALUE, [], Answer.NOT_APPLIED, Reason.TARGET_NOT_FOUND),
]


@pytest.mark.parametrize(
    ("how", "items", "answer", "reason"), [row[1:] for row in UNMARKED], ids=[row[0] for row in UNMARKED]
)
async def test_a_lost_request_without_a_mark_is_told_by_what_it_was_to_change(
    how: ToldBy, items: list[Json], answer: Answer, reason: Reason
) -> None:
    world = FakeCluster(*items)
    world.replies["POST", EVICTION.path] = world.replies["PATCH", SCALE.path] = LOST

    written = await sent(told_by(how), world)

    assert (written.answer, written.reason) == (answer, reason)


@pytest.mark.parametrize(
    ("maximum", "mark", "answer"),
    [(4, None, Answer.NOT_APPLIED), (6, OURS, Answer.APPLIED), (9, None, Answer.UNKNOWN)],
    ids=["as before", "as asked for, with our mark", "another value"],
)
async def test_a_marked_object_without_a_generation_tells_by_its_value(
    maximum: int, mark: str | None, answer: Answer
) -> None:
    """An autoscaler: the API server counts no generations of it."""
    touched = Target("lab", "HorizontalPodAutoscaler", "shop", "checkout", "h-1")
    path = "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/checkout"
    request = Request("PATCH", path, "application/json-patch+json", [])
    step = Step(request, touched, ToldBy.MARK, None, ("spec", "maxReplicas"), 4, 6, request)
    annotations = {"remediator.io/last-action": mark} if mark else {}
    metadata = {"name": "checkout", "namespace": "shop", "uid": "h-1", "annotations": annotations}
    world = FakeCluster({"kind": touched.kind, "metadata": metadata, "spec": {"maxReplicas": maximum}})
    world.replies["PATCH", path] = LOST

    written = await sent(replace(plan(), steps=(step,)), world)

    assert written.answer is answer


async def test_a_value_that_is_back_tells_that_the_inverse_was_done() -> None:
    assert (await read_back_undo(told_by(ToldBy.VALUE), 0, cluster=FakeCluster(scaled(2)))).answer is Answer.APPLIED
    assert (await read_back_undo(told_by(ToldBy.VALUE), 0, cluster=FakeCluster(scaled(3)))).answer is Answer.NOT_APPLIED


async def test_a_pod_that_was_gone_before_the_eviction_is_what_was_wanted() -> None:
    world = FakeCluster()
    world.replies["POST", EVICTION.path] = NotFound("x")

    assert (await sent(told_by(ToldBy.GONE), world)).answer is Answer.APPLIED


async def test_a_disruption_budget_is_a_refusal_with_its_name() -> None:
    world = FakeCluster(pod())
    world.replies["POST", EVICTION.path] = DisruptionBudget("x")

    assert (await sent(told_by(ToldBy.GONE), world)).reason is Reason.DISRUPTION_BUDGET


async def test_a_step_waits_until_the_controller_has_observed_the_one_before() -> None:
    behind = copy.deepcopy(workload().object)
    behind["status"]["observedGeneration"] -= 1
    one = replace(plan(), steps=(replace(plan().steps[0], after_observed=True),))

    written = await sent(one, (world := FakeCluster(behind)))

    assert (written.answer, written.reason) == (Answer.NOT_APPLIED, Reason.NOT_OBSERVED)
    assert world.sent == []


async def test_a_revert_after_someone_else_s_change_is_not_done() -> None:
    world = cluster(Conflict("x"), mark="theirs", generation=9)
    written = await undo(plan(), 0, audit_id="a-2", gate=open_gate, cluster=world)

    assert written.answer is Answer.NOT_APPLIED
