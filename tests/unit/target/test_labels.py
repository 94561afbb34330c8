"""The rules of what an alert's labels claim, one by one (alertmanager.md 4.3 and 4.4)."""

from __future__ import annotations

import itertools

import pytest

from remediator.reasons import Reason
from remediator.target.labels import Claim, NoTarget, claim, claim_beside_pod
from remediator.target.spec import KIND_OF_LABEL, TargetSpec

FROM_ALERT = TargetSpec(from_alert=True)
NODE_SCOPE = TargetSpec(from_alert=True, node_scope=True)
EXPORTER = {"instance": "10.244.1.7:8080", "job": "kube-state-metrics", "endpoint": "http", "service": "ksm"}


def named(found: Claim | NoTarget) -> str:
    return found.reason.value if isinstance(found, NoTarget) else f"{found.kind} {found.namespace}/{found.name}"


def read(labels: dict[str, str], spec: TargetSpec = FROM_ALERT) -> str:
    return named(claim(labels, spec))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        pytest.param(
            {"namespace": "monitoring", "pod": "ksm-1", "exported_namespace": "shop", "exported_pod": "api-1"},
            "Pod shop/api-1",
            id="exported-replaces-plain",
        ),
        pytest.param(
            {"namespace": "monitoring", "pod": "ksm-1", "exported_namespace": "shop", "deployment": "api"},
            "Deployment shop/api",
            id="workload-label-beside-exported-namespace",
        ),
        pytest.param(
            {"namespace": "monitoring", "pod": "ksm-1", "service": "ksm", "exported_namespace": "shop"},
            "no-target-label",
            id="plain-pod-beside-exported-namespace-is-the-exporters",
        ),
        pytest.param(
            {"namespace": "ingress", "pod": "nginx-1", "exported_namespace": "shop", "exported_service": "web"},
            "Service shop/web",
            id="ingress-nginx",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "caller-1", "exported_service": "payments"},
            "no-target-label",
            id="exported-service-without-its-namespace",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "worker-1", "exported_job": "MailJob", "exported_instance": "x"},
            "Pod shop/worker-1",
            id="exported-job-says-nothing-of-objects",
        ),
        pytest.param(
            {"namespace": "shop", "pod": "api-1", "exported_pod": ""}, "Pod shop/api-1", id="empty-label-is-no-label"
        ),
    ],
)
def test_exported_labels_win_and_unmask_the_plain_ones(labels: dict[str, str], expected: str) -> None:
    assert read(labels) == expected


@pytest.mark.parametrize(
    ("more", "less"), list(itertools.combinations([label for label in KIND_OF_LABEL if label != "node"], 2))
)
def test_more_specific_label_wins(more: str, less: str) -> None:
    assert read({"namespace": "shop", less: "wrong", more: "right"}) == f"{KIND_OF_LABEL[more]} shop/right"


def test_workload_label_beats_the_exporters_pod_container_service_and_node() -> None:
    labels = {"namespace": "shop", "deployment": "web", "pod": "ksm-1", "container": "ksm", "node": "n", **EXPORTER}
    assert read(labels) == "Deployment shop/web"


@pytest.mark.parametrize("label", ["job", "instance", "endpoint", "metrics_path", "container", "uid", "namespace"])
def test_label_that_names_the_scrape_is_never_a_target(label: str) -> None:
    assert read({"namespace": "shop", label: "checkout"}) == "no-target-label"


def test_node_is_read_only_by_declaration() -> None:
    labels = {"node": "node-b", "namespace": "monitoring", "pod": "ksm-1"}
    assert read(labels, NODE_SCOPE) == "Node /node-b"
    assert read(labels) == "Pod monitoring/ksm-1"


def test_node_alone_without_the_declaration_says_what_is_missing() -> None:
    found = claim({"node": "node-b"}, FROM_ALERT)
    assert isinstance(found, NoTarget)
    assert "does not declare node scope" in found.detail


def test_declared_node_scope_never_falls_back_to_a_pod() -> None:
    assert read({"namespace": "monitoring", "pod": "ksm-1"}, NODE_SCOPE) == "no-target-label"


def test_container_and_uid_are_kept_beside_a_pod_only() -> None:
    labels = {"namespace": "shop", "container": "api", "uid": "u1"}
    beside = claim({**labels, "pod": "api-1"}, FROM_ALERT)
    assert isinstance(beside, Claim)
    assert (beside.uid, beside.container) == ("u1", "api")
    alone = claim({**labels, "deployment": "api"}, FROM_ALERT)
    assert isinstance(alone, Claim)
    assert (alone.uid, alone.container) == (None, None)


@pytest.mark.parametrize("label", ["resourcequota", "limitrange", "persistentvolume"])
def test_pod_beside_an_object_that_nothing_acts_on_does_not_count(label: str) -> None:
    assert read({"namespace": "shop", label: "x", "pod": "ksm-1", **EXPORTER}) == "target-unsupported"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"workload": "web", "workload_type": "statefulset"}, "StatefulSet shop/web"),
        ({"workload": "web", "workload_type": "staticpod"}, "no-target-label"),
        ({"workload": "web"}, "no-target-label"),
        ({"workload": "web", "workload_type": "deployment", "pod": "web-1"}, "Pod shop/web-1"),
        ({"workload": "web", "workload_type": "deployment", "service": "front"}, "Deployment shop/web"),
    ],
)
def test_workload_labels_of_the_mixin_stand_between_pod_and_service(labels: dict[str, str], expected: str) -> None:
    assert read({"namespace": "shop", **labels}) == expected


