"""How far and for how long a rule lets a workload be scaled out."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from remediator.units import Duration, between


def _or_none(value: Any) -> Any:
    return None if value == "none" else value


ForATime = Annotated[
    Annotated[Duration, between(timedelta(minutes=5), timedelta(hours=24))] | None,
    BeforeValidator(_or_none),
    WithJsonSchema({"type": "string", "pattern": r"^(none|([0-9]+(y|w|d|h|ms|m|s))+)$", "examples": ["30m", "none"]}),
]
"""A duration, or `none`: for good."""


class Parameters(BaseModel):
    """Bounds of one step; quota and nodes bound it further, and what cannot be known allows one more replica or none.

    One step is taken per cool-down.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_replicas: int = Field(
        ge=2,
        le=1000,
        description="The most replicas (or the highest bound of an autoscaler) that this rule may set. Required.",
    )
    step: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="How much is added at once, as a share of the present replicas; at least one. Default 0.5.",
    )
    restore_after: ForATime = Field(
        default=timedelta(minutes=30),
        json_schema_extra={"default": "30m"},
        description="How long it stays after it helped, from 5m to 24h, or `none` for good. Default 30m.",
    )
    hpa: Literal["recommend", "raise"] = Field(
        default="recommend",
        description="Where an autoscaler is at its limit: `recommend` the new bound, or `raise` it, up to "
        "`max_replicas`. Its replicas are never touched. Default recommend.",
    )
    kinds: tuple[Literal["Deployment", "StatefulSet"], ...] = Field(
        default=("Deployment",),
        min_length=1,
        description="A StatefulSet only if named: each new pod is a new member, with a volume of its own.",
    )
