"""What a guard answers, and what an answer carries: bounds, the common cause behind it, and what a dry run came to.

Frozen values, as in `model.py`. The guards make them, the journal records them, `store/` debits their budgets.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from remediator.model import Json
from remediator.reasons import Reason
from remediator.units import Limit


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
