"""The shipped manifests on a real API server: they apply, they permit what the service does, and nothing more."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.anchor.base import AnchorUnavailable
from remediator.anchor.config_map import ConfigMapAnchor
from remediator.kube.client import connect
from remediator.sinks.kubernetes_event import KubernetesEventSink
from remediator.store.base import CommittedRecord
from remediator.target.labels import NoTarget
from tests.cluster import audit
from tests.cluster.controlplane import ControlPlane, RequestFailed
from tests.cluster.credentials import ACTIVE, SILENT
from tests.cluster.every_kind import deployment, populate, read_everything
from tests.cluster.waiting import wait_for, wait_for_async

KUSTOMIZE = Path(__file__).parents[2] / "deploy" / "kustomize"
REFUSAL = "remediator is in silent mode and may only write with dryRun=All"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
ANNOTATE = {"metadata": {"annotations": {"remediator.io/last-action": "a-test"}}}

# What the claim waits for without a provisioner: without a volume the pod is never scheduled.
VOLUME = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "metadata": {"name": "remediator-test"},
    "spec": {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOncePod"],
        "hostPath": {"path": "/var/lib/remediator-test"},
        "persistentVolumeReclaimPolicy": "Retain",
    },
}

Right = tuple[str, str, str]
"""(API group, resource or resource/subresource, verb)"""


def rendered(control_plane: ControlPlane, folder: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(control_plane.kubectl("kustomize", str(folder)).stdout))


def rights_of(role: dict[str, Any]) -> set[Right]:
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule.get("apiGroups", [])
        for resource in rule.get("resources", [])
        for verb in rule["verbs"]
    }


def right_used(event: audit.Event) -> Right:
    about = event["objectRef"]
    parts = [about["resource"], *([about["subresource"]] if "subresource" in about else [])]
    return about.get("apiGroup", ""), "/".join(parts), event["verb"]


def may(control_plane: ControlPlane, user: str, verb: str, resource: str, namespace: str = "") -> bool:
    """Whether the API server permits it; `resource` as RESOURCE[.GROUP][/SUBRESOURCE], no namespace means all."""
    whole, _, subresource = resource.partition("/")
    plural, _, group = whole.partition(".")
    asked = {"verb": verb, "group": group, "resource": plural, "subresource": subresource, "namespace": namespace}
    review = {"spec": {"resourceAttributes": asked}}
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    return bool(control_plane.request("POST", path, review, user=user)["status"]["allowed"])


@pytest.fixture(scope="module")
def no_other_rights(control_plane: ControlPlane) -> Iterator[None]:
    """Sets aside what other tests of this run bound to our accounts, so that only the manifests count here."""
    path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    ours = {user.rpartition(":")[2] for user in (SILENT, ACTIVE)}
    bindings = [
        binding
        for binding in control_plane.get(path)["items"]
        if ours & {subject["name"] for subject in binding.get("subjects", [])}
    ]
    for binding in bindings:
        control_plane.request("DELETE", f"{path}/{binding['metadata']['name']}")
    yield
    for binding in bindings:
        control_plane.request("POST", path, {**binding, "metadata": {"name": binding["metadata"]["name"]}})


@pytest.fixture(scope="module")
def silent(control_plane: ControlPlane, no_other_rights: None) -> Iterator[ControlPlane]:
    """The control plane with the silent overlay applied, as a user does it."""
    control_plane.apply(VOLUME)
    control_plane.kubectl("apply", "-k", str(KUSTOMIZE / "silent"))
    yield control_plane
    control_plane.kubectl("delete", "-k", str(KUSTOMIZE / "silent"), "--timeout=50s")
    control_plane.kubectl("delete", "persistentvolume", "remediator-test", "--wait=false")


@pytest.fixture
def fenced(silent: ControlPlane, tmp_path: Path) -> Iterator[ControlPlane]:
    """The silent overlay with the component `dry-run`, its policy in effect."""
    with fence(silent, tmp_path):
        yield silent


@contextmanager
def fence(silent: ControlPlane, folder: Path) -> Iterator[None]:
    """The component `dry-run` on the silent overlay, as long as it is entered; its kustomization is in `folder`."""
    overlay = {
        "resources": [os.path.relpath(KUSTOMIZE / "silent", folder)],
        "components": [os.path.relpath(KUSTOMIZE / "components" / "dry-run", folder)],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    path = "/apis/apps/v1/namespaces/remediator/deployments/remediator"

    def is_refused() -> bool:
        # An empty patch: until the policy takes effect it is let through, and changes nothing.
        try:
            silent.request("PATCH", path, {}, user=SILENT, content_type=STRATEGIC_MERGE)
        except RequestFailed as refused:
            return REFUSAL in str(refused)
        return False

    try:
        silent.kubectl("apply", "-k", str(folder))
        wait_for(is_refused, timeout_seconds=30, what="the admission policy to take effect")
        yield
    finally:
        for file in ("role.yaml", "policy.yaml"):
            manifest = str(KUSTOMIZE / "components" / "dry-run" / file)
            silent.kubectl("delete", "--ignore-not-found", "-f", manifest)


@pytest.mark.parametrize("overlay", ["silent", "active", "replicas"])
@pytest.mark.usefixtures("silent")
def test_overlay_is_accepted_by_the_api_server(control_plane: ControlPlane, overlay: str) -> None:
    """Every object passes validation and admission, and none draws a warning (Pod Security warns here)."""
    control_plane.kubectl("apply", "-k", str(KUSTOMIZE / overlay), "--dry-run=server", "--warnings-as-errors")


def test_several_replicas_run_on_postgresql_alone(silent: ControlPlane) -> None:
    """As rendered: the URL comes from the Secret, and nothing mounts or claims the volume of the one file."""
    items = rendered(silent, KUSTOMIZE / "replicas")
    [deployment] = [item["spec"] for item in items if item["kind"] == "Deployment"]
    pod = deployment["template"]["spec"]
    assert (deployment["replicas"], deployment["strategy"]["type"]) == (2, "RollingUpdate")
    assert "state" not in {volume["name"] for volume in pod["volumes"]}
    assert "/var/lib/remediator" not in {mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert {"remediator-audit-key", "remediator-webhook-token"} == {
        volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume
    }
    assert {"PodDisruptionBudget", "NetworkPolicy"} <= {item["kind"] for item in items}
    assert "PersistentVolumeClaim" not in {item["kind"] for item in items}


def test_pod_is_admitted_by_restricted_pod_security_and_runs(silent: ControlPlane) -> None:
    """Pod Security judges pods, not Deployments: so the Deployment has to come up."""
    silent.kubectl("rollout", "status", "deployment/remediator", "-n", "remediator", "--timeout=40s")
    (pod,) = silent.get("/api/v1/namespaces/remediator/pods")["items"]
    assert pod["spec"]["serviceAccountName"] == "remediator-silent"
    labels = silent.get("/api/v1/namespaces/remediator")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_pod_that_is_not_restricted_is_refused_in_its_namespace(silent: ControlPlane) -> None:
    """The labels of the namespace are in force."""
    pod = {"metadata": {"name": "loose"}, "spec": {"containers": [{"name": "c", "image": "app:ok"}]}}
    with pytest.raises(RequestFailed, match="violates PodSecurity"):
        silent.request("POST", "/api/v1/namespaces/remediator/pods?dryRun=All", pod)


async def test_reader_role_is_exactly_what_the_service_reads(silent: ControlPlane, namespace: str) -> None:
    """Resolve every kind an alert can name and run every collector: no read is refused, and no right goes unused."""
    control = silent
    populate(control, namespace)
    since = datetime.now(UTC)
    cluster = await connect(name="rig", kubeconfig=control.kubeconfig(SILENT))
    try:
        assert await cluster.is_ready()
        found = await read_everything(cluster, namespace)
    finally:
        await cluster.close()
    refused = {kind: answer.detail for kind, answer in found.items() if isinstance(answer, NoTarget)}
    assert refused == {"persistentvolumeclaim": "PersistentVolumeClaim data leads to no live pod"}

    (role,) = (
        item for item in rendered(control, KUSTOMIZE / "silent") if item["metadata"]["name"] == "remediator-reader"
    )

    def used() -> set[Right]:
        return {right_used(event) for event in control.audit_events(user=SILENT, since=since)}

    def every_right_was_used() -> bool:
        unused = rights_of(role) - used()
        assert not unused, f"granted and not used: {sorted(unused)}"
        return True

    await wait_for_async(every_right_was_used, timeout_seconds=5, what="all reads on record")
    events = control.audit_events(user=SILENT, since=since)
    assert [right_used(event) for event in events if audit.response_code(event) == 403] == []
    assert used() == rights_of(role)


def test_silent_account_cannot_change_anything(silent: ControlPlane, namespace: str) -> None:
    """Without the component even the dry run of a patch is refused, by RBAC and not by our code."""
    silent.apply(deployment("shop"), namespace)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/shop"
    for query in ("", "?dryRun=All"):
        with pytest.raises(RequestFailed, match="forbidden") as refused:
            silent.request("PATCH", path + query, ANNOTATE, user=SILENT, content_type=STRATEGIC_MERGE)
        assert refused.value.code == 403


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods/exec"),
        ("create", "pods"),
        ("delete", "pods"),
        ("create", "pods/eviction"),
        ("patch", "deployments.apps/scale"),
        ("patch", "events.events.k8s.io"),
        ("update", "nodes"),
        ("create", "serviceaccounts/token"),
        ("impersonate", "users"),
    ],
)
def test_silent_account_has_no_dangerous_right(silent: ControlPlane, verb: str, resource: str) -> None:
    """Nowhere, its own namespace included."""
    assert not may(silent, SILENT, verb, resource)
    assert not may(silent, SILENT, verb, resource, "remediator")


async def test_event_of_the_sink_is_accepted(silent: ControlPlane, namespace: str) -> None:
    """What `kubectl describe` is to show goes through with the shipped rights, and is the only write on record."""
    since = datetime.now(UTC)
    await tell_an_event(silent, namespace)
    await wait_for_async(
        lambda: silent.writes(SILENT, namespace, since), timeout_seconds=5, what="the Event in the audit log"
    )
    (written,) = silent.writes(SILENT, namespace, since)
    assert right_used(written) == ("events.k8s.io", "events", "create")
    assert audit.response_code(written) == 201


async def tell_an_event(control: ControlPlane, namespace: str) -> None:
    record = CommittedRecord(
        seq=1,
        at=datetime.now(UTC),
        kind="decision.recommended",
        incident_id=None,
        remediation_id=None,
        canonical=b"{}",
        body={
            "object": {"kind": "Deployment", "namespace": namespace, "name": "shop", "uid": "u"},
            "action": "rollback",
            "action_id": "0123456789abcdef",
            "rule": "crash-loop",
        },
    )
    cluster = await connect(name="rig", kubeconfig=control.kubeconfig(SILENT))
    try:
        await KubernetesEventSink(cluster).tell(record)
    finally:
        await cluster.close()


async def test_dry_run_component_lets_dry_runs_and_events_through(fenced: ControlPlane, namespace: str) -> None:
    """The proof of a recommendation works, the Event too, and nothing was changed."""
    fenced.apply(deployment("shop"), namespace)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/shop"
    reply = fenced.request("PATCH", f"{path}?dryRun=All", ANNOTATE, user=SILENT, content_type=STRATEGIC_MERGE)
    assert reply["metadata"]["annotations"]["remediator.io/last-action"] == "a-test"
    await tell_an_event(fenced, namespace)
    assert "remediator.io/last-action" not in fenced.get(path)["metadata"].get("annotations", {})
    assert fenced.get(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events?fieldSelector=reason%3DWouldRollBack")[
        "items"
    ]


def test_dry_run_component_refuses_real_writes_whatever_the_rights(fenced: ControlPlane, namespace: str) -> None:
    """Even with the role `admin` of a namespace the account can change nothing in it."""
    bound = ("--clusterrole=admin", "--serviceaccount=remediator:remediator-silent")
    fenced.kubectl("create", "rolebinding", "too-much", "-n", namespace, *bound)
    fenced.apply(deployment("shop"), namespace)
    wait_for(
        lambda: may(fenced, SILENT, "delete", "deployments.apps", namespace),
        timeout_seconds=10,
        what="the binding to take effect",
    )
    core, apps = f"/api/v1/namespaces/{namespace}", f"/apis/apps/v1/namespaces/{namespace}/deployments/shop"
    writes: list[tuple[str, str, dict[str, Any] | None, str]] = [
        ("PATCH", apps, ANNOTATE, STRATEGIC_MERGE),
        ("PATCH", f"{apps}/scale", {"spec": {"replicas": 0}}, "application/merge-patch+json"),
        ("DELETE", apps, None, "application/json"),
        ("POST", f"{core}/configmaps", {"metadata": {"name": "x"}}, "application/json"),
    ]
    for method, path, body, content_type in writes:
        with pytest.raises(RequestFailed, match=REFUSAL) as refused:
            fenced.request(method, path, body, user=SILENT, content_type=content_type)
        assert refused.value.code == 403
        fenced.request(method, f"{path}?dryRun=All", body, user=SILENT, content_type=content_type)
    assert fenced.get(apps)["spec"]["replicas"] == 1


def test_active_account_may_act_only_where_a_namespace_consents(silent: ControlPlane, namespace: str) -> None:
    """The role is bound to nobody; the documented RoleBinding opens one namespace and no other."""
    rbac = [
        item
        for item in rendered(silent, KUSTOMIZE / "active")
        if item["kind"] in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
    ]
    silent.apply(rbac)
    try:
        assert not may(silent, ACTIVE, "patch", "deployments.apps", namespace)
        consent = ("--clusterrole=remediator-rollback", "--serviceaccount=remediator:remediator-active")
        silent.kubectl("create", "rolebinding", "remediator-rollback", "-n", namespace, *consent)
        wait_for(
            lambda: may(silent, ACTIVE, "patch", "deployments.apps", namespace),
            timeout_seconds=10,
            what="the binding to take effect",
        )
        assert not may(silent, ACTIVE, "patch", "deployments.apps", "kube-system")
        assert not may(silent, ACTIVE, "get", "secrets", namespace)
    finally:
        own = [item for item in rbac if "active" in item["metadata"]["name"] or "rollback" in item["metadata"]["name"]]
        silent.kubectl("delete", "-f", "-", stdin="---\n".join(json.dumps(item) + "\n" for item in own))


async def test_anchor_of_the_audit_log_can_be_moved_on_and_nothing_else_of_its_kind(silent: ControlPlane) -> None:
    """The role names one ConfigMap; applying the manifests again does not turn it back."""
    own = [
        item
        for item in rendered(silent, KUSTOMIZE / "active")
        if "audit-anchor" in item["metadata"]["name"] or item["kind"] == "ServiceAccount"
    ]
    silent.apply(own)
    cluster = await connect(name="rig", kubeconfig=silent.kubeconfig(ACTIVE))
    try:
        anchor = ConfigMapAnchor(cluster, namespace="remediator", name="remediator-audit-anchor")

        async def is_moved() -> bool:
            with suppress(AnchorUnavailable):  # until the binding takes effect
                await anchor.write(b"one\n", unless=lambda _: False)
                return True
            return False

        await wait_for_async(is_moved, timeout_seconds=10, what="the binding to take effect")
        await anchor.write(b"two\n", unless=lambda _: False)
        silent.apply(own)
        assert await anchor.read() == b"two\n"
        other = ConfigMapAnchor(cluster, namespace="remediator", name="another")
        with pytest.raises(AnchorUnavailable, match="forbidden"):
            await other.write(b"one\n", unless=lambda _: False)
    finally:
        await cluster.close()
        silent.kubectl("delete", "-f", "-", stdin="---\n".join(json.dumps(item) + "\n" for item in own))
