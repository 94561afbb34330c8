"""What kubectl wrote becomes the state of a cluster; what it has nothing of is unknown, and never "none"."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.clock import parse_rfc3339
from remediator.errors import ConfigError
from remediator.kube.base import Forbidden, NotFound, path_of
from remediator.model import Request
from remediator.simulate.dump import Dump, read_dump
from remediator.simulate.dumped import DumpedCluster
from tests.clocks import FakeClock

POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u-1",
        "creationTimestamp": "2026-11-23T07:00:00Z",
        "annotations": {"at": "2026-11-23T09:00:00Z"},
    },
    "spec": {"containers": [{"name": "app", "image": "web:1"}]},
    "status": {"phase": "Running", "startTime": "2026-11-23T07:01:00Z"},
}
SCALED = {
    "apiVersion": "keda.sh/v1alpha1",
    "kind": "ScaledObject",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": {"scaleTargetRef": {"name": "web"}},
}
FORMS = {
    "one object": lambda: yaml.safe_dump(POD),
    "a List": lambda: yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [POD]}),
    "documents": lambda: yaml.safe_dump_all([POD, None, SCALED]),
    "JSON": lambda: json.dumps({"apiVersion": "v1", "kind": "List", "items": [POD]}),
    "a typed list": lambda: json.dumps(
        {"apiVersion": "v1", "kind": "PodList", "items": [{k: POD[k] for k in ("metadata", "spec", "status")}]}
    ),
}


def dump_of(folder: Path, *objects: dict[str, Any], is_complete: bool = False) -> Dump:
    file = folder / "dump.yaml"
    file.write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    return read_dump([file], is_complete=is_complete)


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_kubectl_is_read(form: str, tmp_path: Path) -> None:
    file = tmp_path / "dump"
    file.write_text(FORMS[form](), encoding="utf-8")
    cluster = DumpedCluster(read_dump([file], is_complete=False), FakeClock(), name="dump")
    found = await cluster.get(path_of("Pod", namespace="shop", name="web-1"))
    assert found["metadata"]["uid"] == "u-1"
    assert found["metadata"]["creationTimestamp"] == "2026-11-23T07:00:00Z"
    assert found["status"] == POD["status"]


def test_times_stay_text_and_the_newest_is_known(tmp_path: Path) -> None:
    """Unquoted ones too, which YAML 1.1 takes for dates; what people wrote into annotations does not count."""
    file = tmp_path / "dump.yaml"
    file.write_text(yaml.safe_dump(POD).replace("'2026-11-23T07:01:00Z'", "2026-11-23T07:01:00Z"), encoding="utf-8")
    dump = read_dump([file], is_complete=False)
    assert dump.objects[0]["status"]["startTime"] == "2026-11-23T07:01:00Z"
    assert dump.newest_at == parse_rfc3339("2026-11-23T07:01:00Z")


def test_what_nothing_asks_about_is_counted_and_secrets_are_not_read(tmp_path: Path) -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "shop"}, "data": {"a": "b"}}
    other = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "a"}}
    old = {"apiVersion": "autoscaling/v1", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "h"}}
    dump = dump_of(tmp_path, POD, secret, other, old)
    assert dump.unused == {
        "Application (argoproj.io/v1alpha1)": 1,
        "HorizontalPodAutoscaler (autoscaling/v1)": 1,
        "Secret (v1)": 1,
    }
    assert [item["kind"] for item in dump.objects] == ["Pod"]


async def test_what_the_dump_has_nothing_of_is_unknown(tmp_path: Path) -> None:
    cluster = DumpedCluster(dump_of(tmp_path, POD), FakeClock(), name="dump")
    for path in (
        path_of("ConfigMap", namespace="shop"),
        path_of("Pod", namespace="pay"),
        path_of("Node", namespace=None),
        "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects",
    ):
        with pytest.raises(Forbidden, match="not known"):
            await cluster.list(path)
    with pytest.raises(Forbidden, match="a dump has no logs"):
        await cluster.logs(namespace="shop", pod="web-1", container="app", previous=True, tail_lines=1, limit_bytes=1)
    assert cluster.missing == ("configmaps", "namespace pay", "nodes", "scaledobjects", "logs")
    with pytest.raises(NotFound):
        await cluster.get(path_of("Pod", namespace="shop", name="web-2"))


async def test_what_is_said_to_be_all_has_nothing_else(tmp_path: Path) -> None:
    cluster = DumpedCluster(dump_of(tmp_path, POD, is_complete=True), FakeClock(), name="dump")
    assert list(await cluster.list(path_of("ConfigMap", namespace="shop"))) == []
    assert list(await cluster.list("/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects")) == []
    with pytest.raises(NotFound):
        await cluster.get(path_of("Namespace", namespace=None, name="default"))


async def test_kinds_of_add_ons_are_listed_by_namespace(tmp_path: Path) -> None:
    other = {**SCALED, "metadata": {"name": "b", "namespace": "pay"}}
    cluster = DumpedCluster(dump_of(tmp_path, SCALED, other), FakeClock(), name="dump")
    assert list(await cluster.list("/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects")) == [SCALED]
    assert len(await cluster.list("/apis/keda.sh/v1alpha1/scaledobjects")) == 2


async def test_no_time_passes_in_a_dump(tmp_path: Path) -> None:
    """A ReplicaSet without its pods stays so: nobody makes what was not there."""
    alone = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": "web", "namespace": "shop", "uid": "r"},
        "spec": {"replicas": 3, "selector": {"matchLabels": {"app": "web"}}, "template": {"spec": {}}},
    }
    cluster = DumpedCluster(dump_of(tmp_path, alone, POD), FakeClock(), name="dump")
    label = Request("PATCH", path_of("Pod", namespace="shop", name="web-1"), "application/merge-patch+json", {})
    await cluster.send(label, dry_run=False)
    assert len(await cluster.list(path_of("Pod", namespace="shop"))) == 1


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("[1, 2]", "expected Kubernetes objects"), ("a: [", "neither YAML nor JSON"), ("{", "neither YAML nor JSON")],
)
def test_what_is_no_dump_is_said_with_its_file(text: str, complaint: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=complaint) as error:
        read_dump([file], is_complete=False)
    assert str(error.value).startswith(f"{file}: ")


def test_an_object_without_a_name_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected objects with apiVersion, kind and metadata\.name"):
        dump_of(tmp_path, {"kind": "Pod"})


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_dump([tmp_path / "none.yaml"], is_complete=False)
