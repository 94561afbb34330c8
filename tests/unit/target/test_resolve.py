"""From a claim to exactly one workload that the API server confirms, or a refusal that names why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediator.kube.base import Forbidden, Unreachable, path_of
from remediator.target.labels import NoTarget
from remediator.target.resolve import Resolved
from remediator.target.spec import TargetSpec
from tests.fakes import FakeCluster
from tests.unit.target.alerts import FROM_ALERT, alert, find, look, refused, resolved
from tests.unit.target.world import (
    PROTECTED,
    lab,
    made,
    owned,
    pod,
    workload,
)


async def test_pod_leads_over_its_replica_set_to_its_deployment() -> None:
    found = await resolved(lab(), pod="checkout-7c9d8b6f5d-ccccc")
    assert found.chain == ("Pod checkout-7c9d8b6f5d-ccccc", "ReplicaSet checkout-7c9d8b6f5d", "Deployment checkout")
    assert found.target.key == "lab/shop/Deployment/checkout"
    assert (found.target.uid, found.via, found.pod) == (
        "uid-deployment-checkout",
        "label pod",
        "checkout-7c9d8b6f5d-ccccc",
    )


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (["ReplicaSet"], "ReplicaSet"),
        (["ReplicaSet", "Deployment"], "Deployment"),
        (["StatefulSet"], "StatefulSet"),
        (["DaemonSet"], "DaemonSet"),
        (["Job"], "Job"),
        (["Job", "CronJob"], "CronJob"),
    ],
)
async def test_walk_ends_at_the_last_controller(kinds: list[str], expected: str) -> None:
    objects = [workload(kinds[-1], f"x-{len(kinds)}")]
    for kind in reversed(kinds[:-1]):
        objects.append(owned(workload(kind, "x-mid"), objects[-1]))
    found = await resolved(FakeCluster(*objects, owned(pod("x-1"), objects[-1])), pod="x-1")
    assert found.target.kind == expected


@pytest.mark.parametrize(
    ("label", "kind"),
    [("deployment", "Deployment"), ("statefulset", "StatefulSet"), ("daemonset", "DaemonSet"), ("cronjob", "CronJob")],
)
async def test_workload_label_is_the_target_itself(label: str, kind: str) -> None:
    found = await resolved(FakeCluster(workload(kind, "web")), **{label: "web"})
    assert (found.target.kind, found.chain, found.pod) == (kind, (f"{kind} web",), None)


async def test_replica_set_and_job_labels_lead_to_their_owners() -> None:
    assert (await resolved(lab(), replicaset="api-6d5f7c9b8")).target.name == "api"
    cron = workload("CronJob", "nightly")
    job = owned(workload("Job", "nightly-1"), cron)
    assert (await resolved(FakeCluster(cron, job), job_name="nightly-1")).target.kind == "CronJob"


@pytest.mark.parametrize("middle", [True, False], ids=["replica-set-of-a-rollout", "pod-of-a-rollout"])
async def test_foreign_owner_is_unsupported_and_named(middle: bool) -> None:
    rollout = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "web", "uid": "u"}}
    first = owned(workload("ReplicaSet", "web-1"), rollout) if middle else rollout
    cluster = FakeCluster(owned(pod("web-1-x"), first), *([first] if middle else []))
    reason, detail = await refused(cluster, pod="web-1-x")
    assert reason == "target-unsupported"
    assert "Rollout web (argoproj.io/v1alpha1)" in detail


async def test_kind_of_the_same_name_in_another_group_is_foreign() -> None:
    """OpenKruise has a StatefulSet of its own; the built-in one of that name must not be touched for it."""
    kruise = {**workload("StatefulSet", "db"), "apiVersion": "apps.kruise.io/v1beta1"}
    cluster = FakeCluster(workload("StatefulSet", "db"), owned(pod("db-0"), kruise))
    assert (await refused(cluster, pod="db-0"))[0] == "target-unsupported"


@pytest.mark.parametrize("owner", [None, "Node"], ids=["bare", "static"])
async def test_pod_that_no_workload_replaces_is_unsupported(owner: str | None) -> None:
    one = pod("etcd") if owner is None else owned(pod("etcd"), made(owner, "node-b"))
    assert (await refused(FakeCluster(one), pod="etcd"))[0] == "target-unsupported"


async def test_owner_that_does_not_control_is_not_followed() -> None:
    one = owned(pod("x"), workload("Deployment", "other"))
    one["metadata"]["ownerReferences"][0]["controller"] = False
    assert (await refused(FakeCluster(one), pod="x"))[0] == "target-unsupported"


@pytest.mark.parametrize(
    ("kind", "name"),
    [("ReplicaSet", "checkout-7c9d8b6f5d"), ("Deployment", "checkout")],
    ids=["first-hop", "second-hop"],
)
async def test_owner_recreated_under_its_name_is_another_object(kind: str, name: str) -> None:
    cluster = lab()
    cluster.peek(kind, "shop", name)["metadata"]["uid"] = "new"
    assert (await refused(cluster, pod="checkout-7c9d8b6f5d-ccccc"))[0] == "target-changed"


async def test_owner_that_is_gone_is_not_found() -> None:
    cluster = lab()
    cluster.remove("Deployment", "shop", "checkout")
    reason, detail = await refused(cluster, pod="checkout-7c9d8b6f5d-ccccc")
    assert (reason, detail) == ("target-not-found", "the owner Deployment checkout is gone")


async def test_uid_label_must_be_the_pods() -> None:
    right = lab().peek("Pod", "shop", "api-6d5f7c9b8-aaaaa")["metadata"]["uid"]
    assert (await resolved(lab(), pod="api-6d5f7c9b8-aaaaa", uid=right)).target.name == "api"
    assert (await refused(lab(), pod="api-6d5f7c9b8-aaaaa", uid="other"))[0] == "target-changed"


@pytest.mark.parametrize(("container", "expected"), [("api", "api"), ("kube-rbac-proxy-main", None)])
async def test_container_is_kept_only_if_the_pod_has_it(container: str, expected: str | None) -> None:
    assert (await resolved(lab(), pod="api-6d5f7c9b8-aaaaa", container=container)).container == expected


async def test_gone_pod_is_not_found_and_look_alike_names_are_not_tried() -> None:
    cluster = lab()
    reason, _ = await refused(cluster, pod="web-abc")
    assert (reason, cluster.calls) == ("target-not-found", ["GET /api/v1/namespaces/shop/pods/web-abc"])


async def test_gone_pod_leaves_the_word_to_another_label_of_its_workload() -> None:
    found = await resolved(lab(), pod="checkout-gone", service="checkout")
    assert (found.target.name, found.via, found.pod) == ("checkout", "label service", None)


async def test_gone_pod_with_an_exporters_service_is_not_found() -> None:
    """Beside `instance` the service may be the exporter's: the labels of the chart, with both in one namespace."""
    labels = {"pod": "checkout-gone", "service": "checkout", "instance": "10.244.1.7:8080"}
    assert (await refused(lab(), **labels))[0] == "target-not-found"


