"""Container logs: bytes as they are, and the newest lines survive a byte limit."""

from __future__ import annotations

import pytest

from remediator.kube.base import Logs, NotFound
from remediator.kube.client import KubernetesCluster
from tests.unit.scripted_server import Answer, Asked, ScriptedServer, status


async def _logs(cluster: KubernetesCluster, *, tail_lines: int = 200, limit_bytes: int = 1000) -> Logs:
    return await cluster.logs(
        namespace="shop", pod="web-1", container="app", previous=True, tail_lines=tail_lines, limit_bytes=limit_bytes
    )


def _kubelet(lines: list[bytes]) -> object:
    """A log as the kubelet serves it: seek to the start of the tail, then stop after the limit."""

    def serve(asked: Asked) -> Answer:
        tail = b"".join(lines[-int(asked.query["tailLines"]) :])
        return Answer(body=tail[: int(asked.query["limitBytes"])])

    return serve


async def test_asks_for_the_tail_of_the_previous_container(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    await _logs(cluster)

    [asked] = server.asked
    assert asked.path == "/api/v1/namespaces/shop/pods/web-1/log"
    assert asked.query == {"container": "app", "previous": "true", "tailLines": "200", "limitBytes": "1000"}


async def test_a_log_of_json_stays_text(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """The library turns it into the repr of a dict."""
    server.answers(Answer(body=b'{"level": "error", "n": 1.0}\n', headers={"Content-Type": "application/json"}))

    assert await _logs(cluster) == Logs('{"level": "error", "n": 1.0}\n', complete_tail=True)


async def test_bytes_that_are_no_text_are_replaced(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """The library raises UnicodeDecodeError."""
    server.answers(Answer(body=b"panic: \xff\xfe\n"))

    assert (await _logs(cluster)).text == "panic: ��\n"


async def test_the_newest_line_survives_the_byte_limit(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """The limit cuts the end off, where the crash message is: fewer lines are asked for until all fit."""
    lines = [b"x" * 99 + b"\n"] * 50 + [b"panic: out of beans\n"]
    server.script(_kubelet(lines))  # type: ignore[arg-type]

    found = await _logs(cluster)

    assert found.text.endswith("panic: out of beans\n")
    assert found.complete_tail
    assert [asked.query["tailLines"] for asked in server.asked] == ["200", "100", "50", "25", "12", "6"]


async def test_one_line_longer_than_the_limit_is_said_to_be_cut(
    server: ScriptedServer, cluster: KubernetesCluster
) -> None:
    server.script(_kubelet([b"x" * 5000]))  # type: ignore[arg-type]

    assert await _logs(cluster, tail_lines=2) == Logs("x" * 1000, complete_tail=False)


async def test_more_than_asked_is_cut(server: ScriptedServer, cluster: KubernetesCluster) -> None:
    """A server that does not know the limit cannot fill our memory's share."""
    server.answers(Answer(body=b"y" * 3000))

    assert len((await _logs(cluster, tail_lines=1)).text) == 1000


@pytest.mark.parametrize(
    "message",
    [
        'previous terminated container "app" in pod "web-1" not found',
        'container "app" in pod "web-1" is waiting to start: trying and failing to pull image',
    ],
)
async def test_no_log_yet_is_not_found_in_the_server_s_words(
    server: ScriptedServer, cluster: KubernetesCluster, message: str
) -> None:
    """The API answers 400; to a diagnosis it is a fact like any other."""
    server.answers(status(400, "BadRequest", message))

    with pytest.raises(NotFound, match=r"400 BadRequest: .*app"):
        await _logs(cluster)
    assert len(server.asked) == 1
