"""The shared-cause gate: workloads that fail together on one node, zone, image or dependency are that one's problem.

Nothing is done to any of them; people are told once, with the name of what they share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from remediator.guards.base import Surroundings
from remediator.kube.base import path_of
from remediator.reasons import Reason
from remediator.verdicts import AffectedPod, Decision, Gate, Verdict

WINDOW = timedelta(minutes=10)
ZONE = "topology.kubernetes.io/zone"
BY_CHANCE = 1.5
"""How many times its even share a node or zone must have: of two zones one has half of everything."""


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    share: int = Field(50, ge=30, le=90, description="So many percent of the affected pods that share one thing.")
    targets: int = Field(3, ge=2, le=20, description="Fewer targets that share it are no common cause.")


class SharedCauseGuard:
    name = "shared-cause"
    parameters = Parameters

    async def check(self, view: Surroundings, parameters: BaseModel) -> Verdict:
        assert isinstance(parameters, Parameters)
        target = view.target
        pods = await view.store.affected_pods(cluster=target.cluster, since=view.now - WINDOW)
        targets = {pod.target for pod in pods}
        detail = f"{len(pods)} pods of {len(targets)} targets affected within 10m"
        if target.key not in targets or len(targets) < parameters.targets:
            return Verdict(self.name, Decision.ALLOW, Reason.NONE, detail)
        nodes = await view.cluster.list(path_of("Node", namespace=None), metadata_only=True)
        zones = {node["metadata"]["name"]: (node["metadata"].get("labels") or {}).get(ZONE, "") for node in nodes}
        ways: Mapping[str, tuple[Callable[[AffectedPod], str], int]] = {
            "node": (lambda pod: pod.node, len(zones)),
            "zone": (lambda pod: zones.get(pod.node, ""), len(set(zones.values()))),
            "image": (lambda pod: pod.image, 0),
            "dependency": (lambda pod: pod.dependency, 0),
        }
        for what, (value_of, different) in ways.items():
            if (found := _common(pods, value_of, different, parameters)) is None:
                continue
            value, sharing = found
            if target.key not in {pod.target for pod in sharing}:
                continue
            workloads = len({pod.target for pod in sharing})
            said = f"{len(sharing)} of {len(pods)} affected pods, of {workloads} workloads, share {what} {value}"
            gate = Gate(f"shared-cause/{what}/{value}", Reason.SHARED_CAUSE, said, WINDOW)
            return Verdict(self.name, Decision.REFUSE, Reason.SHARED_CAUSE, said, gate=gate)
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, f"{detail}, with nothing in common")


def _common(
    pods: Sequence[AffectedPod], value_of: Callable[[AffectedPod], str], different: int, parameters: Parameters
) -> tuple[str, Sequence[AffectedPod]] | None:
    """The value that enough of the pods share, and those; `different` is how many values there are, 0: any number."""
    values = Counter(value for pod in pods if (value := value_of(pod)))
    for value, count in values.most_common(1):
        sharing = [pod for pod in pods if value_of(pod) == value]
        is_much = count * 100 >= len(pods) * parameters.share
        is_chance = different > 0 and count * different < len(pods) * BY_CHANCE
        if is_much and not is_chance and len({pod.target for pod in sharing}) >= parameters.targets:
            return value, sharing
    return None