@pytest.mark.parametrize(
    "name",
    ["../api", "api/log", "API", "api?x=1", "-api", "api-", "a..b", "api\n", "a" * 254, "漢", "10.0.0.1:80", "%2e"],
)
def test_name_that_kubernetes_does_not_allow_is_refused(name: str) -> None:
    assert read({"namespace": "shop", "pod": name}) == "no-target-label"
    assert read({"namespace": name, "pod": "api-1"}) == "no-target-label"


def test_bad_name_is_refused_and_not_replaced_by_the_next_label() -> None:
    assert read({"namespace": "shop", "deployment": "A/B", "pod": "api-1"}) == "no-target-label"


@pytest.mark.parametrize(("name", "is_name"), [("a" * 253, True), ("web.v1", True), ("0", True)])
def test_longest_and_dotted_names_are_names(name: str, is_name: bool) -> None:
    assert (read({"namespace": "shop", "pod": name}) == f"Pod shop/{name}") is is_name


def test_namespace_has_no_dots_and_63_characters() -> None:
    assert read({"namespace": "a" * 63, "pod": "p"}) != "no-target-label"
    assert read({"namespace": "a" * 64, "pod": "p"}) == "no-target-label"
    assert read({"namespace": "a.b", "pod": "p"}) == "no-target-label"


def test_missing_namespace_is_not_guessed() -> None:
    found = claim({"deployment": "api"}, FROM_ALERT)
    assert found == NoTarget(Reason.NO_TARGET_LABEL, "no namespace label beside the Deployment (label deployment)")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"remediate_kind": "Deployment", "remediate_name": "x", "pod": "api-1"}, "Deployment shop/x"),
        ({"remediate_kind": "service", "remediate_name": "x"}, "Service shop/x"),
        ({"remediate_kind": "service", "remediate_name": "x", "remediate_namespace": "b"}, "Service b/x"),
        ({"remediate_kind": "deployment", "pod": "api-1"}, "no-target-label"),
        ({"remediate_name": "x", "pod": "api-1"}, "no-target-label"),
        ({"remediate_kind": "secret", "remediate_name": "x"}, "target-unsupported"),
        ({"remediate_kind": "node", "remediate_name": "x"}, "no-target-label"),
    ],
)
def test_opt_in_labels_speak_first_and_only_together(labels: dict[str, str], expected: str) -> None:
    assert read({"namespace": "shop", **labels}) == expected


def test_opt_in_labels_may_name_a_node_where_the_rule_declares_it() -> None:
    assert read({"remediate_kind": "node", "remediate_name": "n"}, NODE_SCOPE) == "Node /n"


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"deployment": "job"}, "Deployment shop/checkout"),
        ({"deployment": "app", "namespace": "ns"}, "Deployment team/web"),
        ({"pod": "nothing", "service": "job"}, "Service shop/checkout"),
        ({"service": "job", "statefulset": "app"}, "StatefulSet shop/web"),
        ({"deployment": "nothing"}, "no-target-label"),
        ({"deployment": "app", "namespace": "nothing"}, "no-target-label"),
        ({"node": "app"}, "Node /web"),
    ],
)
def test_named_labels_are_read_as_the_rule_maps_them(mapping: dict[str, str], expected: str) -> None:
    labels = {"namespace": "shop", "job": "checkout", "app": "web", "ns": "team", "replicaset": "other"}
    assert read(labels, TargetSpec(labels=mapping)) == expected


def test_namespace_beside_named_labels_is_the_exported_one() -> None:
    labels = {"namespace": "monitoring", "exported_namespace": "shop", "app": "web"}
    assert read(labels, TargetSpec(labels={"deployment": "app"})) == "Deployment shop/web"


def test_fixed_object_reads_no_label() -> None:
    spec = TargetSpec(fixed=("Deployment", "shop", "web"))
    assert read({"namespace": "other", "pod": "p", "remediate_kind": "pod", "remediate_name": "q"}, spec) == (
        "Deployment shop/web"
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"service": "front"}, "Service shop/front"),
        ({"service": "ksm", "instance": "10.244.1.7:8080"}, "target-not-found"),
        ({"workload": "api", "workload_type": "deployment", **EXPORTER}, "Deployment shop/api"),
        ({}, "target-not-found"),
    ],
)
def test_beside_a_gone_pod_only_a_label_of_the_workload_counts(labels: dict[str, str], expected: str) -> None:
    labels = {"namespace": "shop", "pod": "api-1", "uid": "u1", **labels}
    assert named(claim_beside_pod(labels, FROM_ALERT)) == expected


def test_beside_a_gone_exported_pod_the_exporters_service_does_not_count() -> None:
    labels = {"namespace": "monitoring", "service": "ksm", "exported_namespace": "shop", "exported_pod": "api-1"}
    assert named(claim_beside_pod(labels, FROM_ALERT)) == "target-not-found"


def test_beside_a_gone_pod_the_next_mapped_label_counts() -> None:
    spec = TargetSpec(labels={"pod": "p", "deployment": "app"})
    assert named(claim_beside_pod({"namespace": "shop", "p": "api-1", "app": "api"}, spec)) == "Deployment shop/api"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"from_alert": True, "fixed": ("Pod", "a", "b")},
        {"labels": {"namespace": "ns"}},
        {"labels": {"secret": "x"}},
        {"fixed": ("Secret", "a", "b")},
        {"fixed": ("Node", "", "b"), "node_scope": True},
    ],
)
def test_spec_of_no_or_two_forms_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"target|kind|scope"):
        TargetSpec(**wrong)  # type: ignore[arg-type]
