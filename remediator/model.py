"""The nouns of the way of one alert, and the states of a remediation.

Everything here is a frozen value without behaviour beyond names for its parts. The modules that decide take and
return these; `store/` keeps them; nothing here does I/O.

States of a remediation (`TRANSITIONS` below is this picture as data; a test compares the two):

    queued      -> diagnosing cancelled expired
    diagnosing  -> diagnosing planned held recommended escalated declined cancelled expired
    planned     -> diagnosing acting held recommended awaiting_approval escalated declined cancelled expired
    held        -> diagnosing cancelled expired
    awaiting_approval -> diagnosing cancelled expired
    acting      -> acting verifying diagnosing held escalated unknown
    verifying   -> verified temporary failed unknown
    temporary   -> restoring verified escalated
    restoring   -> restoring verified escalated unknown
    failed      -> reverting escalated
    reverting   -> reverting reverted escalated unknown

The others (`TERMINAL`) are final. `temporary`: it helped, and what was changed for a time only (replicas, an
autoscaler's bound, a workload that made room) is to be given back. `acting`, `restoring` and `reverting` follow
themselves once for each further request of a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NewType

from remediator.reasons import Reason

Json = Any
"""A value as JSON holds it; `Any` because it only ever enters from outside and is read by path."""

RemediationId = NewType("RemediationId", int)
IncidentId = NewType("IncidentId", int)
ActionId = NewType("ActionId", str)
EscalationId = NewType("EscalationId", int)


class AlertStatus(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """One label set's state as Alertmanager reported it.

    `fingerprint` names the label set, not an episode; (`fingerprint`, `starts_at`) is the episode.
    `ends_at` is None while it fires. `truncated` counts the alerts of the same body that `max_alerts` cut off.
    `credential` names the one that it came by, empty: none was asked for.
    """

    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None
    generator_url: str
    receiver: str
    group_key: str
    truncated: int = 0
    credential: str = ""

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


@dataclass(frozen=True, slots=True)
class Target:
    """The object acted on. Locks, cooldowns and budgets are keyed by `key`; requests are bound to `uid`."""

    cluster: str
    kind: str
    namespace: str
    name: str
    uid: str

    @property
    def key(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.kind}/{self.name}"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.kind.lower()}/{self.name}"


class Mode(StrEnum):
    """What the service may do, most cautious first: `off` not even recommends."""

    OFF = "off"
    SILENT = "silent"
    APPROVE = "approve"
    ACTIVE = "active"


MODES_BY_CAUTION: tuple[Mode, ...] = (Mode.OFF, Mode.SILENT, Mode.APPROVE, Mode.ACTIVE)


def most_cautious(*modes: Mode) -> Mode:
    """The mode that holds when several apply. At least one is required."""
    return min(modes, key=MODES_BY_CAUTION.index)


class Cause(StrEnum):
    """The class that the findings add up to. `unknown` is a proper answer and never acts."""

    CODE_ERROR = "code-error"
    CANNOT_START = "cannot-start"
    IMAGE_ERROR = "image-error"
    MISSING_CONFIG = "missing-config"
    CHANGED_CONFIG = "changed-config"
    OUT_OF_MEMORY = "out-of-memory"
    PROBE_FAILING = "probe-failing"
    DEPENDENCY_DOWN = "dependency-down"
    CAPACITY = "capacity"
    TAINT_OR_AFFINITY = "taint-or-affinity"
    VOLUME = "volume"
    QUOTA = "quota"
    LOAD = "load"
    LEAK = "leak"
    NODE_FAULT = "node-fault"
    BAD_ROLLOUT = "bad-rollout"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """A typed fact that a diagnosis established.

    `kind` is the collector's word for it (`container-waiting`, `rollout`, `unavailable`, ...), `summary` one line for
    people, `facts` the values it rests on, as JSON.
    """

    kind: str
    summary: str
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to the API server, exactly as it goes out.

    `path` begins with `/`; `body` is sent as canonical JSON; `query` holds `fieldManager` and the like, never `dryRun`:
    whether it is a dry run is said where it is sent. `audit_id` is its name in the API server's own audit log, empty:
    the API server chooses one; `not_after` the second of `clock.steady_seconds` at which whoever sends it may not have
    the right to any more. Both are given when it is sent, and no part of what was planned.
    """

    method: str
    path: str
    content_type: str
    body: Json
    query: Mapping[str, str] = field(default_factory=dict)
    audit_id: str = ""
    not_after: float | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """What will prove success: the names of the checks, within what time, and for how long without a break."""

    expect: tuple[str, ...]
    within: timedelta
    stable_for: timedelta
    otherwise: str