@pytest.mark.parametrize("namespace", sorted(PROTECTED))
async def test_protected_namespace_is_refused_before_anything_is_read(namespace: str) -> None:
    cluster = lab()
    assert (await refused(cluster, namespace=namespace, deployment="api"))[0] == "target-protected"
    assert cluster.calls == []


@pytest.mark.parametrize(
    "spec",
    [
        TargetSpec(fixed=("Deployment", "monitoring", "grafana")),
        TargetSpec(labels={"deployment": "app", "namespace": "where"}),
    ],
    ids=["fixed", "mapped"],
)
async def test_no_form_of_a_rule_reaches_a_protected_namespace(spec: TargetSpec) -> None:
    found = await find(lab(), spec, app="grafana", where="monitoring")
    assert isinstance(found, NoTarget)
    assert found.reason.value == "target-protected"


@pytest.mark.parametrize(
    "labels", [{"pod": "kube-state-metrics-5b9d8c7f6-x2x9z"}, {"deployment": "kube-state-metrics"}]
)
async def test_exporter_in_a_namespace_of_ours_is_still_protected(labels: dict[str, str]) -> None:
    assert (await refused(lab(), namespace="tools", **labels))[0] == "target-protected"


@pytest.mark.parametrize("place", ["pod", "workload", "template"])
@pytest.mark.parametrize("key", ["app.kubernetes.io/name", "k8s-app", "app"])
async def test_exporter_is_known_by_any_usual_label_of_its_pod_or_its_workload(place: str, key: str) -> None:
    named = {key: "kube-state-metrics"}
    web = workload("StatefulSet", "web")
    one = owned(pod("web-0"), web)
    match place:
        case "pod":
            one["metadata"]["labels"] = named
        case "workload":
            web["metadata"]["labels"] = named
        case _:
            web["spec"]["template"]["metadata"]["labels"] = named
    assert (await refused(FakeCluster(web, one), pod="web-0"))[0] == "target-protected"


