"""`do: rollback`: put a workload back to its newest different revision that was proven good.

Like `kubectl rollout undo`, with seven deliberate differences, each tested against it: it refuses an unobserved
spec (kubectl goes back two releases), skips revisions that differ only by a restart, keeps the live annotations, never
returns to a release it left before, never goes back to one that was not proven good, binds the patch to the uid
and generation it was decided on, and takes a StatefulSet's broken pod out of the way of the restored template.
"""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel

from remediator.actions.base import Case, NoPlan, Permission
from remediator.actions.rollback.eviction import evictions, names_of
from remediator.actions.rollback.parameters import Parameters
from remediator.actions.rollback.patch import inverse_patch, rollback_patch
from remediator.actions.rollback.preconditions import first_refusal, kind_refusal
from remediator.actions.rollback.revisions import Revision, Revisions, read_revisions
from remediator.kube.ownership import helm_release
from remediator.kube.permissions import to
from remediator.kube.rollout import live_template, meaningful_hash
from remediator.model import Json, Plan, Step, ToldBy


class Rollback:
    name = "rollback"
    parameters = Parameters
    permissions = (
        Permission("apps", "deployments", ("patch",)),
        Permission("apps", "statefulsets", ("patch",)),
        Permission("apps", "daemonsets", ("patch",)),
        Permission("", "pods/eviction", ("create",)),
    )

    def needs(self, parameters: BaseModel, kinds: Collection[str]) -> tuple[Permission, ...]:
        """By the kinds that the rule names; of a StatefulSet also its broken pod, which is in the way."""
        assert isinstance(parameters, Parameters)
        found = [kind for kind in parameters.kinds if kind in kinds]
        blocking = (to("Pod", "create", subresource="eviction"), to("Pod", "get")) if "StatefulSet" in found else ()
        return (*(to(kind, "get", "patch") for kind in found), *blocking)

    def plan(self, case: Case, parameters: BaseModel) -> Plan | NoPlan:
        """The patch that restores the previous release, or the first of the 14 preconditions that forbids it."""
        assert isinstance(parameters, Parameters)
        if (unsupported := kind_refusal(case, parameters)) is not None:
            return unsupported
        revisions = read_revisions(case.workload)
        if (refusal := first_refusal(case, revisions, parameters)) is not None:
            return refusal
        assert revisions.current is not None  # precondition 1
        assert revisions.previous is not None  # precondition 5
        blocking = evictions(case, revisions.previous)
        if isinstance(blocking, NoPlan):
            return blocking
        template = live_template(revisions.previous.template)
        patch = _patch(case, template, revisions.current, revisions.previous)
        return Plan(
            action=self.name,
            action_id=case.action_id,
            target=case.target,
            steps=(patch, *blocking),
            proof=case.proof,
            generation=case.workload.object["metadata"]["generation"],
            template_hash=meaningful_hash(template),
            summary=_summary(case, revisions, blocking),
            before=live_template(case.workload.template),
            after=template,
            details=_details(case, revisions, template, blocking),
        )


def _patch(case: Case, template: Json, current: Revision, previous: Revision) -> Step:
    workload = case.workload.object
    change_cause = (
        f"rolled back from revision {current.number} to {previous.number} by remediator: "
        f"{case.rule}, action {case.action_id}"
    )
    return Step(
        request=rollback_patch(workload, template, case, change_cause),
        touched=case.target,
        told_by=ToldBy.MARK,
        generation=workload["metadata"]["generation"],
        pointer=("spec", "template"),
        after=template,
        inverse=inverse_patch(workload, template, case),
    )


def _summary(case: Case, revisions: Revisions, blocking: tuple[Step, ...]) -> str:
    release = helm_release(case.workload.object)
    said = [f"roll back {case.target} from revision {revisions.current_number} to {revisions.previous_number}"]
    said += [f"evict {names_of(blocking)}, which would keep it from being rolled out"] if blocking else []
    helm = f" (Helm release {release}: also run helm rollback {release})" if release else ""
    return ", then ".join(said) + helm


def _details(case: Case, revisions: Revisions, template: Json, blocking: tuple[Step, ...]) -> dict[str, Json]:
    target = case.target
    undo = (
        f"kubectl -n {target.namespace} rollout undo {target.kind.lower()}/{target.name}"
        f" --to-revision={revisions.previous_number}"
    )
    delete = f" && kubectl -n {target.namespace} delete pod {' '.join(step.touched.name for step in blocking)}"
    return {
        "from_revision": revisions.current_number,
        "to_revision": revisions.previous_number,
        "from_hash": meaningful_hash(case.workload.template),
        "to_hash": meaningful_hash(template),
        "kubectl": undo + (delete if blocking else ""),
    }
