"""`do: recommend`: say what a person could do, and do nothing."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict

from remediator.actions.base import Case, NoPlan, Permission
from remediator.reasons import Reason


class Parameters(BaseModel):
    """None: the text is the row's `advice`."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Recommend:
    name = "recommend"
    parameters = Parameters
    permissions: tuple[Permission, ...] = ()

    def needs(self, parameters: BaseModel, kinds: Collection[str]) -> tuple[Permission, ...]:
        return ()

    def plan(self, case: Case, parameters: BaseModel) -> NoPlan:
        return NoPlan(Reason.ROW_RECOMMENDS, f"the rule recommends for cause {case.cause}")
