"""Writes: sent as planned, and never a second time once they may have been received."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.clock import steady_seconds
from remediator.errors import PermanentError
from remediator.kube.base import Conflict, DisruptionBudget, Invalid, NotProvable, ReplyLost, TooLate, Unreachable
from remediator.kube.client import KubernetesCluster
from remediator.kube.session import MAX_BYTES
from remediator.model import Request
from tests.unit.kube.conftest import Connect
from tests.unit.scripted_server import CUT, DROP, HANG, Answer, JumpingClock, ScriptedServer, status

PATCH = Request(
    method="PATCH",
    path="/apis/apps/v1/namespaces/shop/deployments/web",
    content_type="application/json-patch+json",
    body=[{"value": "grüße", "path": "/metadata/uid", "op": "test"}],
    query={"fieldManager": "remediator"},
)
BUDGET = {"reason": "DisruptionBudget", "message": "needs 2 healthy pods"}


async def test_a_write_goes_out_as_planned(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """Canonical JSON, the content type and the query as they stand in the plan."""
    await cluster.send(PATCH, dry_run=False)

    [asked] = server.asked
    assert asked.body == '[{"op":"test","path":"/metadata/uid","value":"grüße"}]'.encode()
    assert asked.headers["Content-Type"] == "application/json-patch+json"
    assert (asked.method, asked.path, asked.query) == ("PATCH", PATCH.path, {"fieldManager": "remediator"})


@pytest.mark.parametrize("content_type", ["application/merge-patch+json", "application/apply-patch+yaml"])
async def test_the_content_type_is_never_guessed(
    server: ScriptedServer, cluster: KubernetesCluster, content_type: str
) -> None:
    """The library guesses it from the shape of the body."""
    await cluster.send(replace(PATCH, content_type=content_type), dry_run=False)

    assert server.asked[0].headers["Content-Type"] == content_type


async def test_a_dry_run_says_so(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    await cluster.send(PATCH, dry_run=True)

    assert server.asked[0].query == {"fieldManager": "remediator", "dryRun": "All"}


async def test_a_dry_deletion_says_so_in_its_body_too(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """With a body the API server takes no option from the query: the pod would be gone."""
    delete = Request("DELETE", "/api/v1/namespaces/shop/pods/web", "application/json", {"preconditions": {"uid": "u"}})

    await cluster.send(delete, dry_run=True)
    await cluster.send(delete, dry_run=False)

    dry, real = server.asked
    assert (dry.body, dry.query) == (b'{"dryRun":["All"],"preconditions":{"uid":"u"}}', {"dryRun": "All"})
    assert (real.body, real.query) == (b'{"preconditions":{"uid":"u"}}', {})


@pytest.mark.parametrize(
    "wrong",
    [{"content_type": ""}, {"query": {"dryRun": "All"}}, {"method": "DELETE", "body": {"dryRun": ["All"]}}],
)
async def test_a_request_that_leaves_room_for_doubt_is_not_sent(
    server: ScriptedServer, cluster: KubernetesCluster, wrong: dict[str, object]
) -> None:
    """A `dryRun` in the plan would make the real write a rehearsal that nobody notices."""
    with pytest.raises(ValueError, match="not a sendable request"):
        await cluster.send(replace(PATCH, **wrong), dry_run=False)  # type: ignore[arg-type]
    assert server.asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "broken", [DROP, CUT, status(500), status(502), status(503), status(504), Answer(200, b"<html>")]
)
async def test_a_write_without_a_usable_answer_is_sent_once(
    server: ScriptedServer, cluster: KubernetesCluster, method: str, broken: Answer
) -> None:
    """It may have been done."""
    server.answers(broken)

    with pytest.raises(ReplyLost, match=f"{method} {PATCH.path}: .*may have been done"):
        await cluster.send(replace(PATCH, method=method), dry_run=False)
    assert len(server.asked) == 1


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_write_on_a_reused_connection_is_sent_once(
    server: ScriptedServer, cluster: KubernetesCluster, method: str
) -> None:
    """aiohttp repeats these two by itself when the connection was used before."""
    await cluster.get(PATCH.path)
    server.answers(DROP)

    with pytest.raises(ReplyLost):
        await cluster.send(replace(PATCH, method=method), dry_run=False)
    assert [asked.method for asked in server.asked] == ["GET", method]


async def test_a_write_without_an_answer_in_time_is_sent_once(server: ScriptedServer, connect_to: Connect) -> None:
    cluster = await connect_to(server=server.url, request_timeout_seconds=0.05)
    server.answers(HANG)

    with pytest.raises(ReplyLost, match=r"no answer within 0\.05 s; it may have been done"):
        await cluster.send(PATCH, dry_run=False)
    assert len(server.asked) == 1


async def test_a_write_that_found_no_connection_is_sent_when_there_is_one(
    server: ScriptedServer, cluster: KubernetesCluster, clock: JumpingClock
) -> None:
    """Refused before anything was sent: the API server restarts, and comes back during our pause."""
    restarted = ScriptedServer()
    await server.stop()

    async def come_back() -> None:
        clock.on_sleep = None
        await restarted.start(port=server.port)

    clock.on_sleep = come_back
    try:
        await cluster.send(PATCH, dry_run=False)
    finally:
        await restarted.stop()
    assert [asked.method for asked in restarted.asked] == ["PATCH"]


async def test_a_write_that_never_found_a_connection_was_not_sent(
    server: ScriptedServer, cluster: KubernetesCluster
) -> None:
    """So there is nothing to read back."""
    await server.stop()

    with pytest.raises(Unreachable, match="not sent"):
        await cluster.send(PATCH, dry_run=False)


async def test_a_write_that_was_turned_away_is_sent_again(
    server: ScriptedServer, cluster: KubernetesCluster, clock: JumpingClock
) -> None:
    """429 comes before handling."""
    server.answers(Answer(429, {}, {"Retry-After": "1"}), Answer())
    await cluster.send(PATCH, dry_run=False)

    assert len(server.asked) == 2
    assert 1 <= clock.pauses[0] <= 2


async def test_a_disruption_budget_is_not_waited_for_here(
    server: ScriptedServer, cluster: KubernetesCluster, clock: JumpingClock
) -> None:
    """It is the policy's "not now", for the step that decides."""
    server.answers(status(429, "TooManyRequests", causes=[BUDGET], retryAfterSeconds=10))

    with pytest.raises(DisruptionBudget, match="needs 2 healthy pods") as caught:
        await cluster.send(PATCH, dry_run=False)
    assert (len(server.asked), clock.pauses, caught.value.retry_after_seconds) == (1, [], 10.0)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (status(409, "Conflict"), Conflict),
        (status(422, "Invalid"), Conflict),
        (status(422, "Invalid", causes=[{"message": "immutable", "field": "spec.selector"}]), Invalid),
        (status(500, "InternalError", "This pod has more than one PodDisruptionBudget"), PermanentError),
    ],
)
async def test_a_refused_write_is_sent_once(
    server: ScriptedServer, cluster: KubernetesCluster, answer: Answer, error: type[Exception]
) -> None:
    server.answers(answer)

    with pytest.raises(error):
        await cluster.send(PATCH, dry_run=False)
    assert len(server.asked) == 1


