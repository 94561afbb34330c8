"""What the steps of the way of an alert read and write, and what each of them is shown of it.

`app.py` builds the `Parts`; `pipeline.py` passes them from step to step. Nothing here decides or acts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from remediator.actions.base import SCALABLE_KINDS, Case, NamesWorkloads
from remediator.alertmanager.base import Alertmanager
from remediator.authority import NOTHING, UNLIMITED, Authority
from remediator.clock import Clock
from remediator.diagnose.base import Named, Scene
from remediator.diagnose.diagnose import Diagnosis
from remediator.guards.base import View
from remediator.guards.faults import Faults
from remediator.guards.stop import ProvableLog, SwitchInCluster
from remediator.kube.base import Cluster
from remediator.kube.ownership import wishes_of
from remediator.kube.workload import Workload
from remediator.model import Alert, Mode, Plan, Proof, Remediation, Target
from remediator.prometheus.base import Metrics
from remediator.rules.ruleset import RuleSet
from remediator.rules.schema import Rule
from remediator.store.approvals_base import Approval
from remediator.store.base import Store, TemplateEvent
from remediator.store.rollouts_base import RolloutStore
from remediator.watchdog import Watchdog

NO_PROOF = Proof((), timedelta(), timedelta(), "escalate")
"""For rules that only speak: their rows make no plan, and a plan without a proof could never be verified."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the steps read and write. `rules` gives the table as loaded now; `authority_of` what the credential of that
    name may speak of now, None: it is not known; `rollouts` is the memory of the deployment watch, None: there is none;
    `faults` count our own failed calls; `switch` is the kill switch in the cluster, `log` the audit log that must be
    sound; `watchdog` knows whether alerts reach us, None: nobody asks; `clock_offset_seconds` says how far our clock is
    from the cluster's; `decide_within` bounds all waiting before an action; `look_every` is the pause between two looks
    of a verification; `lease` is how long a claim holds from when it was taken, or last found to be ours before a
    write."""

    store: Store
    cluster: Cluster
    metrics: Metrics | None
    clock: Clock
    rules: Callable[[], RuleSet]
    mode: Mode
    protected_namespaces: frozenset[str]
    authority_of: Callable[[str], Authority | None]
    rollouts: RolloutStore | None = None
    faults: Sequence[Faults] = ()
    switch: SwitchInCluster | None = None
    log: ProvableLog | None = None
    alertmanager: Alertmanager | None = None
    watchdog: Watchdog | None = None
    clock_offset_seconds: Callable[[], float | None] = lambda: None
    decide_within: timedelta = timedelta(hours=1)
    look_every: timedelta = timedelta(seconds=5)
    lease: timedelta = timedelta(minutes=1)


async def as_watched(target: Target, workload: Workload, parts: Parts) -> Workload:
    """The picture with what the deployment watch knows of its age: the best signal of a recent rollout."""
    if parts.rollouts is None or target.kind != "Deployment":
        return workload
    return replace(workload, seen_rollout=await parts.rollouts.present_of(target))


def reach_of(alert: Alert, parts: Parts) -> Authority:
    """Where the alert may lead to at all. One that came while no credential was asked for is looked at as ever; whether
    it may act, the guard `scope` says."""
    known = parts.authority_of(alert.credential)
    if known is None:
        return NOTHING if alert.credential else UNLIMITED
    return known


def severity_of(rules: RuleSet, rule: Rule, alert: Alert, workload: Workload | None = None) -> int:
    """The severity that holds: the rule's, or by the alert's label; workload and namespace may make it less severe."""
    objects = () if workload is None else (workload.object, workload.namespace)
    overrides = [wishes_of(item).severity for item in objects if item is not None]
    return rules.severity_of(rule, alert.labels.get("severity"), *overrides)


def scene_of(target: Target, workload: Workload, rule: Rule, alert: Alert, parts: Parts) -> Scene:
    """What the diagnosis may read: the target, and what the rule names beside it."""
    named = [
        text.split("/")
        for row in rule.respond
        if isinstance(row.parameters, NamesWorkloads)
        for text in row.parameters.workloads
    ]
    return Scene(
        target=target,
        alert=alert,
        workload=workload,
        cluster=parts.cluster,
        metrics=parts.metrics,
        now=parts.clock.now(),
        queries=rule.queries,
        dependencies=tuple(one.value() for one in rule.depends_on),
        named=tuple(Named(namespace, SCALABLE_KINDS[word], name) for namespace, word, name in named),
    )


def case_of(
    remediation: Remediation, rule: Rule, scene: Scene, diagnosis: Diagnosis, ledger: Sequence[TemplateEvent]
) -> Case:
    """What the plan is made from."""
    asked = rule.verify
    proof = Proof(asked.expect, asked.within, asked.stable_for, asked.otherwise) if asked else NO_PROOF
    return Case(
        target=scene.target,
        alert=scene.alert,
        workload=scene.workload,
        cause=diagnosis.cause,
        findings=diagnosis.findings,
        ledger=ledger,
        action_id=remediation.action_id,
        rule=rule.name,
        proof=proof,
        now=scene.now,
    )


def view_of(plan: Plan, rule: Rule, severity: int, scene: Scene, parts: Parts, approval: Approval | None) -> View:
    """What the guards look at."""
    return View(
        plan=plan,
        alert=scene.alert,
        workload=scene.workload,
        modes=(parts.mode, rule.mode),
        rule=rule.name,
        rule_digest=rule.digest,
        limits=rule.limits,
        severity=severity,
        severity_allows=parts.rules().severities.allows(severity),
        severity_wait_until=scene.alert.starts_at + parts.rules().severities.wait(severity),
        now=parts.clock.now(),
        cluster=scene.cluster,
        store=parts.store,
        faults=parts.faults,
        approval=approval,
        freezes=parts.rules().freezes,
        switch=parts.switch,
        log=parts.log,
        metrics=parts.metrics,
        alertmanager=parts.alertmanager,
        watchdog=parts.watchdog,
        authority=parts.authority_of(scene.alert.credential),
    )


def dependents_of(target: Target, rules: RuleSet) -> Sequence[tuple[str, str | None]]:
    """The rules whose targets say that they need this one (or the Service of its name), each with the namespace in
    which they mean it; None: in all, since they name its namespace."""
    names = {(target.kind, target.name), ("Service", target.name)}
    return [
        (rule.name, target.namespace if one.namespace is None else None)
        for rule in rules.rules
        for one in rule.depends_on
        if (one.kind, one.object) in names and one.namespace in (None, target.namespace)
    ]
