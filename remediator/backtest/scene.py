"""What the service would have looked at for one target, as far as history tells, and what it does not.

The objects go through the service's own eyes: the collectors `containers` and `rollout`, and `rules.plan.evidence_of`.
Every condition of a rule that rests on something else is named in `unsure`. Called by `decide.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from remediator.actions.base import Case
from remediator.backtest.cluster import WORKLOADS, PastCluster, plain
from remediator.backtest.facts import Facts, Seen
from remediator.backtest.rollouts import NO_REVISIONS, Sets, sets_of
from remediator.backtest.rows import Unsure
from remediator.diagnose.base import Scene
from remediator.diagnose.containers import Containers
from remediator.diagnose.rollout import Rollout
from remediator.kube.workload import Workload
from remediator.model import Alert, Cause, Finding, Json, Remediation, Target
from remediator.parts import NO_PROOF
from remediator.rules.conditions import Evidence
from remediator.rules.plan import evidence_of
from remediator.rules.schema import Rule

NEVER_TOLD: Mapping[str, Unsure] = {
    "cause": Unsure("the cause (logs, events, configuration)"),
    "trend": Unsure("the trend of its memory"),
    "dependency": Unsure("whether what it depends on was well"),
    "query": Unsure("what the rule's queries gave"),
    "saturated": Unsure("whether it was saturated"),
}
"""Condition -> what it needs that no series of kube-state-metrics tells."""

PODS = Unsure("which of its pods were ready")
REVISION = Unsure("which of its pods were of the present revision")
REPLICAS = Unsure("its replicas")
NOT_OBSERVED = "whether its spec was observed in time (the controller lagged behind)"


@dataclass(frozen=True, slots=True)
class Picture:
    """`unsure` is the name of a condition -> what it would need; `doubts` are what any action on it would need beside;
    `seen` is what was told of its pods, for people."""

    scene: Scene
    findings: Sequence[Finding]
    evidence: Evidence
    unsure: Mapping[str, Unsure]
    doubts: tuple[str, ...]
    seen: str


async def picture(
    rule: Rule, mine: Remediation, target: Target, cluster: PastCluster, facts: Facts, now: datetime
) -> Picture:
    """Of a target that was resolved at that time."""
    item = plain(target.kind, target.namespace, target.name)
    sets = sets_of(target, facts, now) if target.kind == "Deployment" else None
    pods = _pods(target, sets, facts, now)
    unsure = dict(NEVER_TOLD)
    if (doubt := _pods_doubt(target, pods, facts)) is not None:
        unsure["affected_ratio"] = doubt
    _replicas(item, target, facts, now, unsure)
    if sets is not None:
        item["spec"]["template"] = sets.template
    workload = Workload(
        taken_at=now,
        object=item,
        replica_sets=() if sets is None else sets.objects,
        pods=[cluster.pod(one, now) for one in pods],
        namespace=None,
        config_maps=None,
        claims=None,
        service_accounts=None,
        seen_rollout=None if sets is None else sets.rollout,
    )
    scene = Scene(target, mine.alert, workload, cluster, None, now)
    findings = list(await Containers().collect(scene))
    if _asks(rule, "began_with_rollout"):
        findings += await Rollout().collect(scene)
    _deployed(target, sets, findings, unsure)
    is_unobserved = facts.one("unobserved", (target.namespace, target.name), now) is not None
    return Picture(
        scene=scene,
        findings=findings,
        evidence=_evidence(rule, mine, scene, findings),
        unsure=unsure,
        doubts=(NOT_OBSERVED,) if target.kind == "Deployment" and is_unobserved else (),
        seen=_seen(mine.alert, workload.pods),
    )


def _evidence(rule: Rule, mine: Remediation, scene: Scene, findings: Sequence[Finding]) -> Evidence:
    case = Case(
        target=scene.target,
        alert=scene.alert,
        workload=scene.workload,
        cause=Cause.UNKNOWN,
        findings=findings,
        ledger=(),
        action_id=mine.action_id,
        rule=rule.name,
        proof=NO_PROOF,
        now=scene.now,
    )
    return evidence_of(case)


def _asks(rule: Rule, condition: str) -> bool:
    return any(getattr(row.when, condition, None) is not None for row in rule.respond)


def _pods(target: Target, sets: Sets | None, facts: Facts, now: datetime) -> list[Seen]:
    if sets is None:
        return facts.pods_of(target.namespace, target.kind, target.name, now)
    names = [item["metadata"]["name"] for item in sets.objects]
    return [one for name in names for one in facts.pods_of(target.namespace, "ReplicaSet", name, now)]


def _pods_doubt(target: Target, pods: Sequence[Seen], facts: Facts) -> Unsure | None:
    """Pods that came or went within the step are in doubt, and with them every share of the pods."""
    if target.kind not in WORKLOADS:
        return None  # a Node, a Job: the service knows no share of theirs either
    if not facts.is_told("pods") or not facts.is_told("unready") or not all(one.sure for one in pods):
        return PODS
    return None if target.kind == "Deployment" else REVISION


def _replicas(item: Json, target: Target, facts: Facts, now: datetime, unsure: dict[str, Unsure]) -> None:
    fact = {"Deployment": "replicas", "StatefulSet": "statefulset_replicas"}.get(target.kind)
    seen = None if fact is None else facts.one(fact, (target.namespace, target.name), now)
    if seen is not None:
        item["spec"]["replicas"] = int(seen.value)
    elif fact is not None:
        unsure["replicas"] = REPLICAS


def _deployed(target: Target, sets: Sets | None, findings: Sequence[Finding], unsure: dict[str, Unsure]) -> None:
    """What is not sure of the last rollout, for the two conditions that ask of it."""
    if sets is None:
        if target.kind in ("StatefulSet", "DaemonSet"):
            unsure["deployed_within"] = unsure["began_with_rollout"] = NO_REVISIONS
        return
    doubt = sets.doubt
    if doubt is not None:
        unsure["deployed_within"] = doubt
    began = next((one.facts["began"] for one in findings if one.kind == "began-with-rollout"), None)
    if began is None:
        unsure["began_with_rollout"] = Unsure("whether it began with the rollout")
    elif doubt is not None and (doubt.if_fails or (began and doubt.if_holds)):
        unsure["began_with_rollout"] = replace(doubt, if_holds=True, if_fails=True)


def _seen(alert: Alert, pods: Sequence[Json]) -> str:
    """What was told of its pods, the alert's own first."""
    ordered = sorted(pods, key=lambda pod: pod["metadata"]["name"] != alert.labels.get("pod"))
    said = []
    for pod in ordered:
        for one in pod["status"]["containerStatuses"]:
            words = [reason] if (reason := (one["state"].get("waiting") or {}).get("reason")) else []
            words += [f"{one['restartCount']} restarts in 1h"] if one["restartCount"] else []
            if words:
                said.append(f"{pod['metadata']['name']}/{one['name']} {', '.join(words)}")
    return "; ".join(said[:3])
