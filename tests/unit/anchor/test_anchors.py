"""The places where the newest checkpoint is kept outside: a file, and a ConfigMap."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remediator.anchor.base import AnchorUnavailable
from remediator.anchor.config_map import ConfigMapAnchor
from remediator.anchor.file import FileAnchor
from remediator.kube.base import Conflict, Forbidden, Unreachable
from remediator.model import Json, Request
from tests.fakes import FakeCluster
from tests.unit.anchor.keeping import never

PLACE = "/api/v1/namespaces/ops/configmaps/anchor"


async def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "anchor")
    assert await anchor.read() is None
    await anchor.write(b"one", unless=never)
    await anchor.write(b"two", unless=never)
    assert await anchor.read() == b"two"
    assert sorted(os.listdir(tmp_path)) == [".anchor.lock", "anchor"]


async def test_a_file_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    anchor = FileAnchor(tmp_path / "gone" / "anchor")
    with pytest.raises(AnchorUnavailable, match=r"file .*anchor: No such file"):
        await anchor.write(b"one", unless=never)


async def test_a_config_map_is_made_and_then_changed_at_the_version_that_was_read() -> None:
    cluster = FakeCluster()

    def store(request: Request, dry_run: bool) -> Json:
        cluster.add({**request.body, "metadata": {**request.body["metadata"], "resourceVersion": "7"}})
        return request.body

    cluster.replies["POST", PLACE.rpartition("/")[0]] = store
    anchor = ConfigMapAnchor(cluster, namespace="ops", name="anchor")
    assert await anchor.read() is None
    await anchor.write(b"one", unless=never)
    assert await anchor.read() == b"one"
    await anchor.write(b"two", unless=never)
    request, _ = cluster.sent[-1]
    assert (request.method, request.body["metadata"]) == ("PATCH", {"resourceVersion": "7"})


@pytest.mark.parametrize("error", [Conflict("newer"), Forbidden("no"), Unreachable("away")])
async def test_a_config_map_that_cannot_be_written_says_so(error: Exception) -> None:
    cluster = FakeCluster()
    cluster.replies["POST", PLACE.rpartition("/")[0]] = error
    with pytest.raises(AnchorUnavailable, match="ConfigMap ops/anchor"):
        await ConfigMapAnchor(cluster, namespace="ops", name="anchor").write(b"one", unless=never)


async def test_replicas_that_write_a_config_map_at_once_all_succeed() -> None:
    """One finds the other's version, looks again, and leaves what is further."""
    metadata = {"name": "anchor", "namespace": "ops", "resourceVersion": "1"}
    cluster = FakeCluster({"kind": "ConfigMap", "metadata": metadata})
    answers = [Conflict("someone else"), {}]

    def reply(request: Request, dry_run: bool) -> Json:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    cluster.replies["PATCH", PLACE] = reply
    await ConfigMapAnchor(cluster, namespace="ops", name="anchor").write(b"one", unless=never)
    assert answers == []
