"""Reads: what goes out, what is repeated, and that a broken answer is never taken for a whole one."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from remediator.errors import PermanentError
from remediator.kube.base import Conflict, Forbidden, Invalid, NotFound, Unreachable
from remediator.kube.client import KubernetesCluster
from remediator.kube.session import MAX_BYTES
from tests.unit.kube.conftest import Connect
from tests.unit.scripted_server import CUT, DROP, HANG, PAIR, Answer, JumpingClock, ScriptedServer, pages, status

PODS = "/api/v1/namespaces/shop/pods"
POD = PODS + "/web-1"
TOO_MANY = Answer(429, {"message": "wait"}, {"Retry-After": "7"})


async def test_returns_the_object_as_raw_json(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """Also the fields that a generated model would not know."""
    server.answers(Answer(body={"kind": "Pod", "spec": {"fieldOfTheFuture": [1]}}))

    assert await cluster.get(POD) == {"kind": "Pod", "spec": {"fieldOfTheFuture": [1]}}


async def test_reads_from_the_quorum_as_json(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """No resourceVersion, so that the answer is the newest."""
    await cluster.get(POD)

    [asked] = server.asked
    assert (asked.method, asked.path, asked.query, asked.headers["Accept"]) == ("GET", POD, {}, "application/json")


@pytest.mark.parametrize(
    ("code", "error"), [(403, Forbidden), (404, NotFound), (409, Conflict), (422, Conflict), (400, Invalid)]
)
async def test_an_error_status_is_an_error(
    server: ScriptedServer, cluster: KubernetesCluster, code: int, error: type[Exception]
) -> None:
    """The library hands every status back as if it had succeeded."""
    server.answers(status(code))

    with pytest.raises(error, match=f"GET {POD}: {code}: no"):
        await cluster.get(POD)
    assert len(server.asked) == 1


@pytest.mark.parametrize("broken", [status(500), status(502), status(503), status(504), DROP, CUT, TOO_MANY])
async def test_a_read_is_repeated_after(server: ScriptedServer, cluster: KubernetesCluster, broken: Answer) -> None:
    """What may be over a moment later."""
    server.answers(broken, Answer(body={"kind": "Pod"}))

    assert await cluster.get(POD) == {"kind": "Pod"}


async def test_a_read_is_tried_five_times_with_growing_random_pauses(
    server: ScriptedServer, cluster: KubernetesCluster, clock: JumpingClock
) -> None:
    """Each pause is drawn from a span that doubles, and has an upper limit."""
    server.answers(status(503))

    with pytest.raises(Unreachable, match="503"):
        await cluster.get(POD)
    assert len(server.asked) == 5
    assert all(0 <= pause <= 5 for pause in clock.pauses)
    assert len(set(clock.pauses)) == 4


async def test_waits_as_long_as_the_server_asks(
    server: ScriptedServer, cluster: KubernetesCluster, clock: JumpingClock
) -> None:
    """And a little more, so that the clients that were turned away do not come back together."""
    server.answers(TOO_MANY, Answer())
    await cluster.get(POD)

    [pause] = clock.pauses
    assert 7 <= pause <= 8


async def test_gives_up_instead_of_waiting_longer_than_any_api_server_asks(
    server: ScriptedServer, cluster: KubernetesCluster, clock: JumpingClock
) -> None:
    """The caller learns for how long."""
    server.answers(Answer(429, {}, {"Retry-After": "33"}))

    with pytest.raises(Unreachable) as caught:
        await cluster.get(POD)
    assert (caught.value.retry_after_seconds, clock.pauses) == (33.0, [])


async def test_all_tries_and_pauses_end_within_the_total_time(
    server: ScriptedServer, cluster: KubernetesCluster, clock: JumpingClock
) -> None:
    """30 s fit into 45 s once, not twice."""
    server.answers(Answer(429, {}, {"Retry-After": "30"}))

    with pytest.raises(Unreachable):
        await cluster.get(POD)
    assert len(clock.pauses) == 1


async def test_a_hung_server_costs_the_time_limit_and_the_text_names_it(
    server: ScriptedServer, connect_to: Connect
) -> None:
    """The library would wait for ever."""
    cluster = await connect_to(server=server.url, request_timeout_seconds=0.05)
    server.answers(HANG)

    with pytest.raises(Unreachable, match=f"GET {POD}: no answer within 0.05 s"):
        await cluster.get(POD)
    assert len(server.asked) == 5


async def test_nobody_listening_is_unreachable(connect_to: Connect, server: ScriptedServer) -> None:
    """The text says that nothing was sent."""
    cluster = await connect_to(server=server.url)
    await server.stop()

    with pytest.raises(Unreachable, match="not sent"):
        await cluster.get(POD)


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"[]", b"\xff", b""])
async def test_an_answer_that_is_no_object_is_unreachable(
    server: ScriptedServer, cluster: KubernetesCluster, body: bytes
) -> None:
    """A sign-in page with status 200 is not an object without fields."""
    server.answers(Answer(body=body))

    with pytest.raises(Unreachable, match="not"):
        await cluster.get(POD)


async def test_a_redirect_is_not_followed(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """The API server never sends one; whoever did would get the token."""
    server.answers(Answer(302, b"", {"Location": "/elsewhere"}), Answer())

    with pytest.raises(PermanentError, match="is this address an API server"):
        await cluster.get(POD)


async def test_a_list_is_read_over_all_pages(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """100 at a time, each page with the selectors of the first."""
    server.answers(*pages([1, 2], [3], []))

    found = await cluster.list(PODS, label_selector="app in (web,api),!old", field_selector="spec.nodeName=n1")

    same = {"limit": "100", "labelSelector": "app in (web,api),!old", "fieldSelector": "spec.nodeName=n1"}
    assert list(found) == [1, 2, 3]
    assert [asked.query for asked in server.asked] == [
        same,
        {**same, "continue": "page-2"},
        {**same, "continue": "page-3"},
    ]


async def test_an_empty_list_may_be_null(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """As Go prints a nil slice."""
    server.answers(Answer(body={"kind": "PodList", "metadata": {}, "items": None}))

    assert list(await cluster.list(PODS)) == []


async def test_an_object_is_not_an_empty_list(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """`items` missing altogether is a wrong address or a broken answer."""
    server.answers(Answer(body={"kind": "Pod", "metadata": {}}))

    with pytest.raises(Unreachable, match="not a list"):
        await cluster.list(PODS)


async def test_a_limit_ends_the_list(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """Even when the server sends more than it was asked for."""
    server.answers(*pages([1, 2, 3], [4]))

    assert list(await cluster.list(PODS, limit=2)) == [1, 2]
    assert [asked.query["limit"] for asked in server.asked] == ["2"]


@pytest.mark.parametrize("broken", [status(503), CUT, DROP, status(404)])
async def test_a_list_that_breaks_off_is_an_error(
    server: ScriptedServer, cluster: KubernetesCluster, broken: Answer
) -> None:
    """Never the pages so far: "no other pod fails" must not come from a lost page."""
    server.answers(next(pages([1, 2], [3])), broken)

    with pytest.raises((Unreachable, NotFound)):
        await cluster.list(PODS)


async def test_an_expired_list_starts_again_from_its_beginning(
    server: ScriptedServer, cluster: KubernetesCluster
) -> None:
    """Items of the two attempts do not mix."""
    server.answers(next(pages([1, 2], [3])), status(410, "Expired"), *pages([7], [8]))

    assert list(await cluster.list(PODS)) == [7, 8]
    assert "continue" not in server.asked[2].query


async def test_a_list_that_expires_twice_is_unreachable(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    server.answers(next(pages([1], [2])), status(410), next(pages([1], [2])), status(410))

    with pytest.raises(Unreachable, match="expired twice"):
        await cluster.list(PODS)


async def test_a_list_without_end_is_unreachable(
    server: ScriptedServer, cluster: KubernetesCluster, clock: JumpingClock
) -> None:
    """All pages together have the total time; a server that always has one more would hold us for ever."""

    def one_more(_: object) -> Answer:
        clock.at = clock.at.replace(second=len(server.asked))
        return Answer(body={"metadata": {"continue": "again"}, "items": [1]})

    server.script(one_more)

    with pytest.raises(Unreachable, match="not complete within 45 s"):
        await cluster.list(PODS)


async def test_metadata_only_is_asked_for_by_accept(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """Without plain JSON as a second choice, so that no `data` is ever sent."""
    server.answers(*pages([{"metadata": {"name": "a"}}], kind="PartialObjectMetadataList"))
    await cluster.list(PODS, metadata_only=True)

    [asked] = server.asked
    assert asked.headers["Accept"] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


async def test_whole_objects_are_refused_where_metadata_was_asked(
    server: ScriptedServer, cluster: KubernetesCluster
) -> None:
    """A server that ignores `Accept` would hand out the values of a ConfigMap."""
    server.answers(*pages([{"data": {"a": "b"}}], kind="ConfigMapList"))

    with pytest.raises(PermanentError, match="asked for metadata, got ConfigMapList"):
        await cluster.list(PODS, metadata_only=True)


@pytest.mark.parametrize(
    ("answer", "expected"), [(Answer(body=b"ok"), True), (Answer(500, b"etcd"), False), (DROP, False)]
)
async def test_is_ready_asks_once(
    server: ScriptedServer, cluster: KubernetesCluster, answer: Answer, expected: bool
) -> None:
    server.answers(answer)

    assert await cluster.is_ready() is expected
    assert [asked.path for asked in server.asked] == ["/readyz"]


async def test_no_more_than_so_many_at_once(server: ScriptedServer, connect_to: Connect) -> None:
    """The others wait for their turn."""
    cluster = await connect_to(server=server.url, max_concurrent=2)
    server.answers(PAIR)
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(cluster.get(POD))

    assert (len(server.asked), server.max_at_once) == (8, 2)


async def test_a_call_that_gets_no_turn_gives_up(server: ScriptedServer, connect_to: Connect) -> None:
    """Its own time limit holds, whatever the others do."""
    limits = {"max_concurrent": 1, "request_timeout_seconds": 0.05, "total_timeout_seconds": 0}
    cluster = await connect_to(server=server.url, **limits)
    server.answers(HANG)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(_error_of(cluster)) for _ in range(3)]

    assert any("not sent: no free slot within 0.05 s" in call.result() for call in calls)


async def _error_of(cluster: KubernetesCluster) -> str:
    try:
        await cluster.get(POD)
    except Unreachable as error:
        return str(error)
    return ""


async def test_debug_logging_prints_no_bodies(
    server: ScriptedServer, cluster: KubernetesCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """The library prints each whole body at DEBUG, Secrets included."""
    caplog.set_level(logging.DEBUG)
    server.answers(Answer(body={"data": {"password": "aHVudGVyMg=="}}))
    await cluster.get(POD)

    assert "aHVudGVyMg==" not in caplog.text
    assert logging.getLogger("kubernetes_asyncio.client.rest").getEffectiveLevel() == logging.WARNING


async def asked_by_proxy(connect_to: Connect, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    cluster = await connect_to(server="http://api.invalid:8080")
    await cluster.get(POD)


async def test_the_environment_s_proxy_is_used(
    server: ScriptedServer, connect_to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked_by_proxy(connect_to, monkeypatch, server.url)

    assert server.asked[0].headers["Host"] == "api.invalid:8080"


async def test_the_environment_s_proxy_gets_its_own_password(
    server: ScriptedServer, connect_to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked_by_proxy(connect_to, monkeypatch, server.url.replace("://", "://me:hunter2@"))

    assert server.asked[0].headers["Proxy-Authorization"] == "Basic bWU6aHVudGVyMg=="


async def test_what_is_in_no_proxy_is_asked_directly(
    server: ScriptedServer, connect_to: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    cluster = await connect_to(server=server.url)
    await cluster.get(POD)

    assert len(server.asked) == 1


async def test_the_password_of_a_netrc_is_not_sent(
    server: ScriptedServer, cluster: KubernetesCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """aiohttp looks hosts up in ~/.netrc where it is left to find the proxies itself."""
    (tmp_path / "netrc").write_text("default login me password hunter2\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    await cluster.get(POD)

    assert "Authorization" not in server.asked[0].headers


async def test_more_than_an_api_server_answers_is_not_read_and_not_asked_for_again(
    server: ScriptedServer, cluster: KubernetesCluster
) -> None:
    server.answers(Answer(body=b" " * (MAX_BYTES + 1)))

    with pytest.raises(PermanentError, match=r"GET /x: the answer has more than 16 MiB"):
        await cluster.get("/x")
    assert len(server.asked) == 1
