"""The budgets of everybody together: of one kind of action, of a namespace and of the cluster, whatever rules ask."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from remediator.guards.base import View
from remediator.guards.spending import spend
from remediator.units import Limit, LimitText
from remediator.verdicts import Budget, Scope, Verdict

HOUR, DAY = timedelta(hours=1), timedelta(days=1)

SHARE = 10
"""A tenth of a namespace's workloads in an hour (safety 2.3, 6); a floor of one, or small ones would be locked."""

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
    namespace: tuple[LimitText, ...] | None = Field(
        None,
        min_length=1,
        description="Most actions in one namespace in each window. Default: a tenth of its workloads per 1h, one at "
        "least.",
    )
    cluster: tuple[LimitText, ...] = Field(
        (Limit(10, HOUR), Limit(30, DAY)), min_length=1, description="Most actions in the cluster in each window."
    )


class BudgetsGuard:
    name = "budgets"
    parameters = Parameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        assert isinstance(parameters, Parameters)
        target = view.plan.target
        workloads = await view.store.workload_count(cluster=target.cluster, namespace=target.namespace)
        return await spend(self.name, view, budgets_of(parameters, view.plan.action, workloads))


def budgets_of(parameters: Parameters, action: str, workloads: int) -> Sequence[Budget]:
    """The budgets of one action in a namespace of so many workloads."""
    limits = {
        Scope.ACTION: parameters.action or (ROLLBACK if action == "rollback" else ACTION),
        Scope.NAMESPACE: parameters.namespace or (Limit(max(1, workloads // SHARE), HOUR),),
        Scope.CLUSTER: parameters.cluster,
    }
    return [Budget(scope, one) for scope in limits for one in limits[scope]]
