"""The rig itself: what the other cluster tests rely on."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import audit
from tests.cluster.conftest import StartAlertmanager, StartPrometheus
from tests.cluster.controlplane import ControlPlane, RequestFailed
from tests.cluster.credentials import ACTIVE, NOBODY, SILENT
from tests.cluster.kwok import FAILURE_ANNOTATION, PREVIOUS_LINE
from tests.cluster.monitoring import Exporter, Receiver, alertmanager_config, prometheus_config
from tests.cluster.waiting import WaitedInVain, wait_for, wait_for_async

WAITING = "kube_pod_container_status_waiting_reason"


def deployment(name: str, image: str, replicas: int = 1) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "app", "image": image}]},
            },
        },
    }


def pod(name: str, *images: str) -> dict[str, Any]:
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": containers, "initContainers": [{"name": "init", "image": "app:init"}]},
    }


def pods(control_plane: ControlPlane, namespace: str) -> list[dict[str, Any]]:
    return list(control_plane.get(f"/api/v1/namespaces/{namespace}/pods")["items"])


def condition(pod: dict[str, Any], kind: str) -> str | None:
    found = [each for each in pod["status"].get("conditions", []) if each["type"] == kind]
    return found[0]["status"] if found else None


def events(control_plane: ControlPlane, namespace: str, reason: str) -> list[dict[str, Any]]:
    selector = f"?fieldSelector=reason%3D{reason}"
    return list(control_plane.get(f"/api/v1/namespaces/{namespace}/events{selector}")["items"])


def start_pod(
    control_plane: ControlPlane, namespace: str, *images: str, until: Callable[[dict[str, Any]], object]
) -> dict[str, Any]:
    """Create a pod with these images and return it once `until` holds for it."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    control_plane.request("POST", path, pod("subject", *images))

    def subject() -> dict[str, Any] | None:
        found = control_plane.get(f"{path}/subject")
        return found if until(found) else None

    found = wait_for(subject, timeout_seconds=20, what=f"the pod with {images}")
    assert found is not None
    return found


def reason(number: int) -> Callable[[dict[str, Any]], object]:
    """The waiting reason of container `number`, if any."""

    def found(pod: dict[str, Any]) -> object:
        statuses = pod["status"].get("containerStatuses")
        return statuses and statuses[number]["state"].get("waiting", {}).get("reason")

    return found


def test_bad_rollout_crashes_beside_the_old_pods_and_undo_completes(
    control_plane: ControlPlane, namespace: str
) -> None:
    """The Deployment controller, the scheduler and KWOK play a rollout and its rollback."""
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/shop"
    control_plane.apply(deployment("shop", "app:ok", replicas=2), namespace)
    control_plane.kubectl("rollout", "status", "deployment/shop", "-n", namespace, "--timeout=20s")

    control_plane.kubectl("set", "image", "deployment/shop", "app=app:crash-1", "-n", namespace)

    def crashing() -> bool:
        found = pods(control_plane, namespace)
        statuses = [each["status"].get("containerStatuses", [{}])[0] for each in found]
        waiting = [status.get("state", {}).get("waiting", {}).get("reason") for status in statuses]
        ready = [status.get("ready") for status in statuses]
        return "CrashLoopBackOff" in waiting and ready.count(True) == 2

    wait_for(crashing, timeout_seconds=20, what="a crash loop beside two old ready pods")
    assert control_plane.get(path)["status"]["unavailableReplicas"] == 1

    control_plane.kubectl("rollout", "undo", "deployment/shop", "-n", namespace)
    control_plane.kubectl("rollout", "status", "deployment/shop", "-n", namespace, "--timeout=20s")
    status = control_plane.get(path)["status"]
    assert (status["readyReplicas"], status["updatedReplicas"]) == (2, 2)


def test_crash_loop_restarts_up_to_its_back_off(control_plane: ControlPlane, namespace: str) -> None:
    """A crash loop shows reason, last termination, a growing restart count and the event BackOff."""
    first = start_pod(control_plane, namespace, "app:crash-1", "sidecar:ok", until=reason(0))
    status = first["status"]["containerStatuses"][0]
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["exitCode"] == 1
    assert status["lastState"]["terminated"]["reason"] == "Error"
    assert first["status"]["phase"] == "Running"
    assert (condition(first, "Ready"), condition(first, "ContainersReady")) == ("False", "False")
    assert first["status"]["containerStatuses"][1]["ready"] is True
    wait_for(lambda: events(control_plane, namespace, "BackOff"), timeout_seconds=10, what="event BackOff")

    def restarts() -> int:
        return int(pods(control_plane, namespace)[0]["status"]["containerStatuses"][0]["restartCount"])

    wait_for(lambda: restarts() == 8, timeout_seconds=20, what="restartCount 8")


