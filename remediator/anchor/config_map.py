"""An anchor in a ConfigMap: another credential than the database's is needed to turn it back.

The only object of the cluster that is written besides workloads and Events; its write tests the version that was read,
so that of two replicas the one that is behind does not turn it back.
"""

from __future__ import annotations

from collections.abc import Callable

from remediator.anchor.base import AnchorUnavailable
from remediator.errors import RemediatorError, cut
from remediator.kube.base import Cluster, Conflict, NotFound, path_of
from remediator.kube.permissions import Permission, to
from remediator.model import Json, Request

KEY = "checkpoint"
MAX_TRIES = 5
"""How often it is looked at again when another replica wrote it first."""

LABELS = {"app.kubernetes.io/managed-by": "remediator"}


def permissions_for(name: str) -> tuple[Permission, ...]:
    """Of the ConfigMap that is there. The right to create it cannot be bound to its name: a person makes it."""
    return (to("ConfigMap", "get", "patch", names=(name,)),)


class ConfigMapAnchor:
    def __init__(self, cluster: Cluster, *, namespace: str, name: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name

    @property
    def name(self) -> str:
        return f"ConfigMap {self._namespace}/{self._name}"

    async def read(self) -> bytes | None:
        found = await self._get()
        text = None if found is None else (found.get("data") or {}).get(KEY)
        return None if text is None else str(text).encode()

    async def write(self, note: bytes, *, unless: Callable[[bytes], bool]) -> None:
        for tried in range(1, MAX_TRIES + 1):
            found = await self._get()
            if found is not None and (text := (found.get("data") or {}).get(KEY)) and unless(str(text).encode()):
                return
            request = self._create(note) if found is None else self._update(note, found["metadata"]["resourceVersion"])
            try:
                await self._cluster.send(request, dry_run=False)
                return
            except Conflict as error:
                if tried == MAX_TRIES:
                    raise AnchorUnavailable(f"{self.name}: somebody else wrote it: {cut(str(error))}") from error
            except RemediatorError as error:
                raise AnchorUnavailable(f"{self.name}: {cut(str(error))}") from error

    async def _get(self) -> Json | None:
        try:
            return await self._cluster.get(path_of("ConfigMap", namespace=self._namespace, name=self._name))
        except NotFound:
            return None
        except RemediatorError as error:
            raise AnchorUnavailable(f"{self.name}: {cut(str(error))}") from error

    def _create(self, note: bytes) -> Request:
        meta = {"name": self._name, "namespace": self._namespace, "labels": LABELS}
        return Request(
            method="POST",
            path=path_of("ConfigMap", namespace=self._namespace),
            content_type="application/json",
            body={"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {KEY: note.decode()}},
            query={"fieldManager": "remediator"},
        )

    def _update(self, note: bytes, version: str) -> Request:
        return Request(
            method="PATCH",
            path=path_of("ConfigMap", namespace=self._namespace, name=self._name),
            content_type="application/merge-patch+json",
            body={"metadata": {"resourceVersion": version}, "data": {KEY: note.decode()}},
            query={"fieldManager": "remediator"},
        )