class ToldBy(StrEnum):
    """What on the touched object tells whether a request was done."""

    MARK = "mark"
    """Our annotation with the action id, which the same request wrote."""
    VALUE = "value"
    """The value itself: the request has no place for a mark (a subresource)."""
    GONE = "gone"
    """The object with that uid is gone or on its way out."""


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a plan, with all that is needed to tell from the cluster alone whether it was done.

    `touched` is the object that the request changes: the target, one of its pods, its autoscaler, another workload.
    `pointer` leads to the value that changes, in the touched object and in the reply to the request; `before` and
    `after` are that value; an empty pointer (an eviction) has neither. `inverse` restores it, None where nothing can.
    `after_observed`: the controller must have observed the steps before this one.
    """

    request: Request
    touched: Target
    told_by: ToldBy
    generation: int | None = None
    pointer: tuple[str | int, ...] = ()
    before: Json = None
    after: Json = None
    inverse: Request | None = None
    after_observed: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What an action would do, decided before anything is done.

    `steps` are sent in order, each after its own intent. `generation` is the target's `metadata.generation` that it was
    decided on; `template_hash` is the meaningful hash of the pod template that the target has when all is done;
    `restore_after` is how long what was changed stays after it helped (None: for good); `before` and `after` are what
    people compare; `summary` is one line; `details` are the action's own facts (revision numbers, the kubectl command)
    as JSON. `salt` hides the exact requests behind their commitments in the records (`disclosed.py`).
    """

    action: str
    action_id: ActionId
    target: Target
    steps: tuple[Step, ...]
    proof: Proof
    generation: int
    template_hash: str
    summary: str
    before: Json
    after: Json
    restore_after: timedelta | None = None
    details: Mapping[str, Json] = field(default_factory=dict)
    salt: str = ""

    @property
    def is_reversible(self) -> bool:
        """Whether at least one step can be undone."""
        return any(step.inverse is not None for step in self.steps)


class Answer(StrEnum):
    """What became of a write: `unknown` only where reading the object back could not tell."""

    APPLIED = "applied"
    NOT_APPLIED = "not-applied"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """Whether an action helped. `unknown` is never success."""

    VERIFIED = "verified"
    FAILED = "failed"
    UNKNOWN = "unknown"


class State(StrEnum):
    QUEUED = "queued"
    DIAGNOSING = "diagnosing"
    PLANNED = "planned"
    RECOMMENDED = "recommended"
    HELD = "held"
    AWAITING_APPROVAL = "awaiting_approval"
    ACTING = "acting"
    VERIFYING = "verifying"
    VERIFIED = "verified"
    TEMPORARY = "temporary"
    RESTORING = "restoring"
    FAILED = "failed"
    REVERTING = "reverting"
    REVERTED = "reverted"
    ESCALATED = "escalated"
    UNKNOWN = "unknown"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


TRANSITIONS: Mapping[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.DIAGNOSING, State.CANCELLED, State.EXPIRED}),
    State.DIAGNOSING: frozenset(
        {
            State.DIAGNOSING,
            State.PLANNED,
            State.HELD,
            State.RECOMMENDED,
            State.ESCALATED,
            State.DECLINED,
            State.CANCELLED,
            State.EXPIRED,
        }
    ),
    State.PLANNED: frozenset(
        {
            State.DIAGNOSING,
            State.ACTING,
            State.HELD,
            State.RECOMMENDED,
            State.AWAITING_APPROVAL,
            State.ESCALATED,
            State.DECLINED,
            State.CANCELLED,
            State.EXPIRED,
        }
    ),
    State.HELD: frozenset({State.DIAGNOSING, State.CANCELLED, State.EXPIRED}),
    State.AWAITING_APPROVAL: frozenset({State.DIAGNOSING, State.CANCELLED, State.EXPIRED}),
    State.ACTING: frozenset(
        {State.ACTING, State.VERIFYING, State.DIAGNOSING, State.HELD, State.ESCALATED, State.UNKNOWN}
    ),
    State.VERIFYING: frozenset({State.VERIFIED, State.TEMPORARY, State.FAILED, State.UNKNOWN}),
    State.TEMPORARY: frozenset({State.RESTORING, State.VERIFIED, State.ESCALATED}),
    State.RESTORING: frozenset({State.RESTORING, State.VERIFIED, State.ESCALATED, State.UNKNOWN}),
    State.FAILED: frozenset({State.REVERTING, State.ESCALATED}),
    State.REVERTING: frozenset({State.REVERTING, State.REVERTED, State.ESCALATED, State.UNKNOWN}),
}
"""From -> to. A state that is not a key is final."""

TERMINAL: frozenset[State] = frozenset(State) - frozenset(TRANSITIONS)


@dataclass(frozen=True, slots=True)
class Remediation:
    """One attempt of one rule on one target, as the store holds it.

    `rule`, `target` and `plan` are None until their step has answered; `plan` is the committed intent from `acting`
    on. `acted_at` is when the write was sent, `due_at` when a worker should look at it next.
    `epoch` grows with each claim: an update by an older claim changes nothing.
    `tries` counts decisions that a conflict sent back to the start. `progress` is the step's own memory between looks.
    """

    id: RemediationId
    incident_id: IncidentId | None
    action_id: ActionId
    fingerprint: str
    alert: Alert
    state: State
    reason: Reason
    rule: str | None
    severity: int | None
    mode: Mode | None
    target: Target | None
    plan: Plan | None
    created_at: datetime
    acted_at: datetime | None
    due_at: datetime
    epoch: int
    tries: int
    progress: Mapping[str, Json] = field(default_factory=dict)
