"""The cluster gate: with many nodes gone, or our own calls failing, the fault may be ours, and nothing is touched."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from remediator.guards.base import View
from remediator.kube.base import path_of
from remediator.kube.rollout import condition
from remediator.reasons import Reason
from remediator.verdicts import Decision, Gate, Verdict

LOOK_AGAIN = timedelta(minutes=1)
QUIET = timedelta(minutes=10)
FEWEST_CALLS = 20
"""A share of fewer calls says nothing."""

ALWAYS_ALLOWED = 1
"""One node that is not ready is an incident, not an outage; small pools would be locked for ever."""

KEY = "cluster-health"


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    nodes: int = Field(3, ge=1, le=100, description="More nodes that are not ready stop all actions.")
    share: int = Field(20, ge=1, le=50, description="More percent of the nodes do too, where it is more than one node.")
    faults: int = Field(
        10, ge=1, le=50, description="More percent of failed calls to the API server or Prometheus in 5m do too."
    )


class ClusterHealthGuard:
    name = "cluster-health"
    parameters = Parameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        assert isinstance(parameters, Parameters)
        for faults in view.faults:
            failed, calls = faults.share()
            if calls >= FEWEST_CALLS and failed * 100 > calls * parameters.faults:
                return self._stop(view, f"{failed} of {calls} calls to {faults.server} failed within 5m")
        nodes = await view.cluster.list(path_of("Node", namespace=None))
        if not nodes:
            return Verdict(self.name, Decision.REFUSE, Reason.FACT_MISSING, "the cluster shows no nodes at all")
        bad = [node for node in nodes if (condition(node, "Ready") or {}).get("status") != "True"]
        detail = f"{len(bad)} of {len(nodes)} nodes are not ready"
        is_share = len(bad) > ALWAYS_ALLOWED and len(bad) * 100 > len(nodes) * parameters.share
        if len(bad) > parameters.nodes or is_share or len(bad) == len(nodes):
            names = ", ".join(sorted(node["metadata"]["name"] for node in bad)[:5])
            return self._stop(view, f"{detail}: {names}")
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, detail)

    def _stop(self, view: View, detail: str) -> Verdict:
        detail += "; the fault may be ours"
        gate = Gate(KEY, Reason.CLUSTER_UNHEALTHY, detail, QUIET)
        until = view.now + LOOK_AGAIN
        return Verdict(self.name, Decision.HOLD, Reason.CLUSTER_UNHEALTHY, detail, until=until, gate=gate)
