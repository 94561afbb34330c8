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

from remediator.units import Limit

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


class Reason(StrEnum):
    """Why the answer was "no", or what ended a remediation. The value is the metric label and the Event's word."""

    NONE = ""
    # match
    NO_RULE = "no-rule"
    # target
    NO_TARGET_LABEL = "no-target-label"
    TARGET_NOT_FOUND = "target-not-found"
    TARGET_AMBIGUOUS = "target-ambiguous"
    TARGET_UNSUPPORTED = "target-unsupported"
    TARGET_CHANGED = "target-changed"
    TARGET_PROTECTED = "target-protected"
    TARGET_UNREADABLE = "target-unreadable"
    # plan
    ROW_RECOMMENDS = "row-recommends"
    ROW_ESCALATES = "row-escalates"
    NO_ROW = "no-row"
    FACT_MISSING = "fact-missing"
    NOT_OBSERVED = "rollout-not-observed"
    PAUSED = "paused"
    BEING_DELETED = "being-deleted"
    UNSUPPORTED_STRATEGY = "unsupported-strategy"
    OWNED_BY_CONTROLLER = "owned-by-controller"
    OWNED_BY_GITOPS = "owned-by-gitops"
    NO_DIFFERENT_REVISION = "no-different-revision"
    ONLY_CHECKSUM_DIFFERS = "only-checksum-differs"
    CONFIG_CHANGED = "config-changed"
    REFERENCE_MISSING = "reference-missing"
    NOT_RECENT = "not-recent"
    PREVIOUS_NOT_PROVEN_GOOD = "previous-not-proven-good"
    ALREADY_ROLLED_BACK = "already-rolled-back"
    REDEPLOYED_AFTER_ROLLBACK = "redeployed-after-rollback"
    NO_HISTORY = "no-history"
    NOT_CAPACITY = "not-capacity"
    NOT_ENOUGH = "not-enough"
    OPTED_OUT = "opted-out"
    ROLLOUT_RUNNING = "rollout-running"
    PODS_UNSCHEDULABLE = "pods-unschedulable"
    NODE_NOT_READY = "node-not-ready"
    SINGLE_WRITER = "single-writer"
    SCALED_TO_ZERO = "scaled-to-zero"
    AT_CAP = "at-cap"
    NO_ROOM = "no-room"
    AUTOSCALER_ACTS = "autoscaler-acts"
    AUTOSCALER_AT_LIMIT = "autoscaler-at-limit"
    AUTOSCALER_AMBIGUOUS = "autoscaler-ambiguous"
    CRASH_LOOP = "crash-loop"
    RESTARTED_LATELY = "restarted-lately"
    HISTORY_WOULD_BE_LOST = "history-would-be-lost"
    NO_SPARE_POD = "no-spare-pod"
    NO_POD = "no-pod"
    SEVERAL_PODS_FAIL = "several-pods-fail"
    NOT_RESIZABLE = "not-resizable"
    # guard
    KILL_SWITCH = "kill-switch"
    AUDIT_UNSIGNED = "audit-unsigned"
    AUDIT_BROKEN = "audit-broken"
    AUDIT_UNCONFIRMED = "audit-unconfirmed"
    AUDIT_NOT_ANCHORED = "audit-not-anchored"
    PAUSED_BY_PERSON = "paused-by-person"
    FREEZE_WINDOW = "freeze-window"
    OUTSIDE_CREDENTIAL = "outside-credential"
    MODE_OFF = "mode-off"
    MODE_SILENT = "mode-silent"
    MODE_INVALID = "mode-annotation-invalid"
    SEVERITY_WAITS = "severity-waits"
    SEVERITY_FORBIDS = "severity-forbids"
    COOLDOWN = "cooldown"
    LIMIT_USED = "limit-used"
    TOO_MANY_AT_ONCE = "too-many-at-once"
    ATTEMPTS_USED = "attempts-used"
    BREAKER_OPEN = "breaker-open"
    STORM = "storm"
    SHARED_CAUSE = "shared-cause"
    CLUSTER_UNHEALTHY = "cluster-unhealthy"
    FLAPPING = "flapping"
    RULE_CHANGED = "rule-changed"
    NEEDS_APPROVAL = "needs-approval"
    APPROVAL_DENIED = "approval-denied"
    APPROVAL_EXPIRED = "approval-expired"
    ALERT_RESOLVED = "alert-resolved"
    RESOLVED_UNCONFIRMED = "resolved-unconfirmed"
    ALERT_SILENCED = "alert-silenced"
    ALERT_NOT_FIRING = "alert-not-firing"
    CONDITION_GONE = "condition-gone"
    TRUNCATED = "alerts-truncated"
    DRY_RUN_REFUSED = "dry-run-refused"
    NOT_PROVABLE = "dry-run-not-provable"
    DECISION_EXPIRED = "decision-expired"
    # act and after
    CONFLICT = "conflict"
    DISRUPTION_BUDGET = "disruption-budget"
    NOT_SENT = "not-sent"
    REPLY_LOST = "reply-lost"
    REFUSED_BY_API = "refused-by-api"
    NOT_VERIFIED = "not-verified"
    EVIDENCE_MISSING = "evidence-missing"
    CHANGED_BY_SOMEONE_ELSE = "changed-by-someone-else"
    INTERNAL_ERROR = "internal-error"


