"""Alerts, targets, plans and short cuts through the queue, for the tests of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from remediator.model import (
    ActionId,
    Alert,
    AlertStatus,
    Plan,
    Proof,
    Remediation,
    Request,
    State,
    Step,
    Target,
    ToldBy,
)
from remediator.store.base import Change, Record, Store
from remediator.store.escalations_base import Call

NOW = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)
STARTED = datetime(2026, 11, 23, 11, 55, 0, 1, tzinfo=UTC)
LEASE = timedelta(seconds=30)
SECOND = timedelta(seconds=1)
NOTE = Record("decision.noted", {"why": "a test"})

PATHS: dict[State, Sequence[State]] = {
    State.QUEUED: (),
    State.DIAGNOSING: (State.DIAGNOSING,),
    State.PLANNED: (State.DIAGNOSING, State.PLANNED),
    State.HELD: (State.DIAGNOSING, State.HELD),
    State.AWAITING_APPROVAL: (State.DIAGNOSING, State.PLANNED, State.AWAITING_APPROVAL),
    State.ACTING: (State.DIAGNOSING, State.PLANNED, State.ACTING),
    State.VERIFYING: (State.DIAGNOSING, State.PLANNED, State.ACTING, State.VERIFYING),
    State.FAILED: (State.DIAGNOSING, State.PLANNED, State.ACTING, State.VERIFYING, State.FAILED),
    State.REVERTING: (
        State.DIAGNOSING,
        State.PLANNED,
        State.ACTING,
        State.VERIFYING,
        State.FAILED,
        State.REVERTING,
    ),
    State.DECLINED: (State.DIAGNOSING, State.DECLINED),
}
"""From the queue to the state, one legal step after the other."""


def firing(number: int = 1, *, starts_at: datetime = STARTED) -> Alert:
    return Alert(
        fingerprint=f"{number:016x}",
        status=AlertStatus.FIRING,
        labels={"alertname": "KubePodCrashLooping", "namespace": "shop", "pod": f"api-{number}"},
        annotations={"summary": "Pod ist in einer Schleife ⟳"},
        starts_at=starts_at,
        ends_at=None,
        generator_url="http://prometheus.example/graph",
        receiver="remediator",
        group_key='{}:{alertname="KubePodCrashLooping"}',
    )


def resolved(number: int = 1, *, starts_at: datetime = STARTED) -> Alert:
    return replace(
        firing(number, starts_at=starts_at), status=AlertStatus.RESOLVED, ends_at=starts_at + timedelta(minutes=4)
    )


def target(name: str = "api", *, uid: str = "uid-1") -> Target:
    return Target(cluster="lab", kind="Deployment", namespace="shop", name=name, uid=uid)


def plan(on: Target) -> Plan:
    path = f"/apis/apps/v1/namespaces/{on.namespace}/deployments/{on.name}"
    request = Request("PATCH", path, "application/json-patch+json", [{"op": "test", "path": "/metadata/uid"}])
    return Plan(
        action="rollback",
        action_id=ActionId("a1"),
        target=on,
        steps=(Step(request, on, ToldBy.MARK, generation=7, pointer=("spec", "template"), after={"revision": 3}),),
        proof=Proof(("rollout-complete", "pods-ready"), timedelta(minutes=10), timedelta(minutes=2), "revert"),
        generation=7,
        template_hash="a-hash",
        summary="back to revision 3",
        before={"revision": 4},
        after={"revision": 3},
    )


async def queued(store: Store, *alerts: Alert, at: datetime = NOW) -> list[Remediation]:
    """The alerts accepted and all that is due claimed."""
    await store.accept(alerts, at=at)
    return list(await store.claim(owner="worker-1", at=at, lease=LEASE, limit=100))


async def brought_to(
    store: Store, remediation: Remediation, state: State, *, on: Target | None = None, at: datetime = NOW
) -> Remediation:
    """The claimed remediation, step by step in `state`; `on` is the target it gets with the first step."""
    for number, step in enumerate(PATHS[state]):
        change = Change(target=on) if number == 0 else Change()
        remediation = await store.advance(remediation, to=step, record=NOTE, at=at, change=change)
    return remediation


async def escalated(store: Store, alert: Alert, call: Call, *, on: Target, at: datetime = NOW) -> Remediation:
    """The alert, escalated while it was diagnosed."""
    [remediation] = await queued(store, alert, at=at)
    diagnosing = await brought_to(store, remediation, State.DIAGNOSING, on=on, at=at)
    change = Change(call=call, rule="crash-loop")
    return await store.advance(diagnosing, to=State.ESCALATED, record=NOTE, at=at, change=change)