async def test_a_webhook_that_cannot_rehearse_is_not_a_refusal(
    server: ScriptedServer, cluster: KubernetesCluster
) -> None:
    server.answers(status(400, "BadRequest", 'admission webhook "x" does not support dry run'))

    with pytest.raises(NotProvable, match=r"\(dry run\): 400 BadRequest"):
        await cluster.send(PATCH, dry_run=True)


@pytest.mark.parametrize("broken", [DROP, status(503)])
async def test_a_dry_run_is_repeated_like_a_read(
    server: ScriptedServer, cluster: KubernetesCluster, broken: Answer
) -> None:
    """It changes nothing, however often it is done."""
    server.answers(broken, Answer(body={"kind": "Deployment"}))

    assert await cluster.send(PATCH, dry_run=True) == {"kind": "Deployment"}


@pytest.mark.parametrize("left", [-5.0, 0.0, 1.9])
async def test_a_write_whose_right_ends_before_its_answer_may_come_is_not_sent(
    server: ScriptedServer, cluster: KubernetesCluster, left: float
) -> None:
    """An attempt may take two seconds here; the process may have been stopped since it was allowed."""
    with pytest.raises(TooLate, match="not sent"):
        await cluster.send(replace(PATCH, not_after=steady_seconds() + left), dry_run=False)
    assert server.asked == []


async def test_a_write_that_is_in_time_is_sent(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    await cluster.send(replace(PATCH, not_after=steady_seconds() + 60), dry_run=False)
    assert len(server.asked) == 1


async def test_a_write_is_not_tried_again_when_its_right_has_ended_meanwhile(
    server: ScriptedServer, connect_to: Connect
) -> None:
    """429 with Retry-After: it was certainly not handled, and whoever has the claim by then decides."""

    def slow(asked: object) -> Answer:
        cluster._exchange._limit_seconds = 3600  # as if the time had gone by: what is left is less than an attempt
        return Answer(429, {}, {"Retry-After": "0"})

    cluster = await connect_to(server=server.url)
    server.script(slow)
    with pytest.raises(TooLate):
        await cluster.send(replace(PATCH, not_after=steady_seconds() + 60), dry_run=False)
    assert len(server.asked) == 1


async def test_a_write_whose_answer_is_too_large_to_read_may_have_been_done(
    server: ScriptedServer, cluster: KubernetesCluster
) -> None:
    server.answers(Answer(body=b" " * (MAX_BYTES + 1)))

    with pytest.raises(ReplyLost, match="may have been done"):
        await cluster.send(PATCH, dry_run=False)
    assert len(server.asked) == 1
