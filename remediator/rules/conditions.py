"""The vocabulary of `when`: one table of conditions, each a typed parameter and a pure function over the evidence.

A new condition is one line here; the rule schema, its JSON Schema and the trace derive from the table. Evidence that
is missing never holds: a rule acts on what was seen, not on what could not be looked at.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from remediator.model import Cause, Json
from remediator.rules.names import known
from remediator.target.spec import KIND_OF_WORD
from remediator.units import Duration, between, format_duration


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a diagnosis established, as far as rows can ask for it.

    `deployed_ago` is the time since the last rollout began (None: not proven recent); `kind` is the workload's;
    `replicas` is `spec.replicas`; `affected_ratio` is the share of its pods that are affected, 0 to 1; `trend` is the
    shape of its memory over hours, `began_with_rollout` whether the alert did, `queries` name -> value of the rule's
    own PromQL, `dependencies_healthy` whether all that the rule depends on is. None: unknown.
    """

    cause: Cause
    deployed_ago: timedelta | None
    kind: str
    replicas: int | None
    affected_ratio: float | None
    trend: str | None = None
    began_with_rollout: bool | None = None
    queries: Mapping[str, float | None] = field(default_factory=dict)
    dependencies_healthy: bool | None = None
    is_saturated: bool | None = None

    def as_json(self) -> Json:
        """As a record keeps it, so that any rule can be asked of it later. Lengths of time are seconds."""
        facts = {one.name: getattr(self, one.name) for one in fields(self)}
        ago = self.deployed_ago
        return {
            **facts,
            "cause": self.cause.value,
            "deployed_ago": None if ago is None else ago.total_seconds(),
            "queries": dict(self.queries),
        }

    @classmethod
    def from_json(cls, facts: Json) -> Self:
        """The reverse; what a record does not have is unknown. Raises ValueError, TypeError, KeyError."""
        known = {one.name: facts.get(one.name) for one in fields(cls)}
        ago = known["deployed_ago"]
        return cls(
            **{
                **known,
                "cause": Cause(facts["cause"]),
                "deployed_ago": None if ago is None else timedelta(seconds=ago),
                "kind": str(facts.get("kind") or ""),
                "queries": dict(facts.get("queries") or {}),
            }
        )


@dataclass(frozen=True, slots=True)
class Holds:
    """Whether a condition holds, and the value that was seen, for people."""

    holds: bool
    seen: str


class Bounds(BaseModel):
    """At least one of `min` and `max`, both inclusive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _has_a_bound(self) -> Bounds:
        low, high = getattr(self, "min", None), getattr(self, "max", None)
        if low is None and high is None:
            raise ValueError("give min, max or both")
        if low is not None and high is not None and low > high:
            raise ValueError(f"min {low} is above max {high}: it would never hold")
        return self


class Count(Bounds):
    min: Annotated[int, Field(strict=True, ge=0)] | None = Field(None, description="At least this many.")
    max: Annotated[int, Field(strict=True, ge=0)] | None = Field(None, description="At most this many.")


class Ratio(Bounds):
    min: Annotated[float, Field(strict=True, ge=0, le=1)] | None = Field(None, description="At least this.")
    max: Annotated[float, Field(strict=True, ge=0, le=1)] | None = Field(None, description="At most this.")


class Threshold(BaseModel):
    """One of the rule's `queries` against a bound; both bounds are exclusive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=63, description="Name of the query in the rule's `queries`.")
    above: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = Field(None, description="Greater than.")
    below: Annotated[float, Field(strict=True, allow_inf_nan=False)] | None = Field(None, description="Less than.")

    @model_validator(mode="after")
    def _has_a_bound(self) -> Threshold:
        if self.above is None and self.below is None:
            raise ValueError("give above, below or both")
        if self.above is not None and self.below is not None and self.above >= self.below:
            raise ValueError(f"above {self.above:g} is not under below {self.below:g}: it would never hold")
        return self


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Causes = Annotated[
    tuple[Cause, ...], BeforeValidator(_listed, json_schema_input_type=Cause | list[Cause]), Field(min_length=1)
]
Kind = Annotated[str, known("kind", KIND_OF_WORD.values())]
Kinds = Annotated[
    tuple[Kind, ...], BeforeValidator(_listed, json_schema_input_type=Kind | list[Kind]), Field(min_length=1)
]
Shape = Literal["flat", "leak", "load", "began-with-rollout"]
Shapes = Annotated[
    tuple[Shape, ...], BeforeValidator(_listed, json_schema_input_type=Shape | list[Shape]), Field(min_length=1)
]
Health = Literal["healthy", "unhealthy"]
Truth = Annotated[bool, Field(strict=True)]
Window = Annotated[Duration, between(timedelta(minutes=1), timedelta(days=1))]


