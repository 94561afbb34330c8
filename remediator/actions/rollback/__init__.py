"""`do: rollback`: put a Deployment back to its newest different revision that was proven good.

Like `kubectl rollout undo`, with six deliberate differences, each tested against it: it refuses an unobserved
spec (kubectl goes back two releases), skips revisions that differ only by a restart, keeps the live annotations, never
returns to a release it left before, never goes back to one that was not proven good, and binds the patch to the uid
and generation it was decided on.
"""

from __future__ import annotations

from pydantic import BaseModel

from remediator.actions.base import Case, NoPlan, Permission
from remediator.actions.rollback.parameters import Parameters
from remediator.actions.rollback.patch import inverse_patch, rollback_patch
from remediator.actions.rollback.preconditions import first_refusal, kind_refusal
from remediator.actions.rollback.revisions import read_revisions
from remediator.kube.ownership import helm_release
from remediator.kube.rollout import live_template, meaningful_hash
from remediator.model import Plan, Step, ToldBy


class Rollback:
    name = "rollback"
    parameters = Parameters
    permissions = (Permission("apps", "deployments", ("patch",)),)

    def plan(self, case: Case, parameters: BaseModel) -> Plan | NoPlan:
        """The one patch that restores the previous release, or the first of the 14 preconditions that forbids it."""
        assert isinstance(parameters, Parameters)
        if (unsupported := kind_refusal(case)) is not None:
            return unsupported
        revisions = read_revisions(case.workload)
        if (refusal := first_refusal(case, revisions, parameters)) is not None:
            return refusal
        assert revisions.current is not None  # precondition 1
        assert revisions.previous is not None  # precondition 5
        change_cause = (
            f"rolled back from revision {revisions.current_number} to {revisions.previous_number} by remediator: "
            f"{case.rule}, action {case.action_id}"
        )
        template = live_template(revisions.previous["spec"]["template"])
        deployment = case.workload.object
        release = helm_release(deployment)
        return Plan(
            action=self.name,
            action_id=case.action_id,
            target=case.target,
            steps=(
                Step(
                    request=rollback_patch(deployment, template, case, change_cause),
                    touched=case.target,
                    told_by=ToldBy.MARK,
                    generation=deployment["metadata"]["generation"],
                    pointer=("spec", "template"),
                    after=template,
                    inverse=inverse_patch(deployment, template, case),
                ),
            ),
            proof=case.proof,
            generation=deployment["metadata"]["generation"],
            template_hash=meaningful_hash(template),
            summary=(
                f"roll back {case.target} from revision {revisions.current_number} to {revisions.previous_number}"
                + (f" (Helm release {release}: also run helm rollback {release})" if release else "")
            ),
            before=live_template(case.workload.template),
            after=template,
            details={
                "from_revision": revisions.current_number,
                "to_revision": revisions.previous_number,
                "from_hash": meaningful_hash(case.workload.template),
                "to_hash": meaningful_hash(template),
                "kubectl": f"kubectl -n {case.target.namespace} rollout undo deployment/{case.target.name}"
                f" --to-revision={revisions.previous_number}",
            },
        )