@pytest.mark.parametrize(
    ("image", "waiting", "phase"),
    [
        ("app:oom", "CrashLoopBackOff", "Running"),
        ("app:imagepull", "ImagePullBackOff", "Pending"),
        ("app:noconfig", "CreateContainerConfigError", "Pending"),
    ],
)
def test_failing_image_shows_its_waiting_reason(
    control_plane: ControlPlane, namespace: str, image: str, waiting: str, phase: str
) -> None:
    """Each word in an image brings the pod status that it promises."""
    found = start_pod(control_plane, namespace, "sidecar:ok", image, until=reason(1))
    status = found["status"]["containerStatuses"][1]
    assert (status["state"]["waiting"]["reason"], found["status"]["phase"]) == (waiting, phase)
    assert condition(found, "Ready") == "False"
    if image == "app:oom":
        assert status["lastState"]["terminated"]["reason"] == "OOMKilled"
        assert status["lastState"]["terminated"]["exitCode"] == 137
    if image == "app:noconfig":
        assert status["state"]["waiting"]["message"] == 'configmap "app-config" not found'


def test_never_ready_runs_without_becoming_ready(control_plane: ControlPlane, namespace: str) -> None:
    """`neverready` runs with restart count 0 and a failing readiness probe."""
    found = start_pod(
        control_plane, namespace, "app:neverready", until=lambda each: condition(each, "Ready") == "False"
    )
    status = found["status"]["containerStatuses"][0]
    assert (list(status["state"]), status["restartCount"], status["ready"]) == (["running"], 0, False)
    assert found["status"]["phase"] == "Running"
    wait_for(lambda: events(control_plane, namespace, "Unhealthy"), timeout_seconds=10, what="its event")


def test_annotation_fails_a_running_pod_and_heals_it(control_plane: ControlPlane, namespace: str) -> None:
    """A pod that already has its addresses can be made to crash, and to recover, in place."""
    start_pod(control_plane, namespace, "app:ok", until=lambda each: condition(each, "Ready") == "True")
    annotate = ("annotate", "pod/subject", "-n", namespace)

    def is_ready() -> bool:
        return condition(pods(control_plane, namespace)[0], "Ready") == "True"

    control_plane.kubectl(*annotate, f"{FAILURE_ANNOTATION}=crash")
    wait_for(lambda: not is_ready(), timeout_seconds=10, what="the crash of the annotated pod")
    control_plane.kubectl(*annotate, f"{FAILURE_ANNOTATION}-")
    wait_for(is_ready, timeout_seconds=10, what="its recovery")
    assert pods(control_plane, namespace)[0]["status"]["containerStatuses"][0]["restartCount"] >= 1


def test_logs_and_previous_logs_come_through(control_plane: ControlPlane, namespace: str) -> None:
    """A crashing pod has a traceback in both logs; a healthy container has no previous one."""
    start_pod(control_plane, namespace, "app:crash-1", "sidecar:ok", until=reason(0))
    read = ("logs", "subject", "-n", namespace, "-c")
    current = control_plane.kubectl(*read, "c0", "--since=10m").stdout
    previous = control_plane.kubectl(*read, "c0", "--previous", "--tail=100").stdout
    assert "Traceback (most recent call last)" in current
    assert PREVIOUS_LINE not in current
    assert previous.startswith(PREVIOUS_LINE)
    assert "listening on" in control_plane.kubectl(*read, "c1").stdout
    assert control_plane.kubectl(*read, "c1", "--previous", check=False).returncode != 0

    control_plane.set_pod_logs(namespace, "subject", "ERROR disk full", previous="ERROR disk nearly full")
    wait_for(
        lambda: "disk full" in control_plane.kubectl(*read, "c0").stdout,
        timeout_seconds=10,
        what="the log that the test set",
    )
    assert control_plane.kubectl(*read, "c0", "--previous").stdout == "ERROR disk nearly full\n"