class Decision(StrEnum):
    """A guard's answer."""

    ALLOW = "allow"
    RECOMMEND = "recommend"
    """Nothing forbids it but the mode: say what would be done, and let the later guards speak too."""
    HOLD = "hold"
    REFUSE = "refuse"
    ESCALATE = "escalate"
    """A refusal that people have to hear of: it will not get better by itself."""
    ASK = "ask"


class Scope(StrEnum):
    """Whose actions a budget counts: those of one rule, of one kind of action, in one namespace, or in the cluster."""

    RULE = "rule"
    ACTION = "action"
    NAMESPACE = "namespace"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Budget:
    """At most so many actions in any window of that length, of all that share this scope with the plan."""

    scope: Scope
    limit: Limit

    def __str__(self) -> str:
        return f"{self.scope} {self.limit}"


@dataclass(frozen=True, slots=True)
class AtOnce:
    """At most so many actions whose outcome is open, of all that share this scope with the plan.

    `of_same_text`: only those that the rule asked for as it is written now.
    """

    scope: Scope
    count: int
    of_same_text: bool = False

    def __str__(self) -> str:
        return f"{self.scope} {self.count} at once"


Bound = Budget | AtOnce
"""What an action must have room in, and takes its place in when its intent is committed."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What keeps many remediations from acting for one cause, told to people once.

    `key` names it within the cluster (`storm`, `shared-cause/node/worker-3`). It is left when nothing saw it for
    `quiet`.
    """

    key: str
    reason: Reason
    detail: str
    quiet: timedelta


@dataclass(frozen=True, slots=True)
class AffectedPod:
    """A pod of a target that does not do its work, with what others may share with it. Empty: unknown, or none."""

    target: str
    name: str
    node: str
    image: str
    dependency: str


class DryAnswer(StrEnum):
    """What the API server said to a request that was not to be done."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_NOW = "not-now"
    """The object is another now, or a disruption budget has no room."""
    NO_PERMISSION = "no-permission"
    """A dry run needs the right to the real write."""
    NO_DRY_RUN = "webhook-without-dry-run"
    """An admission webhook that does not declare its side effects cannot be asked."""
    DENIED_BY_POLICY = "denied-by-policy"
    """A ValidatingAdmissionPolicy denies it."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that is another afterwards; `field` is its path, as `spec.template.spec.containers[app].image`. None:
    it is not there."""

    field: str
    before: Json
    after: Json


@dataclass(frozen=True, slots=True)
class DryRun:
    """What came of trying one request of a plan; `request` is its method and path. `changes` are what the API server
    would make of the object, its defaults and all admission included, without secrets."""

    request: str
    touched: str
    answer: DryAnswer
    detail: str
    changes: tuple[FieldChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """A guard's answer with the number that led to it ("2 of 2 used, next slot 12:40:07Z").

    `until` is set for HOLD only: when to ask again. `budgets` are to have room still when the intent is committed, and
    are debited with it. `gate` is the common cause behind it, if there is one. `dry_runs` are the requests of the plan
    that were tried.
    """

    guard: str
    decision: Decision
    reason: Reason
    detail: str
    until: datetime | None = None
    budgets: tuple[Bound, ...] = ()
    gate: Gate | None = None
    dry_runs: tuple[DryRun, ...] = ()


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
