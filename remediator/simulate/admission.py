"""Defaulting and validation of what clients write: the part of the API server that remediation can run into.

Sources: kubernetes `pkg/apis/apps/v1/defaults.go`, `pkg/apis/core/v1/defaults.go`, `pkg/apis/apps/validation` and
`pkg/apis/core/validation`. Called by `apiserver.py` before anything is stored; a dry run passes through here too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from remediator.kube.base import Resource
from remediator.model import Json
from remediator.simulate.answers import Cause, invalid
from remediator.simulate.resizing import quality_of
from remediator.simulate.selectors import matches_labels
from remediator.simulate.storage import CORE_EVENT, DEPLOYMENT, POD, REPLICA_SET, copied, kind_at

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
NAME_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and"
    " end with an alphanumeric character (e.g. 'example.com', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)


def defaulted(place: Resource, item: Json) -> Json:
    """A copy with the defaults filled in that a real server stores."""
    new: dict[str, Json] = copied(item)
    if place in (DEPLOYMENT, REPLICA_SET):
        spec = new.setdefault("spec", {})
        spec.setdefault("replicas", 1)
        _default_pod(spec.setdefault("template", {}).setdefault("spec", {}))
        if place == DEPLOYMENT:
            _default_deployment(spec)
    elif place == POD:
        _default_pod(new.setdefault("spec", {}))
        default_bare_pod(new["spec"])
        new.setdefault("status", {"phase": "Pending", "qosClass": quality_of(new["spec"])})
    elif place.plural == "namespaces":
        new.setdefault("status", {"phase": "Active"})
        labels = new["metadata"].setdefault("labels", {})
        labels.setdefault("kubernetes.io/metadata.name", new["metadata"]["name"])
    return new


def _default_deployment(spec: dict[str, Json]) -> None:
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", "25%")
        rolling.setdefault("maxSurge", "25%")


def _default_pod(spec: dict[str, Json]) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    for container in (spec.get("containers") or []) + (spec.get("initContainers") or []):
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        image = str(container.get("image") or "")
        tag = image.rpartition("/")[2].partition(":")[2]
        container.setdefault("imagePullPolicy", "Always" if tag in ("", "latest") else "IfNotPresent")
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")


def default_bare_pod(spec: dict[str, Json]) -> None:
    """What a pod has and a template has not."""
    for container in (spec.get("containers") or []) + (spec.get("initContainers") or []):
        resources = container.get("resources") or {}
        if resources.get("limits"):
            # An amount that is limited and not asked for is asked for as it is limited.
            resources["requests"] = resources["limits"] | (resources.get("requests") or {})
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("serviceAccount", spec["serviceAccountName"])
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    spec.setdefault(
        "tolerations",
        [
            {
                "key": taint,
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 300,
            }
            for taint in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
        ],
    )


def check(place: Resource, new: Json, old: Json | None) -> None:
    """Raise Refused (422 with causes) if the object cannot be stored. `old` is None for a new one."""
    causes = list(_metadata_causes(new["metadata"], old))
    if place == DEPLOYMENT:
        causes += _deployment_causes(new.get("spec") or {}, old)
    elif place == POD:
        causes += _container_causes(new.get("spec") or {}, "spec")
    elif place == CORE_EVENT:
        causes += _event_causes(new)
    if causes:
        raise invalid(place, kind_at(place), new["metadata"].get("name", ""), causes)


def _metadata_causes(meta: Json, old: Json | None) -> Iterator[Cause]:
    name = meta.get("name") or ""
    prefix = (meta.get("generateName") or "").removesuffix("-")
    if prefix and not NAME.fullmatch(prefix):
        text = f'Invalid value: "{meta["generateName"]}": {NAME_RULE}'
        yield Cause("FieldValueInvalid", text, "metadata.generateName")
    if not name:
        yield Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
    elif not NAME.fullmatch(name) or len(name) > 253:
        yield Cause("FieldValueInvalid", f'Invalid value: "{name}": {NAME_RULE}', "metadata.name")
    if old is not None and meta.get("uid") not in (None, old["metadata"]["uid"]):
        text = f'Invalid value: "{meta["uid"]}": field is immutable'
        yield Cause("FieldValueInvalid", text, "metadata.uid")
    for field in ("labels", "annotations"):
        for key, value in (meta.get(field) or {}).items():
            if not isinstance(value, str):
                text = f"Invalid value: {value!r}: must be a string"
                yield Cause("FieldValueInvalid", text, f"metadata.{field}.{key}")


def _deployment_causes(spec: Json, old: Json | None) -> Iterator[Cause]:
    for field in ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"):
        if (value := spec.get(field)) is not None and value < 0:
            text = f"Invalid value: {value}: must be greater than or equal to 0"
            yield Cause("FieldValueInvalid", text, f"spec.{field}")
    selector = spec.get("selector") or {}
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not selector:
        yield Cause("FieldValueRequired", "Required value", "spec.selector")
    elif not matches_labels(selector, labels):
        text = f"Invalid value: {_go_json(labels)}: `selector` does not match template `labels`"
        yield Cause("FieldValueInvalid", text, "spec.template.metadata.labels")
    if old is not None and selector != old["spec"].get("selector"):
        text = f"Invalid value: {_go_json(selector)}: field is immutable"
        yield Cause("FieldValueInvalid", text, "spec.selector")
    yield from _container_causes((spec.get("template") or {}).get("spec") or {}, "spec.template.spec")


def _container_causes(spec: Json, path: str) -> Iterator[Cause]:
    containers: Sequence[Json] = spec.get("containers") or ()
    if not containers:
        yield Cause("FieldValueRequired", "Required value", f"{path}.containers")
    for index, container in enumerate(containers):
        for field in ("name", "image"):
            if not container.get(field):
                yield Cause("FieldValueRequired", "Required value", f"{path}.containers[{index}].{field}")
    if spec.get("restartPolicy", "Always") != "Always" and path != "spec":
        text = f'Unsupported value: "{spec["restartPolicy"]}": supported values: "Always"'
        yield Cause("FieldValueNotSupported", text, f"{path}.restartPolicy")


def _event_causes(event: Json) -> Iterator[Cause]:
    # Only what came in by events.k8s.io/v1 has an eventTime; the old API asks for less.
    if event["metadata"].get("namespace") != (event.get("involvedObject") or {}).get("namespace", "default"):
        yield Cause("FieldValueInvalid", "Invalid value: does not match event.namespace", "involvedObject.namespace")
    if event.get("eventTime") is None:
        return
    names = {"reportingComponent": "reportingController"}
    for field in ("reportingComponent", "reportingInstance", "action", "reason", "type"):
        if not event.get(field):
            yield Cause("FieldValueRequired", "Required value", names.get(field, field))


def _go_json(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
