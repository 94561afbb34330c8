"""What can happen in a story: to the cluster, to those that watch it, by people. Part of the format of `story.py`.

`happenings.py` makes it happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from remediator.rules.schema import Strict
from remediator.simulate.facts import Fault, Moment, Workload, listed
from remediator.units import Duration


class While(Strict):
    """What has to be so for the alert's expression to hold. All that is given must hold."""

    image: str | None = Field(None, description="A pod of the workload runs an image with this text.")
    unready: bool = Field(False, strict=True, description="Fewer pods of the workload are ready than it wants.")
    ready_below: int | None = Field(None, ge=1, description="Fewer pods than this are ready.")
    pod_lives: bool = Field(False, strict=True, description="The pod of `pod_of` is there.")
    node_away: str | None = Field(None, description="This node is not ready.")


class Fire(Strict):
    """An alert begins to fire and is delivered. Labels: those of `of` or `pod_of`, and `labels`.

    KubePodCrashLooping, KubeDeploymentReplicasMismatch and KubePodNotReady hold as kubernetes-mixin's expressions do on
    the cluster; any other alert as long as `while` holds, without one until it is resolved.
    """

    alert: str
    of: Workload | None = Field(None, description="The workload that it names.")
    pod_of: Workload | None = Field(None, description="It names this workload's worst pod, and its first container.")
    severity: str = "warning"
    labels: Mapping[str, str] = {}
    holds: While | None = Field(None, alias="while")
    is_lying: bool = Field(False, alias="lies", strict=True, description="It holds whatever the cluster looks like.")
    late: Duration = Field(timedelta(0), description="It began so long before it is delivered.")
    truncated: int = Field(0, ge=0, description="So many other alerts `max_alerts` cut off the body.")
    has_rule: bool = Field(True, alias="rule", strict=True, description="Whether Prometheus has a rule of this name.")
    repeats: int = Field(0, ge=0, le=10_000, description="Delivered so often again, while it fires.")
    every: Duration = timedelta(minutes=1)


class Flap(Fire):
    """An alert that comes and goes: it fires for half of `every`, so many times."""

    times: int = Field(4, ge=2, le=20)


class Which(Strict):
    """An alert that fires."""

    alert: str
    of: Workload | None = None


class Deploy(Strict):
    """A pipeline or a person deploys."""

    of: Workload
    image: str | None = None
    pod: Mapping[str, Any] = Field(default={}, description="Laid over the pod template's spec.")
    annotations: Mapping[str, str] = Field(default={}, description="Of the pod template.")
    config: tuple[str, ...] | None = None


class Break(Strict):
    """Pods of a workload begin to fail, or are mended, whatever their image. Pods that replace them are well."""

    of: Workload
    how: Fault
    pods: int = Field(1, ge=1)


class NodeEvent(Strict):
    """Nodes go or come back, or their pods fail."""

    name: str | None = None
    zone: str | None = Field(None, description="All nodes of this zone.")
    ready: bool | None = Field(None, strict=True)
    how: Fault | None = Field(None, description="Every pod that runs there fails so.")

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.name is None) is (self.zone is None):
            raise ValueError("give either name or zone")
        return self


class ApiEvent(Strict):
    """The API server answers otherwise from now on."""

    verb: str = "*"
    resource: str = "*"
    answers: Literal[403, 429, 500, 503, 504, "lost", "ok"] = Field(
        description="A status; `lost`: done, and the reply does not arrive; `ok`: as it should again, for everything."
    )


class Keeps(Strict):
    """Another controller or a person keeps a field as it wants it: whoever changes it is reverted."""

    of: Workload
    image: str | None = None
    replicas: int | None = None
    within: Duration = timedelta(seconds=30)


class ScaleEvent(Strict):
    of: Workload
    replicas: int = Field(ge=0, le=100)


class Annotate(Strict):
    of: Workload
    annotations: Mapping[str, str]


class ObjectName(Strict):
    kind: str
    namespace: str | None = None
    name: str


class StatusEvent(ObjectName):
    """A controller that is not here sets parts of the status of an object."""

    status: Mapping[str, Any]


class Silence(Strict):
    matchers: Annotated[tuple[str, ...], BeforeValidator(listed)]
    lasts: Duration = Field(timedelta(hours=1), alias="for")


class PauseEvent(Strict):
    rule: str | None = None
    namespace: str | None = None
    target: Workload | None = None


class Event(Strict):
    """One thing that happens. Exactly one field beside `at`."""

    at: Moment = timedelta(0)
    fire: Fire | None = None
    resolve: Which | None = Field(None, description="It does not hold any more, and Alertmanager says so.")
    flap: Flap | None = None
    deploy: Deploy | None = None
    undo: Workload | None = Field(None, description="A person's `kubectl rollout undo`.")
    restart: Workload | None = Field(None, description="A person's `kubectl rollout restart`.")
    breaks: Break | None = Field(None, alias="break")
    node: NodeEvent | None = None
    scale: ScaleEvent | None = None
    annotate: Annotate | None = None
    apply: Mapping[str, Any] | None = Field(None, description="A manifest.")
    delete: ObjectName | None = None
    status: StatusEvent | None = None
    keeps: Keeps | None = None
    api: ApiEvent | None = None
    prometheus: Literal["up", "away", "empty", "frozen"] | None = None
    alertmanager: Literal["up", "away", "empty"] | None = None
    silence: Silence | None = None
    kill_switch: Literal["engaged", "released"] | None = None
    pause: PauseEvent | None = None
    resume: PauseEvent | None = None
    approve: Which | None = None
    deny: Which | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        given = self.model_fields_set - {"at"}
        if len(given) > 1:
            raise ValueError(f"one thing at a time, not {' and '.join(sorted(given))}: write an event for each")
        if not given:
            names = sorted(field.alias or name for name, field in type(self).model_fields.items() if name != "at")
            raise ValueError(f"say what happens, one of: {', '.join(names)}")
        return self
