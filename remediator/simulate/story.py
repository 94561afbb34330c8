"""A story as written: what a cluster looks like, what happens to it, what the service must make of that.

The format of `remediator test rules` and of the catalogue of incidents: `facts.py` has what there is, `events.py` what
happens. `stories.py` reads files, `replay.py` plays them. Times are durations from the story's zero, `5m` or `-1h`; a
workload is `namespace/name` (a Deployment) or `namespace/kind/name`.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from remediator.clock import parse_rfc3339
from remediator.model import Cause, Json, Mode, State
from remediator.reasons import Reason
from remediator.rules.schema import GuardParameters, Strict
from remediator.simulate.events import Event
from remediator.simulate.facts import Answer, ClusterFacts, Instant, MetricFacts, Moment, Past, Workload, listed
from remediator.units import Duration

MONDAY_NOON = "2026-11-23T12:00:00Z"


class Decision(StrEnum):
    """What was decided of an alert."""

    ACT = "act"
    RECOMMEND = "recommend"
    HOLD = "hold"
    ASK = "ask"
    ESCALATE = "escalate"
    DECLINE = "decline"
    CANCEL = "cancel"
    EXPIRE = "expire"
    NONE = "none"


class Expected(Strict):
    """What is to become of an alert; what is not given may be anything."""

    alert: str | None = Field(None, description="Of alerts of this name; none: of all.")
    of: Workload | None = Field(None, description="Of this target; none: of any.")
    began: Moment | None = Field(None, description="Of the alert that began then; none: whenever.")
    at: Moment | None = Field(None, description="As it stands then; none: at the end.")
    count: int = Field(1, ge=1, description="So many alerts that are meant, each with the same end.")
    rule: str | None = None
    severity: int | None = None
    cause: Cause | None = None
    does: str | None = Field(None, description="The action of the row that was taken.")
    decision: Decision | None = None
    reason: Reason | None = Field(None, description="The reason of the last decision or outcome.")
    guard: str | None = Field(None, description="The guard that said so.")
    state: State | None = None
    contact: str | None = Field(None, description="Row of the escalation matrix that hears of it.")
    detail: str | None = Field(None, description="A part of what people are told.")


class Ground(Strict):
    """What a file says for all its tests, and each test for itself: lists are joined, the test's own word counts."""

    rules: Annotated[tuple[str, ...], BeforeValidator(listed)] = Field(
        (), description="Rule files or folders, against this file's folder. None: the shipped table."
    )
    mode: Mode | None = Field(None, description="Mode of the service and of every rule. Default: silent.")
    guards: GuardParameters | None = Field(  # type: ignore[valid-type]  # made from a table
        None, description="Guard -> parameters, for all rules that do not set their own."
    )
    cluster: ClusterFacts = ClusterFacts()
    metrics: tuple[MetricFacts, ...] = ()
    answers: tuple[Answer, ...] = ()
    room: int | None = Field(None, ge=0, description="How many more pods fit on the nodes. None: unknown.")
    history: tuple[Past, ...] = ()
    starts: Instant = Field(parse_rfc3339(MONDAY_NOON), description="The hour at the story's zero.")
    runs_for: Duration = Field(timedelta(hours=3), description="How long all has run before the zero.")
    events: tuple[Event, ...] = ()
    until: Moment | None = Field(None, description="When it ends; none: when nothing is open any more.")


class Story(Ground):
    """One story: what happens, and what must come of it."""

    name: str = Field(min_length=1, max_length=200)
    description: str = Field("", max_length=2000)
    expect: tuple[Expected, ...] = ()
    writes: tuple[str, ...] = Field(
        (), description="Every write to the cluster, in order: `patch deployments shop/checkout`. Any other is harm."
    )
    told: tuple[str, ...] | None = Field(None, description="Common causes that people are told of, each once.")


class Suite(Ground):
    """Several tests on common ground."""

    description: str = Field("", max_length=2000)
    tests: tuple[Story, ...] = Field(min_length=1)


def on_ground(ground: Ground, test: Story) -> Story:
    """The test with what its file says for all."""
    joined: dict[str, Json] = {
        name: getattr(ground, name) for name in Ground.model_fields if name not in test.model_fields_set
    }
    for name in ("metrics", "answers", "history", "events"):
        joined[name] = (*getattr(ground, name), *getattr(test, name))
    joined["cluster"] = _joined(ground.cluster, test.cluster)
    return test.model_copy(update=joined)


def _joined(one: ClusterFacts, other: ClusterFacts) -> ClusterFacts:
    """A workload of the test takes the place of one of the same name."""
    own = {facts.of for facts in other.workloads}
    return ClusterFacts(
        nodes=other.nodes if "nodes" in other.model_fields_set else one.nodes,
        namespaces=(*one.namespaces, *other.namespaces),
        workloads=(*(facts for facts in one.workloads if facts.of not in own), *other.workloads),
        objects=(*one.objects, *other.objects),
        logs=(*one.logs, *other.logs),
    )
