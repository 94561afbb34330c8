"""A recommendation says whether it could have been done: the API server's dry run with what it would change, and each
permission; where one cannot be had it is named, and the recommendation still comes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from remediator.errors import PermanentError, RemediatorError
from remediator.kube.access_review import FENCE_PATH, REVIEW_PATH
from remediator.kube.base import Forbidden, NotProvable, Unreachable
from remediator.model import Json, Mode, Request, State
from remediator.sinks.kubernetes_event import KubernetesEventSink
from tests.fakes import FakeCluster
from tests.pipeline.world import DEPLOYMENT, World, world

IMAGE = "spec.template.spec.containers[app].image"
WEBHOOK = 'admission webhook "side.example.com" does not support dry run'
POLICY = "ValidatingAdmissionPolicy 'frozen' with binding 'frozen' denied request: no changes on Fridays"
RBAC = 'User "x" cannot patch resource "deployments" in API group "apps" in the namespace "shop"'


def allowing(one: World, *, allowed: bool, reason: str = "") -> None:
    answer = {"status": {"allowed": allowed, "reason": reason}}
    one.shop.replies["POST", REVIEW_PATH] = lambda request, dry_run: copy.deepcopy(answer)


async def recommended(one: World) -> Json:
    await one.receive()
    assert await one.run() is State.RECOMMENDED
    return (await one.last()).body


async def test_a_recommendation_holds_what_the_api_server_would_make_of_it() -> None:
    async with world(mode=Mode.SILENT) as one:
        allowing(one, allowed=True)
        proof = (await recommended(one))["proof"]
        [dry_run] = proof["dry_run"]
        assert (dry_run["request"], dry_run["answer"]) == (f"PATCH {DEPLOYMENT}", "accepted")
        assert {"field": IMAGE, "before": "shop/checkout:1.5", "after": "shop/checkout:1.4"} in dry_run["changes"]
        assert proof["permissions"] == [
            {
                "verb": "patch",
                "group": "apps",
                "resource": "deployments",
                "namespace": "shop",
                "name": "checkout",
                "allowed": True,
                "reason": "",
            }
        ]
        assert proof["executable"] is True
        assert one.shop.writes() == []


async def test_what_admission_adds_is_in_the_changes() -> None:
    """A sidecar, or a default: the reply is compared, not the request."""
    async with world(mode=Mode.SILENT) as one:

        def injecting(request: Request, dry_run: bool) -> Json:
            reply = one.shop.patch(request, dry_run)
            reply["metadata"].setdefault("labels", {})["injected"] = "yes"
            return reply

        one.shop.replies["PATCH", DEPLOYMENT] = injecting
        [dry_run] = (await recommended(one))["proof"]["dry_run"]
        assert "metadata.labels.injected" in [change["field"] for change in dry_run["changes"]]


async def test_literal_values_are_masked_in_the_changes() -> None:
    async with world(mode=Mode.SILENT) as one:

        def telling(request: Request, dry_run: bool) -> Json:
            reply = one.shop.patch(request, dry_run)
            reply["metadata"].setdefault("annotations", {})["x"] = "password=hunter2-planted"
            return reply

        one.shop.replies["PATCH", DEPLOYMENT] = telling
        body = await recommended(one)
        assert "planted" not in str(body)
        assert "metadata.annotations.x" in str(body["proof"])


CANNOT: list[tuple[RemediatorError, str, str]] = [
    (Forbidden(RBAC), "no-permission", "dry-run-not-provable"),
    (NotProvable(WEBHOOK), "webhook-without-dry-run", "dry-run-not-provable"),
    (Forbidden(POLICY), "denied-by-policy", "dry-run-not-provable"),
    (PermanentError("denied the request"), "refused", "dry-run-refused"),
]


@pytest.mark.parametrize(("error", "answer", "reason"), CANNOT, ids=[case[1] for case in CANNOT])
async def test_where_it_cannot_be_proven_that_is_named_and_the_recommendation_comes(
    error: RemediatorError, answer: str, reason: str
) -> None:
    async with world(mode=Mode.SILENT) as one:
        allowing(one, allowed=True)
        one.shop.replies["PATCH", DEPLOYMENT] = error
        body = await recommended(one)
        verdict = body["verdicts"][-1]
        assert (verdict["guard"], verdict["reason"]) == ("dry-run", reason)
        if answer == "refused":
            assert "proof" not in body  # a guard's no, as any other
            return
        [dry_run] = body["proof"]["dry_run"]
        assert dry_run["answer"] == answer
        assert str(error) in dry_run["detail"]
        assert body["proof"]["executable"] is (False if answer == "denied-by-policy" else None)


async def test_without_the_permission_it_could_not_have_been_done() -> None:
    async with world(mode=Mode.SILENT) as one:
        allowing(one, allowed=False, reason="no RBAC policy matched")
        proof = (await recommended(one))["proof"]
        assert proof["executable"] is False
        assert [(p["allowed"], p["reason"]) for p in proof["permissions"]] == [(False, "no RBAC policy matched")]


@pytest.mark.parametrize("error", [Forbidden("may not ask"), Unreachable("away")])
async def test_permissions_that_cannot_be_asked_are_not_known(error: RemediatorError) -> None:
    async with world(mode=Mode.SILENT) as one:
        one.shop.replies["POST", REVIEW_PATH] = error
        proof = (await recommended(one))["proof"]
        assert [p["allowed"] for p in proof["permissions"]] == [None]
        assert proof["executable"] is None


@pytest.mark.parametrize(("answer", "fence"), [(None, "none"), (Forbidden("no"), "unknown"), ({"kind": "x"}, "there")])
async def test_whether_a_policy_refuses_the_real_write_is_said(answer: Any, fence: str) -> None:
    """Where a dry run is accepted, the account has the right to the real one: only a policy is in the way."""
    async with world(mode=Mode.SILENT) as one:
        if isinstance(answer, Exception):
            one.shop.errors[FENCE_PATH] = answer
        elif answer is not None:
            one.shop._objects[FENCE_PATH] = answer
        assert (await recommended(one))["proof"]["fence"] == fence


async def test_whoever_is_asked_to_approve_sees_the_proof_too() -> None:
    async with world(mode=Mode.APPROVE) as one:
        allowing(one, allowed=True)
        await one.receive()
        await one.run(until=lambda state: state is State.AWAITING_APPROVAL)
        assert (await one.last_body())["proof"]["executable"] is True


async def test_active_mode_asks_no_permission_before_it_acts() -> None:
    """The dry run has tried it; a question more would only take time."""
    async with world() as one:
        await one.receive()
        assert await one.run() is State.VERIFIED
        assert REVIEW_PATH not in [request.path for request, _ in one.shop.sent]


async def test_the_event_says_it_in_a_few_words() -> None:
    async with world(mode=Mode.SILENT) as one:
        allowing(one, allowed=True)
        await recommended(one)
        told = FakeCluster()
        await KubernetesEventSink(told).tell(await one.last())
        [(event, _)] = told.sent
        assert "dry run accepted, 1 of 1 permissions, could have been done: yes" in note_of(event)


def note_of(event: Request) -> str:
    body: Any = event.body
    return str(body["note"])


async def test_incidents_show_and_the_export_tell_it() -> None:
    from remediator.cli.incidents import _why
    from remediator.export.attempts import attempt_of
    from remediator.export.content import Contents
    from remediator.export.markdown import _decision

    async with world(mode=Mode.SILENT) as one:
        allowing(one, allowed=False)
        body = await recommended(one)
        shown = "\n".join(_why(body))
        assert "proof: could have been done: no" in shown
        assert f"proof:   {IMAGE}: shop/checkout:1.5 -> shop/checkout:1.4" in shown
        assert "proof: permission to patch deployments.apps checkout in shop: no" in shown
        [row] = await one.database.incidents(limit=1, open_only=False)
        view = await one.database.incident(row.id)
        assert view is not None
        told = "\n".join(_decision(attempt_of(view.remediations[0], view.records, Contents())))
        assert "- Proof: `permission to patch deployments.apps checkout in shop: no`" in told
