"""How far a rule lets one container's memory limit be raised."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from remediator.kube.quantities import quantity


def _bytes(value: Any) -> int:
    amount = quantity(value)
    if amount != int(amount) or amount < 2**20:
        raise ValueError(f"{value!r}: write an amount of memory of at least 1Mi, like 2Gi")
    return int(amount)


Bytes = Annotated[
    int, BeforeValidator(_bytes), WithJsonSchema({"type": ["string", "integer"], "examples": ["2Gi", "1536Mi"]})
]
"""A Kubernetes quantity of memory, in bytes."""


class Parameters(BaseModel):
    """Bounds of one step; quota and limit ranges bound it further. A limit is never lowered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ceiling: Bytes = Field(description="The highest memory limit that this rule may set, like 2Gi. Required.")
    factor: float = Field(
        default=1.5,
        gt=1,
        le=2,
        description="By how much the present limit is multiplied, at most 2. Default 1.5.",
    )
