"""Steps 3 to 5 of an alert on the rig: what `rollback` would do to the Deployment as it is now."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from remediator.actions import write
from remediator.actions.base import NoPlan
from remediator.actions.rollback import Rollback
from remediator.actions.rollback.parameters import Parameters
from remediator.actions.write import Written
from remediator.clock import Clock, SystemClock
from remediator.kube.client import KubernetesCluster
from remediator.kube.rollout import meaningful_hash
from remediator.kube.workload import read_workload
from remediator.model import Plan, Target
from remediator.store.base import TemplateEvent
from tests.clocks import open_gate
from tests.cluster.steps import App, Object
from tests.workloads import alert, case

CHANGE_CAUSE = "kubernetes.io/change-cause"
GOOD, NEXT, BAD = "shop:1.4", "shop:1.5", "shop:crash-1.6"


def target_of(item: Object, kind: str = "Deployment") -> Target:
    metadata = item["metadata"]
    return Target("rig", kind, metadata["namespace"], metadata["name"], metadata["uid"])


def event(kind: str, template: Object) -> TemplateEvent:
    return TemplateEvent("", meaningful_hash(template), kind, datetime.now(UTC))


async def plan_for(
    target: Target, cluster: KubernetesCluster, *, ledger: tuple[TemplateEvent, ...] = (), clock: Clock | None = None
) -> Plan | NoPlan:
    """Steps 3 to 5 for an alert that has just begun."""
    clock = clock or SystemClock()
    picture = await read_workload(target, cluster, clock)
    assert picture is not None
    now = clock.now()
    return Rollback().plan(
        case(picture, target=target, alert=alert(starts_at=now), ledger=ledger, now=now), Parameters()
    )


async def planned(app: App, cluster: KubernetesCluster, *, ledger: tuple[TemplateEvent, ...] = ()) -> Plan:
    answer = await plan_for(target_of(app.live()), cluster, ledger=ledger)
    assert isinstance(answer, Plan), answer
    return answer


async def refusal(app: App, cluster: KubernetesCluster, *, ledger: tuple[TemplateEvent, ...] = ()) -> NoPlan:
    answer = await plan_for(target_of(app.live()), cluster, ledger=ledger)
    assert isinstance(answer, NoPlan), answer
    return answer


async def act(plan: Plan, number: int, *, cluster: KubernetesCluster, clock: Clock | None = None) -> Written:
    """The request of one step. No service is at work, so no record announced the name it has in the audit log."""
    clock, name = clock or SystemClock(), str(uuid4())
    return await write.act(plan, number, audit_id=name, gate=open_gate, cluster=cluster, clock=clock)


async def undo(plan: Plan, number: int, *, cluster: KubernetesCluster) -> Written:
    return await write.undo(plan, number, audit_id=str(uuid4()), gate=open_gate, cluster=cluster)


def bad_release(app: App) -> None:
    app.deploy(GOOD)
    app.release(BAD)