async def test_service_of_the_exporter_is_protected_by_the_label_of_its_pods() -> None:
    reason, detail = await refused(lab(), namespace="tools", service="kube-state-metrics")
    assert (reason, "leads to a pod" in detail) == ("target-protected", True)


@pytest.mark.parametrize("priority", ["system-cluster-critical", "system-node-critical"])
async def test_system_critical_priority_is_protected(priority: str) -> None:
    cluster = FakeCluster(workload("DaemonSet", "cni", priorityClassName=priority))
    assert (await refused(cluster, daemonset="cni"))[0] == "target-protected"


async def test_node_has_no_namespace() -> None:
    found = await find(lab(), TargetSpec(from_alert=True, node_scope=True), node="node-b", namespace="monitoring")
    assert isinstance(found, Resolved)
    assert (found.target.kind, found.target.namespace, found.target.name) == ("Node", "", "node-b")


@pytest.mark.parametrize(
    "path",
    [
        path_of("Pod", namespace="shop", name="checkout-7c9d8b6f5d-ccccc"),
        path_of("ReplicaSet", namespace="shop", name="checkout-7c9d8b6f5d"),
        path_of("Deployment", namespace="shop", name="checkout"),
    ],
)
async def test_what_we_may_not_read_is_unreadable(path: str) -> None:
    cluster = lab()
    cluster.errors[path] = Forbidden(f"cannot get {path}")
    assert (await refused(cluster, pod="checkout-7c9d8b6f5d-ccccc"))[0] == "target-unreadable"


@pytest.mark.parametrize("kind", ["EndpointSlice", "Pod"])
async def test_list_that_we_may_not_read_is_unreadable(kind: str) -> None:
    cluster = lab()
    cluster.errors[path_of(kind, namespace="shop")] = Forbidden("cannot list")
    assert (await refused(cluster, service="checkout"))[0] == "target-unreadable"


async def test_unreachable_api_server_is_left_to_the_worker() -> None:
    cluster = lab()
    cluster.errors[path_of("Deployment", namespace="shop", name="checkout")] = Unreachable("timeout")
    with pytest.raises(Unreachable):
        await find(cluster, deployment="checkout")


async def test_pod_of_a_deployment_takes_three_calls() -> None:
    cluster = lab()
    await resolved(cluster, pod="checkout-7c9d8b6f5d-ccccc")
    assert len(cluster.calls) == 3


async def test_only_what_the_labels_say_matters_and_not_whether_the_alert_fires() -> None:
    one = alert(namespace="shop", deployment="checkout")
    later = replace(one, fingerprint="1" * 16, annotations={"description": "pod api-1 in namespace monitoring"})
    found = [await look(each, FROM_ALERT, lab()) for each in (one, later)]
    assert found[0] == found[1]
