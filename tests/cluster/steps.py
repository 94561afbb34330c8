"""Steps that several cluster tests take: one Deployment, its releases, and what people do to it with kubectl."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from remediator.kube.rollout import current_replica_set, is_observed, owned_by, revision_of
from tests.cluster.controlplane import ControlPlane
from tests.cluster.credentials import ADMIN
from tests.cluster.kwok import WORDS
from tests.cluster.waiting import wait_for

Object = dict[str, Any]

MERGE_PATCH = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class App:
    """One Deployment of two replicas in the namespace of a test."""

    control_plane: ControlPlane
    namespace: str
    name: str = "shop"

    @property
    def path(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/{self.name}"

    def manifest(self, *images: str, pod: Object | None = None, **spec: Any) -> Object:
        """What its owner has in a file: containers `app`, `app-2`, ... of these images; `pod` adds to the pod spec."""
        labels = {"app": self.name}
        containers = [{"name": f"app-{n}" if n > 1 else "app", "image": image} for n, image in enumerate(images, 1)]
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers, **(pod or {})}},
                **spec,
            },
        }

    def deploy(self, *images: str, pod: Object | None = None, **spec: Any) -> None:
        """Apply it from its file, and wait until it is complete, or for a bad image until its pods fail."""
        self.control_plane.apply(self.manifest(*images, pod=pod, **spec))
        self.settle()

    def release(self, image: str, *, container: str = "app") -> None:
        """Set another image as a pipeline does, and wait as `deploy` does."""
        self.kubectl("set", "image", f"deployment/{self.name}", f"{container}={image}")
        self.settle()

    def kubectl(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.control_plane.kubectl(*words, "--namespace", self.namespace, check=check)

    def live(self) -> Object:
        return self.control_plane.get(self.path)

    def images(self) -> list[str]:
        return images(self.live()["spec"]["template"])

    def replica_sets(self) -> Sequence[Object]:
        found = self.control_plane.get(f"/apis/apps/v1/namespaces/{self.namespace}/replicasets")["items"]
        return owned_by(self.live(), found)

    def revisions(self) -> dict[int | None, list[str]]:
        """Revision -> images, as `kubectl rollout history` would tell."""
        return {revision_of(rs): images(rs["spec"]["template"]) for rs in self.replica_sets()}

    def settle(self) -> None:
        """Until the controllers have done all they can with the present template."""
        wait_for(self._is_settled, timeout_seconds=30, what=f"{self.name} with {self.images()} is settled")

    def _is_settled(self) -> bool:
        deployment = self.live()
        current = current_replica_set(deployment, self.replica_sets())
        if not is_observed(deployment) or current is None or revision_of(current) != revision_of(deployment):
            return False
        status = deployment["status"]
        if any(word in image for image in images(deployment["spec"]["template"]) for word in WORDS.split("|")):
            return any(_fails(pod) for pod in self._pods(current))
        wanted = deployment["spec"]["replicas"]
        counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
        return counts == [wanted] * 3

    def _pods(self, owner: Object) -> Sequence[Object]:
        return owned_by(owner, self.control_plane.get(f"/api/v1/namespaces/{self.namespace}/pods")["items"])

    def kubectl_undo(self) -> Object:
        """What `kubectl rollout undo` would make of it: the API server's answer to kubectl's own dry run.

        Taken from the audit log, since kubectl prints the object as it was before.
        """
        seen = len(self.control_plane.dry_runs(ADMIN, self.namespace))
        self.kubectl("rollout", "undo", f"deployment/{self.name}", "--dry-run=server")
        asked = wait_for(
            lambda: self.control_plane.dry_runs(ADMIN, self.namespace)[seen:],
            timeout_seconds=5,
            what="kubectl's dry run in the audit log",
        )
        answer: Object = asked[-1]["responseObject"]
        return answer


def images(template: Object) -> list[str]:
    return [container["image"] for container in template["spec"]["containers"]]


def _fails(pod: Object) -> bool:
    statuses = pod["status"].get("containerStatuses", ())
    return any("waiting" in status["state"] or not status["ready"] for status in statuses)


@contextmanager
def stopped(control_plane: ControlPlane, program: str) -> Iterator[None]:
    """Freeze a program of the control plane, as an overloaded one would seem; it goes on afterwards."""
    (process,) = (each for each in control_plane._processes if each.name == program)
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)