def test_audit_log_shows_the_exact_patch_of_a_user(control_plane: ControlPlane, namespace: str) -> None:
    """The witness has user, object, query and body of a patch, and tells it from a dry run."""
    create = ("create", "-n", namespace)
    control_plane.kubectl(*create, "role", "patch", "--verb=get,patch", "--resource=deployments")
    bound = "--serviceaccount=remediator:remediator-active"
    control_plane.kubectl(*create, "rolebinding", "patch", "--role=patch", bound)
    control_plane.apply(deployment("shop", "app:ok"), namespace)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/shop"
    body = {"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}}
    for query in ("?dryRun=All", "?fieldManager=remediator"):
        control_plane.request(
            "PATCH", path + query, body, user=ACTIVE, content_type="application/strategic-merge-patch+json"
        )

    wait_for(
        lambda: control_plane.writes(ACTIVE, namespace), timeout_seconds=5, what="the patch in the audit log"
    )
    (written,) = control_plane.writes(ACTIVE, namespace)
    assert (written["verb"], written["objectRef"]["resource"], written["objectRef"]["name"]) == (
        "patch",
        "deployments",
        "shop",
    )
    assert written["requestURI"].endswith("fieldManager=remediator")
    assert written["requestObject"] == body
    assert audit.response_code(written) == 200
    assert len(control_plane.dry_runs(ACTIVE, namespace)) == 1
    assert control_plane.writes(SILENT, namespace) == []


def test_rbac_denies_who_is_not_bound(control_plane: ControlPlane, namespace: str) -> None:
    """Users by token are users like others: unbound they may do nothing, and the attempt is on record."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    for user in (NOBODY, SILENT):
        with pytest.raises(RequestFailed, match="forbidden") as denied:
            control_plane.request("POST", path, {"metadata": {"name": "x"}}, user=user)
        assert denied.value.code == 403
        attempts = partial(control_plane.writes, user, namespace)
        wait_for(attempts, timeout_seconds=5, what="the refused write in the audit log")
        assert [audit.response_code(each) for each in attempts()] == [403]


def test_sample_fires_an_alert_and_its_fall_resolves_it(
    exporter: Exporter,
    receiver: Receiver,
    start_alertmanager: StartAlertmanager,
    start_prometheus: StartPrometheus,
    tmp_path: Path,
) -> None:
    """Sample, rule, Alertmanager, webhook: firing, and then resolved."""
    rule = {"alert": "CrashLooping", "expr": f'{WAITING}{{reason="CrashLoopBackOff"}} > 0'}
    rule_file = tmp_path / "rules.yaml"
    rule_file.write_text(yaml.safe_dump({"groups": [{"name": "rig", "rules": [rule]}]}))
    alertmanager = start_alertmanager(alertmanager_config(receiver.url, bearer_token="rig-token"))
    start_prometheus(
        prometheus_config(
            targets=[exporter.target], rule_files=[rule_file], alertmanagers=[alertmanager.target]
        )
    )
    labels = {"namespace": "shop", "pod": 'a "quoted" pod', "reason": "CrashLoopBackOff"}

    exporter.set(WAITING, labels, 1.0)
    (firing,) = wait_for(lambda: receiver.alerts("firing"), timeout_seconds=20, what="the firing alert")
    assert firing["labels"]["alertname"] == "CrashLooping"
    assert firing["labels"]["pod"] == 'a "quoted" pod'
    assert receiver.requests[0]["headers"]["Authorization"] == "Bearer rig-token"

    exporter.set(WAITING, labels, 0.0)
    (resolved,) = wait_for(lambda: receiver.alerts("resolved"), timeout_seconds=20, what="the resolution")
    assert resolved["fingerprint"] == firing["fingerprint"]
    assert alertmanager.alerts() == []


def test_waiting_in_vain_tells_what_for_and_what_was_seen() -> None:
    """The error of a wait names its subject and the last value."""
    with pytest.raises(WaitedInVain, match=r"waited 0.1 s for the moon; last seen: \[\]"):
        wait_for(list, timeout_seconds=0.1, what="the moon")


async def _truth_after(instant: float) -> bool:
    return time.monotonic() > instant


@pytest.mark.asyncio
async def test_asynchronous_waiting_takes_both_kinds_of_predicate() -> None:
    """wait_for_async polls a coroutine function or a plain one."""
    soon = time.monotonic() + 0.1
    assert await wait_for_async(lambda: _truth_after(soon), timeout_seconds=2, what="a moment")
    assert await wait_for_async(lambda: time.monotonic() > soon, timeout_seconds=2, what="a moment")
