"""A scenario: how a namespace comes to be ill, the alert that says so, and what must come of it.

`test_table.py` starts all of them together, each in a namespace of its own, and compares when all have ended.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.controlplane import ControlPlane
from tests.cluster.monitoring import Exporter
from tests.cluster.waiting import wait_for

Object = dict[str, Any]

GOOD = "shop:1.4"
NAME = "shop"
ALERTS = "scenario_alert"
"""The sample that each alert of the table stands on here: its labels are the alert's, `row` is its name. What the real
expressions say is tested with promtool; here they must only begin and end when the scenario says so."""

FOR, LOOK_ALIKE, FACT_MISSING = "for", "look-alike", "fact-missing"


@dataclass
class Stage:
    """One scenario's part of the rig."""

    control_plane: ControlPlane
    exporter: Exporter
    namespace: str

    def path(self, plural: str = "deployments", name: str = NAME) -> str:
        group = {"deployments": "apis/apps/v1", "statefulsets": "apis/apps/v1"}.get(plural, "api/v1")
        return f"/{group}/namespaces/{self.namespace}/{plural}/{name}"

    def live(self, plural: str = "deployments", name: str = NAME) -> Object:
        return self.control_plane.get(self.path(plural, name))

    def image(self) -> str:
        return str(self.live()["spec"]["template"]["spec"]["containers"][0]["image"])

    def pods(self) -> list[Object]:
        return list(self.control_plane.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"])

    def apply(self, *objects: Object) -> None:
        self.control_plane.apply(list(copy.deepcopy(objects)), self.namespace)

    def deploy(self, image: str = GOOD, *, replicas: int = 2, wait: bool = True, **pod_spec: Any) -> None:
        """The Deployment `shop` at this image, rolled out if `wait`."""
        self.apply(deployment(image, replicas=replicas, **pod_spec))
        if wait:
            self.control_plane.kubectl(
                "rollout", "status", f"deployment/{NAME}", "-n", self.namespace, "--timeout=60s"
            )

    def set_image(self, image: str) -> None:
        self.control_plane.kubectl("set", "image", f"deployment/{NAME}", f"app={image}", "-n", self.namespace)

    def patch(self, body: Object, *, plural: str = "deployments", name: str = NAME) -> None:
        self.control_plane.request(
            "PATCH", self.path(plural, name), body, content_type="application/strategic-merge-patch+json"
        )

    def wait_until_waiting(self, reason: str) -> Object:
        """The first pod with a container that waits for this reason."""

        def found() -> Object | None:
            return next((pod for pod in self.pods() if reason in _waiting(pod)), None)

        return wait_for(found, timeout_seconds=60, what=f"a container that waits for {reason}")


@dataclass(frozen=True)
class Scenario:
    """`row` is the alert's name. `build` makes the namespace ill and returns the alert's labels; `is_over` tells
    when the trouble is over, so that the alert ends (None: it never is). `writes` are resource and verb of each real
    write of ours to a workload, in order; Events are not among them."""

    row: str
    name: str
    shows: str
    build: Callable[[Stage], Mapping[str, str]]
    cause: str | None
    outcome: str
    reason: str = ""
    writes: Sequence[str] = ()
    is_over: Callable[[Stage], bool] | None = None
    severity: str = "warning"
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.row}: {self.name}"


def deployment(image: str, *, replicas: int = 2, **pod_spec: Any) -> Object:
    labels = {"app": NAME}
    containers = [{"name": "app", "image": image, **pod_spec.pop("container", {})}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers, **pod_spec}},
        },
    }


def is_back_at_good(stage: Stage) -> bool:
    return stage.image() == GOOD


def of_deployment(stage: Stage) -> Mapping[str, str]:
    """The labels of an alert about the Deployment."""
    return {"namespace": stage.namespace, "deployment": NAME}


def of_pod(stage: Stage, pod: Object) -> Mapping[str, str]:
    """The labels of an alert about one container of a pod."""
    return {"namespace": stage.namespace, "pod": pod["metadata"]["name"], "container": "app"}


def _waiting(pod: Object) -> list[str]:
    statuses = pod.get("status", {}).get("containerStatuses", ())
    return [status.get("state", {}).get("waiting", {}).get("reason", "") for status in statuses]
