"""The budgets of everybody together: of one kind of action, of a namespace and of the cluster, whatever rules ask."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from remediator.guards.base import View
from remediator.guards.spending import spend
from remediator.model import Budget, Scope, Verdict
from remediator.units import Limit, LimitText

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

# The default for a namespace is the floor of safety 2.3, 6: one an hour, or a tenth of its workloads if that is more.
ACTION = (Limit(2, timedelta(minutes=20)),)
"""Burst 2, one more each 10 min (safety 2.3, 4)."""

ROLLBACK = (Limit(1, HOUR),)
"""Burst 1, one more each hour: a second one within the hour means that the fault is not in one release."""


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    action: tuple[LimitText, ...] | None = Field(
        None,
        min_length=1,
        description="Most actions of one kind in the cluster in each window. Default: `1 per 1h` for rollback, `2 per "
        "20m` for any other.",
    )
    namespace: tuple[LimitText, ...] = Field(
        (Limit(1, HOUR),),
        min_length=1,
        description="Most actions in one namespace in each window; raise it for a namespace of many workloads.",
    )
    cluster: tuple[LimitText, ...] = Field(
        (Limit(10, HOUR), Limit(30, DAY)), min_length=1, description="Most actions in the cluster in each window."
    )


class BudgetsGuard:
    name = "budgets"
    parameters = Parameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        assert isinstance(parameters, Parameters)
        of_action = parameters.action or (ROLLBACK if view.plan.action == "rollback" else ACTION)
        limits = {Scope.ACTION: of_action, Scope.NAMESPACE: parameters.namespace, Scope.CLUSTER: parameters.cluster}
        return await spend(self.name, view, [Budget(scope, one) for scope in limits for one in limits[scope]])
