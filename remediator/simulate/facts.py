"""What there is when a story begins: objects of the cluster, what Prometheus has of them, what we did before.

Part of the format of `story.py`; `stage.py` builds it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from remediator.clock import parse_rfc3339
from remediator.model import Outcome
from remediator.rules.names import known
from remediator.rules.schema import Strict
from remediator.simulate.values import parse_values
from remediator.units import Duration, parse_duration

KINDS: Mapping[str, str] = {"deployment": "Deployment", "statefulset": "StatefulSet", "daemonset": "DaemonSet"}


def _moment(value: Any) -> Any:
    """`5m`, `-1h` or 0."""
    if isinstance(value, timedelta):
        return value
    text = str(value)
    return -parse_duration(text[1:]) if text.startswith("-") else parse_duration(text)


@dataclass(frozen=True, slots=True)
class Ref:
    """A workload by its names."""

    namespace: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind.lower()}/{self.name}"


def _ref(value: Any) -> Any:
    if isinstance(value, Ref):
        return value
    parts = str(value).split("/")
    if len(parts) == 2 and all(parts):
        return Ref(parts[0], "Deployment", parts[1])
    if len(parts) == 3 and all(parts) and parts[1] in KINDS:
        return Ref(parts[0], KINDS[parts[1]], parts[2])
    raise ValueError(f"{value!r}: write namespace/name or namespace/kind/name, kind one of {', '.join(KINDS)}")


def listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _instant(value: Any) -> Any:
    return value if isinstance(value, datetime) else parse_rfc3339(str(value))


def _values(value: Any) -> Any:
    return value if isinstance(value, tuple) else parse_values(str(value))


Moment = Annotated[timedelta, BeforeValidator(_moment)]
Instant = Annotated[datetime, BeforeValidator(_instant)]
Values = Annotated[tuple[float | None, ...], BeforeValidator(_values)]
Workload = Annotated[Ref, BeforeValidator(_ref)]
Fault = Annotated[
    str,
    known(
        "fault",
        ("crash", "oom", "imagepull", "registryaway", "noconfig", "neverready", "probekill", "cannotstart", "none"),
    ),
]
"""What fails: the words that the embedded kubelet knows in an image; `none` mends it."""


class NodeFacts(Strict):
    """A node."""

    name: str
    zone: str = Field("", description="Its zone, as the label topology.kubernetes.io/zone.")


class NamespaceFacts(Strict):
    """A namespace that is more than a name."""

    name: str
    annotations: Mapping[str, str] = {}


class WorkloadFacts(Strict):
    """A workload in short; everything else of it in `spec` and `pod`, laid over what this makes."""

    of: Workload
    image: str = "app:1.0"
    replicas: int = Field(2, ge=0, le=100)
    annotations: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    pod_labels: Mapping[str, str] = Field(default={}, description="Of its pods, beside `app`.")
    resources: Mapping[str, Mapping[str, str]] = Field(default={}, description="Of its container.")
    config: tuple[str, ...] = Field((), description="ConfigMaps that are its environment; made if they are not given.")
    spec: Mapping[str, Any] = {}
    pod: Mapping[str, Any] = Field(default={}, description="Laid over the pod template's spec.")
    budget: int | str | None = Field(None, description="minAvailable of a PodDisruptionBudget over its pods.")
    service: bool = Field(False, strict=True, description="A Service of its name, port 80 to 8080.")


class LogFacts(Strict):
    """What the containers of an image write."""

    image: str = Field(description="A part of the image.")
    text: str = Field("", description="The log of what runs.")
    previous: str = Field("", description="The log of what ended.")


class ClusterFacts(Strict):
    """What there is before anything happens."""

    nodes: int | tuple[NodeFacts, ...] = Field(default=3, description="Their number, or each one.")
    namespaces: tuple[NamespaceFacts, ...] = ()
    workloads: tuple[WorkloadFacts, ...] = ()
    objects: tuple[Mapping[str, Any], ...] = Field(default=(), description="Manifests; a `status` is set as given.")
    logs: tuple[LogFacts, ...] = ()


class MetricFacts(Strict):
    """What Prometheus has of the pods of a workload, of each pod the same; in promtool's notation."""

    of: Workload
    image: str = Field("", description="Only pods whose image holds this text. None: all.")
    begins: Moment = Field(timedelta(hours=-6), description="When the first value holds.")
    every: Duration = timedelta(minutes=10)
    memory: Values | None = Field(None, description="Working set of each container, in bytes.")
    traffic: Values | None = Field(None, description="Bytes received per second.")
    cpu: Values | None = Field(None, description="Cores used by each container.")
    throttled: Values | None = Field(None, description="Share of CFS periods throttled, 0 to 1.")
    errors: Values | None = Field(None, description="Share of requests that fail, 0 to 1.")
    latency: Values | None = Field(None, description="99th percentile in seconds.")


class Answer(Strict):
    """What a query of the rule's own is answered with."""

    query: str = Field(min_length=1, description="A part of the expression as it is asked.")
    begins: Moment = timedelta(hours=-6)
    every: Duration = timedelta(minutes=10)
    values: Values


class Past(Strict):
    """An action of ours from before."""

    rule: str
    of: Workload
    ago: Duration
    action: str = "rollback"
    outcome: Outcome | None = Field(None, description="verified, failed or unknown; none: it is still under way.")
