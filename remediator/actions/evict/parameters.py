"""Which pod a rule lets go."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Parameters(BaseModel):
    """One pod at a time; the preconditions cannot be switched off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    which: Literal["worst", "alert"] = Field(
        default="worst",
        description="`alert`: the pod that the alert names. `worst`: the one that is not ready, leaks, crashed lately, "
        "or is fullest of memory, in this order. Default worst.",
    )
