"""How many actions may be under way at once: the outcome of one is known before the next begins beside it.

One at a time on a workload holds beside this, by a unique index in the database.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from remediator.guards.base import View
from remediator.guards.spending import spend
from remediator.verdicts import AtOnce, Scope, Verdict


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    namespace: int = Field(1, ge=1, le=20, description="Most actions under way at once in one namespace.")
    cluster: int = Field(3, ge=1, le=50, description="Most actions under way at once in the cluster.")


class ConcurrencyGuard:
    name = "concurrency"
    parameters = Parameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        assert isinstance(parameters, Parameters)
        places = [AtOnce(Scope.NAMESPACE, parameters.namespace), AtOnce(Scope.CLUSTER, parameters.cluster)]
        return await spend(self.name, view, places)
