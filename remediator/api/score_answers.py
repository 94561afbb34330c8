"""The shapes of what the scorecard says and takes over HTTP. `/openapi.json` is derived from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from remediator.api.answers import Answer
from remediator.api.asking import Asked
from remediator.rules.schema import Rule
from remediator.score.card import Card
from remediator.score.promotion import Criterion
from remediator.store.scores_base import Scored


class Share(Answer):
    """So many of so many, with the 95 % interval by Wilson of the share behind them; null: of none."""

    count: int
    of: int
    ratio: float | None
    low: float | None
    high: float | None


class ScoreEntry(Answer):
    """One recommendation, what happened afterwards, and whether it would have been right."""

    ref: str = Field(description="How people write it: R-<number>.")
    incident: str | None
    rule: str
    mode: str
    action: str
    target: str
    decided_at: datetime
    happened: str | None = Field(description="What happened without us; null: its end is still awaited.")
    judged: str = Field(description="right, wrong, or open: it does not tell, or not yet. A person's word goes first.")
    harmful: bool = Field(description="Whether it would have made things worse.")
    detail: str
    saved_seconds: int | None = Field(description="Time that a person needed longer for the same.")
    judged_at: datetime | None
    said_by: str | None = Field(description="The person whose word this is; null: nobody said anything.")
    said_comment: str | None
    said_at: datetime | None

    @classmethod
    def of(cls, one: Scored) -> Self:
        judgement, word = one.judgement, one.word
        saved = None if judgement is None else judgement.saved
        return cls(
            ref=f"R-{one.remediation}",
            incident=None if one.incident is None else f"inc-{one.incident}",
            rule=one.rule,
            mode=one.mode,
            action=one.action,
            target=str(one.target),
            decided_at=one.decided_at,
            happened=None if judgement is None else judgement.happened.value,
            judged="open" if one.is_right is None else "right" if one.is_right else "wrong",
            harmful=one.is_harmful,
            detail="" if judgement is None else judgement.detail,
            saved_seconds=None if saved is None else int(saved.total_seconds()),
            judged_at=one.judged_at,
            said_by=None if word is None else word.by,
            said_comment=None if word is None else word.comment,
            said_at=None if word is None else word.at,
        )


class RuleScore(Answer):
    """The card of one rule."""

    rule: str
    mode: str | None = Field(description="The rule's mode now; null: the table has no such rule any more.")
    decisions: int = Field(description="Recommendations with a plan that only the mode kept from being done.")
    awaited: int = Field(description="Those whose end is not known yet.")
    happened: Mapping[str, int]
    right: int
    wrong: int
    undecided: int = Field(description="Those of which it does not tell whether they were right.")
    by_people: int = Field(description="Those that a person judged.")
    precision: Share = Field(description="Right ones among those of which it is known.")
    agreement: Share = Field(description="How often people, where they did something, did that.")
    harmful: Share = Field(description="Those that would have made things worse.")
    saved_seconds: int = Field(description="Time that people needed longer for the same, in all.")
    saved_median_seconds: int | None

    @classmethod
    def of(cls, card: Card, rule: Rule | None) -> Self:
        plain = ("rule", "decisions", "awaited", "happened", "right", "wrong", "undecided", "by_people")
        fields: dict[str, Any] = {name: getattr(card, name) for name in plain}
        median = card.saved_median
        return cls(
            **fields,
            mode=None if rule is None else rule.mode.value,
            precision=Share.model_validate(card.precision),
            agreement=Share.model_validate(card.agreement),
            harmful=Share.model_validate(card.harmful),
            saved_seconds=int(card.saved.total_seconds()),
            saved_median_seconds=None if median is None else int(median.total_seconds()),
        )


class Scorecard(Answer):
    since: datetime | None
    rules: Sequence[RuleScore]
    decisions: Sequence[ScoreEntry] = Field(description="The newest, where one rule is asked for.")


class CriterionEntry(Answer):
    name: str
    met: bool
    detail: str

    @classmethod
    def of(cls, one: Criterion) -> Self:
        return cls(name=one.name, met=one.is_met, detail=one.detail)


class Promotion(Answer):
    """What a rule has earned. The change is for people to make: nothing edits a rule."""

    rule: str
    mode: str
    next: str | None = Field(description="The mode that comes after; null: there is none.")
    earned: bool
    criteria: Sequence[CriterionEntry]
    place: str = Field(description="file:line:column of the rule.")
    diff: str | None = Field(description="The unified diff to apply; null: not earned, or the file is another one now.")
    notes: Sequence[str] = Field(description="What else has to be known before it is applied.")


class JudgeRequest(Asked):
    """Judge one recommendation. It beats what was judged by itself, and takes the place of what was said before."""

    judged: Literal["right", "wrong"]
    harmful: bool = Field(default=False, description="It would have made things worse; only where it was wrong.")

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.harmful and self.judged == "right":
            raise ValueError("harmful is only for what was wrong")
        return self
