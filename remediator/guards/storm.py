"""The storm gate: when many targets alert at once it is not one workload's problem, and nothing is done to any.

The whole cluster is recommend-only until it has been calm for a while; people are told once. A refusal ends the
attempt: thousands that wait would all be decided again and again while the storm lasts.

The first targets of a storm are decided on while nobody has looked yet at whose the other alerts are: they wait for it.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from pydantic import BaseModel, ConfigDict, Field

from remediator.clock import rfc3339
from remediator.guards.base import Surroundings
from remediator.reasons import Reason
from remediator.verdicts import Decision, Gate, Verdict

WINDOW = timedelta(minutes=5)
CALM = timedelta(minutes=10)
UNSEEN_WINDOW = timedelta(minutes=1)
LOOK_AGAIN = timedelta(seconds=5)
FLOOR = 3
"""A share of a small cluster is no storm below this."""

KEY = "storm"


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    targets: int = Field(5, ge=2, le=1000, description="So many targets that alert within 5m are a storm.")
    share: int = Field(
        20,
        ge=1,
        le=100,
        description="So many percent of the cluster's workloads are one too, 3 at least; 100: only the number counts.",
    )


class StormGuard:
    name = "storm"
    parameters = Parameters

    async def check(self, view: Surroundings, parameters: BaseModel) -> Verdict:
        assert isinstance(parameters, Parameters)
        cluster = view.target.cluster
        alerting = await view.store.alerting_targets(cluster=cluster, since=view.now - WINDOW)
        most = parameters.targets
        if parameters.share < 100 and (workloads := await view.store.workload_count(cluster=cluster)):
            most = min(most, max(FLOOR, ceil(workloads * parameters.share / 100)))
        counted = f"{alerting} targets alert within 5m"
        if alerting >= most:
            detail = f"{counted}, {most} are a storm: this is not one workload's problem"
            gate = Gate(KEY, Reason.STORM, detail, CALM)
            return Verdict(self.name, Decision.REFUSE, Reason.STORM, detail, gate=gate)
        last = await view.store.gate_seen_at(KEY, cluster=cluster)
        if last is not None and view.now < last + CALM:
            detail = f"{counted}; the storm was over at {rfc3339(last)}, calm enough at {rfc3339(last + CALM)}"
            return Verdict(self.name, Decision.REFUSE, Reason.STORM, detail)
        unseen = await view.store.alerts_unseen(since=view.now - UNSEEN_WINDOW, at_most=most)
        if alerting + unseen >= most:
            detail = f"{counted}, and nobody has looked yet at {unseen} more alerts: {most} targets would be a storm"
            return Verdict(self.name, Decision.HOLD, Reason.STORM, detail, until=view.now + LOOK_AGAIN)
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, f"{counted}, {most} would be a storm")
