"""Step 5 of an alert: cause + rule -> the first row that holds -> what its action would do. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from remediator.actions import ACTIONS
from remediator.actions.base import Case, NoPlan
from remediator.kube.controller_revisions import ordered_times
from remediator.kube.rollout import deployed_ago
from remediator.kube.workload import Workload, times_of
from remediator.model import Cause, Finding, Json, Plan
from remediator.reasons import Reason
from remediator.rules.conditions import Evidence
from remediator.rules.schema import Row, Rule
from remediator.rules.when import first_row

_PLACEHOLDER = re.compile(r"\{(target|cause|finding\.\w+)\}")


@dataclass(frozen=True, slots=True)
class Planned:
    """`answer` is the plan or why there is none; `trace` shows each row and condition with the value seen, `evidence`
    all that any condition could have asked for."""

    answer: Plan | NoPlan
    row: int | None
    trace: Json
    evidence: Evidence


def make_plan(rule: Rule, case: Case) -> Planned:
    """The first row whose `when` holds decides; no row at all is an answer too, and never acts."""
    evidence = evidence_of(case)
    choice = first_row(rule, evidence)
    if choice.row is None:
        answer: Plan | NoPlan = NoPlan(Reason.NO_ROW, f"no row of rule {rule.name} holds for cause {case.cause}")
        return Planned(answer, None, choice.as_json(), evidence)
    row = rule.respond[choice.row]
    answer = ACTIONS[row.do].plan(case, row.parameters)
    if isinstance(answer, NoPlan) and row.advice:
        answer = NoPlan(answer.reason, answer.detail, _fill(row, case), answer.is_escalation)
    return Planned(answer, choice.row, choice.as_json(), evidence)


def evidence_of(case: Case) -> Evidence:
    """What the conditions of a rule can ask about."""
    workload = case.workload
    readiness = next((finding for finding in case.findings if finding.kind == "readiness"), None)
    return Evidence(
        cause=case.cause,
        deployed_ago=_deployed_ago(case),
        kind=case.target.kind,
        replicas=_replicas(workload),
        affected_ratio=_ratio(readiness),
        trend=_fact(case, "memory-trend", "shape"),
        began_with_rollout=_fact(case, "began-with-rollout", "began"),
        queries={finding.facts["name"]: finding.facts["value"] for finding in case.findings if finding.kind == "query"},
        dependencies_healthy=_dependencies(case),
        is_saturated=_fact(case, "saturation", "is_saturated"),
    )


def _fact(case: Case, kind: str, name: str) -> Any:
    """That fact of the one finding of its kind; None: not looked at, or not known."""
    return next((finding.facts.get(name) for finding in case.findings if finding.kind == kind), None)


def _dependencies(case: Case) -> bool | None:
    """Unhealthy as soon as one is; healthy only when all are known to be."""
    seen = [finding.facts["healthy"] for finding in case.findings if finding.kind == "dependency"]
    if False in seen:
        return False
    return True if seen and all(seen) else None


def _deployed_ago(case: Case) -> timedelta | None:
    """As the deployment watch saw it, or each kind's controller proves it; None: not proven, or without rollouts."""
    workload = case.workload
    if case.target.kind == "Deployment":
        return deployed_ago(times_of(workload), case.now)
    if workload.controller_revisions is None:
        return None
    found = ordered_times(workload.object, workload.controller_revisions, workload.pods)
    return deployed_ago(found.times, case.now)


def _replicas(workload: Workload) -> int | None:
    replicas = workload.object.get("spec", {}).get("replicas")
    return replicas if isinstance(replicas, int) else None


def _ratio(readiness: Finding | None) -> float | None:
    if readiness is None or not readiness.facts["pods"]:
        return None
    return float(readiness.facts["not_ready"]) / float(readiness.facts["pods"])


def _fill(row: Row, case: Case) -> str:
    """Plain substitution of `{target}`, `{cause}` and `{finding.<fact>}`; a fact that nobody found is unknown.

    In one go: what an object or a log says is not looked through for further placeholders.
    """
    values: dict[str, object] = {}
    for finding in reversed(case.findings):  # the first that knows a fact counts
        values |= {f"finding.{name}": value for name, value in finding.facts.items()}
    values |= {"target": case.target, "cause": Cause(case.cause).value}
    return _PLACEHOLDER.sub(lambda found: str(values.get(found[1], "(not known)")), row.advice or "")
