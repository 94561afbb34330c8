"""The bounds of a rollback that a rule may set."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from remediator.units import Duration


class Parameters(BaseModel):
    """Bounds of a rollback; the preconditions themselves cannot be switched off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recent: Duration = Field(
        default=timedelta(hours=2),
        gt=timedelta(0),
        le=timedelta(days=1),
        description="How long after a rollout it may be undone (a deployment is watched for 2 h).",
    )
    min_good: Duration = Field(
        default=timedelta(minutes=10),
        ge=timedelta(0),
        description="How long the previous revision must have been fully available, unless it still has ready pods.",
    )
    kinds: tuple[Literal["Deployment", "StatefulSet", "DaemonSet"], ...] = Field(
        default=("Deployment",),
        min_length=1,
        description="A StatefulSet or DaemonSet only if named: what its pods wrote since is not rolled back.",
    )