@dataclass(frozen=True, slots=True)
class Condition:
    """`parameter` is the type of the YAML value, `holds` decides (evidence, parameter) -> Holds. `implies` says of two
    parameters whether the second holds wherever the first does."""

    parameter: Any
    holds: Callable[[Evidence, Any], Holds]
    description: str
    implies: Callable[[Any, Any], bool] = operator.eq


def _cause(evidence: Evidence, wanted: tuple[Cause, ...]) -> Holds:
    return Holds(evidence.cause in wanted, str(evidence.cause))


def _kind(evidence: Evidence, wanted: tuple[str, ...]) -> Holds:
    return Holds(evidence.kind in wanted, evidence.kind or "unknown")


def _deployed_within(evidence: Evidence, wanted: timedelta) -> Holds:
    if evidence.deployed_ago is None:
        return Holds(False, "unknown")
    if evidence.deployed_ago < timedelta(0):
        return Holds(False, "in the future")  # clocks disagree, which proves nothing
    seen = timedelta(seconds=evidence.deployed_ago // timedelta(seconds=1))
    return Holds(evidence.deployed_ago <= wanted, f"{format_duration(seen)} ago")


def _replicas(evidence: Evidence, wanted: Count) -> Holds:
    return _bounded(evidence.replicas, wanted.min, wanted.max)


def _affected_ratio(evidence: Evidence, wanted: Ratio) -> Holds:
    return _bounded(evidence.affected_ratio, wanted.min, wanted.max)


def _trend(evidence: Evidence, wanted: tuple[str, ...]) -> Holds:
    return Holds(evidence.trend in wanted, evidence.trend or "unknown")


def _began_with_rollout(evidence: Evidence, wanted: bool) -> Holds:
    return _truth(evidence.began_with_rollout, wanted)


def _saturated(evidence: Evidence, wanted: bool) -> Holds:
    return _truth(evidence.is_saturated, wanted)


def _dependency(evidence: Evidence, wanted: str) -> Holds:
    seen = evidence.dependencies_healthy
    words = "unknown" if seen is None else get_args(Health)[0 if seen else 1]
    return Holds(words == wanted, words)


def _query(evidence: Evidence, wanted: Threshold) -> Holds:
    seen = evidence.queries.get(wanted.name)
    if seen is None:
        return Holds(False, "unknown")
    is_above = wanted.above is None or seen > wanted.above
    return Holds(is_above and (wanted.below is None or seen < wanted.below), f"{seen:g}")


def _truth(seen: bool | None, wanted: bool) -> Holds:
    return Holds(seen is wanted, "unknown" if seen is None else "yes" if seen else "no")


def _bounded(seen: float | None, low: float | None, high: float | None) -> Holds:
    if seen is None:
        return Holds(False, "unknown")
    holds = (low is None or seen >= low) and (high is None or seen <= high)
    return Holds(holds, f"{seen:g}")


def _is_among(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return set(one) <= set(other)


def _is_within(one: Count | Ratio, other: Count | Ratio) -> bool:
    low = other.min is None or (one.min is not None and one.min >= other.min)
    return low and (other.max is None or (one.max is not None and one.max <= other.max))


def _is_between(one: Threshold, other: Threshold) -> bool:
    above = other.above is None or (one.above is not None and one.above >= other.above)
    below = other.below is None or (one.below is not None and one.below <= other.below)
    return one.name == other.name and above and below


CONDITIONS: Mapping[str, Condition] = {
    "cause": Condition(
        Causes, _cause, "The cause that the diagnosis found: one, or a list of which one must fit.", _is_among
    ),
    "deployed_within": Condition(
        Window,
        _deployed_within,
        "The last rollout began at most this long ago (1m to 1d). Not proven: does not hold.",
        operator.le,
    ),
    "kind": Condition(Kinds, _kind, "Kind of the workload: one, or a list of which one must fit.", _is_among),
    "replicas": Condition(Count, _replicas, "Desired replicas (`spec.replicas`), bounds inclusive.", _is_within),
    "affected_ratio": Condition(
        Ratio, _affected_ratio, "Share of its pods that are affected, 0 to 1, inclusive.", _is_within
    ),
    "trend": Condition(
        Shapes, _trend, "Shape of its memory use over hours: one, or a list of which one must fit.", _is_among
    ),
    "began_with_rollout": Condition(
        Truth, _began_with_rollout, "Whether the alert began with the last rollout, up to 2 h after it."
    ),
    "saturated": Condition(Truth, _saturated, "Whether its pods use all the CPU that they may."),
    "dependency": Condition(Health, _dependency, "Whether all of the rule's `depends_on` is healthy, or one is not."),
    "query": Condition(Threshold, _query, "Value of one of the rule's `queries` against a bound.", _is_between),
}
