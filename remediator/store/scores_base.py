"""What the scorecard asks of the store: recommendations whose end is awaited, what was seen of them, what people say.

A *case* begins in the transaction that recommends a plan, or asks a person for it (`Change.scored`), so that none is
lost or left out. Apart from `Store`: the way of an alert needs none of the rest. `store/scores.py` implements it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from remediator.errors import RemediatorError
from remediator.model import IncidentId, Json, Plan, RemediationId, Target, ToldBy

TEMPLATE = ("spec", "template")


class NotScored(RemediatorError):
    """There is no recommendation of that number: nothing was recommended with a plan, another one of the target was
    awaited already, or it was given up."""


class Happened(StrEnum):
    """What became of a recommendation. `remediator/score/judge.py` says what each word asks for."""

    ALONE = "recovered-alone"
    SAME = "person-did-the-same"
    OTHER = "person-did-something-else"
    WORSE = "got-worse"
    UNKNOWN = "unknown"
    APPROVED = "approved"
    """A person approved it and it was done: our own verification judged it."""


@dataclass(frozen=True, slots=True)
class Touch:
    """One thing that the plan would have changed besides the pod template: a value, or an object that would be gone."""

    touched: Target
    pointer: tuple[str | int, ...]
    before: Json
    after: Json
    is_gone: bool


@dataclass(frozen=True, slots=True)
class Would:
    """What would have been done, as far as it is needed to know it when somebody else does it.

    `from_hash` and `to_hash` are meaningful hashes of the pod template, equal where it would have stayed;
    `restarted_at` is the restart annotation before a restart. `container` is that of a resize. `helps_within` is the
    time that the rule gives the action to help, `stable_for` how long it must hold then.
    """

    action: str
    target: Target
    generation: int
    from_hash: str
    to_hash: str
    restarted_at: str | None
    container: str
    touches: tuple[Touch, ...]
    helps_within: timedelta
    stable_for: timedelta


def would_of(plan: Plan) -> Would:
    """Of an exact or a disclosed plan: nothing that is masked in the latter is looked at."""
    before = plan.before if isinstance(plan.before, Mapping) else {}
    from_hash = plan.details.get("from_hash")
    touches = [
        Touch(step.touched, step.pointer, step.before, step.after, step.told_by is ToldBy.GONE)
        for step in plan.steps
        if step.told_by is ToldBy.GONE or (step.pointer and step.pointer[:2] != TEMPLATE)
    ]
    return Would(
        action=plan.action,
        target=plan.target,
        generation=plan.generation,
        from_hash=from_hash if isinstance(from_hash, str) else plan.template_hash,
        to_hash=plan.template_hash,
        restarted_at=before.get("restartedAt") if plan.action == "restart" else None,
        container=str(before.get("container", "")) if plan.action == "resize" else "",
        # What goes with a restored template (a pod that is in its way) is no action of its own.
        touches=() if plan.action == "rollback" else tuple(touches),
        helps_within=plan.proof.within,
        stable_for=plan.proof.stable_for,
    )


@dataclass(frozen=True, slots=True)
class Case:
    """A recommendation that is not judged yet. `seen` is what `score/` remembers of its looks, None before the first;
    `looked_at` is when the last one was, also one that could read nothing."""

    remediation: RemediationId
    incident: IncidentId | None
    rule: str
    alert: str
    fingerprint: str
    starts_at: datetime
    would: Would
    decided_at: datetime
    looked_at: datetime | None
    seen: Json


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the store knows of the time since the decision.

    `ended_at` is when the alert ended, as Alertmanager said; None: it fires, or fires again. `acted_at` is when we
    ourselves first wrote to the target since. `new_alerts` are names of others of the target that began since and fire.
    """

    ended_at: datetime | None
    acted_at: datetime | None
    new_alerts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """`is_right` None: what happened does not tell. `saved` is the time that a person needed longer, for the same."""

    happened: Happened
    is_right: bool | None
    is_harmful: bool
    detail: str
    saved: timedelta | None = None
    evidence: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """What a person says to one recommendation. It beats the judgement; a later word takes its place."""

    remediation: RemediationId
    is_right: bool
    is_harmful: bool
    by: str
    comment: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Scored:
    """A recommendation as it stands in the scorecard. `judgement` None: its end is still awaited. `sense` is the digest
    of what the rule decided by then (`Rule.sense`)."""

    remediation: RemediationId
    incident: IncidentId | None
    rule: str
    sense: str
    mode: str
    action: str
    target: Target
    decided_at: datetime
    judgement: Judgement | None
    judged_at: datetime | None
    word: Word | None

    @property
    def is_right(self) -> bool | None:
        if self.word is not None:
            return self.word.is_right
        return None if self.judgement is None else self.judgement.is_right

    @property
    def is_harmful(self) -> bool:
        """A person who calls it right knows better; one who calls it wrong takes no harm back."""
        is_judged_so = self.judgement is not None and self.judgement.is_harmful
        if self.word is None:
            return is_judged_so
        return not self.word.is_right and (self.word.is_harmful or is_judged_so)


class ScoreStore(Protocol):
    """The memory of the scorecard. Every method raises StoreUnavailable when the database cannot answer."""

    async def open_cases(self, *, at: datetime, limit: int) -> Sequence[Case]:
        """Those that are due for a look, the longest due first."""

    async def circumstances(self, case: Case) -> Circumstances: ...

    async def keep_look(
        self, remediation: RemediationId, *, seen: Json, after: datetime | None, at: datetime, due_at: datetime
    ) -> bool:
        """Remember what a look saw, and when the next one is due. False, and nothing, for a case that was judged
        meanwhile, or looked at since `after`."""

    async def judged(self, case: Case, judgement: Judgement, *, at: datetime) -> bool:
        """Close the case, with its record (`score.judged`). False: somebody else was faster; nothing is written."""

    async def say(self, word: Word) -> Scored:
        """Keep a person's word in place of any before, with its record (`score.said`). Raises NotScored."""

    async def score_of(self, remediation: RemediationId) -> Scored | None: ...

    async def scored(self, *, since: datetime | None = None, rule: str | None = None) -> Sequence[Scored]:
        """The recommendations that were made since, newest first; of one rule, or of all."""
