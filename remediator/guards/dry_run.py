"""The API server's own dry run of the exact request: authorization, validation, admission, preconditions.

It does not prove that the future pods are admitted or scheduled. In silent mode it needs the `patch` permission, which
that mode has only by choice; without it the recommendation says "not provable" instead of failing.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from pydantic import BaseModel

from remediator.errors import PermanentError
from remediator.guards.base import NoParameters, View
from remediator.kube.base import Conflict, DisruptionBudget, Forbidden, NotProvable, value_at
from remediator.kube.changes import changes, of_object
from remediator.kube.rollout import is_same_template
from remediator.model import Json, Step
from remediator.reasons import Reason
from remediator.redact import redact_pair
from remediator.verdicts import Decision, DryAnswer, DryRun, FieldChange, Verdict

LOOK_AGAIN = timedelta(seconds=5)
BUDGET_AGAIN = timedelta(seconds=30)
"""A disruption budget opens when a pod becomes ready; kubectl drain asks every 5 s, we have other things to do."""

RBAC_SAYS = re.compile(r"\bcannot \w+ resource\b")
POLICY_SAYS = "ValidatingAdmissionPolicy"


class DryRunGuard:
    name = "dry-run"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        tried: list[DryRun] = []
        for step in view.plan.steps:
            dry_run, no = await self._try(step, view)
            tried.append(dry_run)
            if no is not None:
                return replace(no, dry_runs=tuple(tried))
        detail = "the API server would accept it"
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, detail, dry_runs=tuple(tried))

    async def _try(self, step: Step, view: View) -> tuple[DryRun, Verdict | None]:
        try:
            reply = await view.cluster.send(step.request, dry_run=True)
        except (Forbidden, NotProvable) as error:
            no = Verdict(self.name, Decision.RECOMMEND, Reason.NOT_PROVABLE, str(error))
            return _tried(step, _named(error), str(error)), no
        except DisruptionBudget as error:
            until = view.now + BUDGET_AGAIN
            no = Verdict(self.name, Decision.HOLD, Reason.DISRUPTION_BUDGET, str(error), until=until)
            return _tried(step, DryAnswer.NOT_NOW, str(error)), no
        except Conflict as error:
            no = Verdict(self.name, Decision.HOLD, Reason.CONFLICT, str(error), until=view.now + LOOK_AGAIN)
            return _tried(step, DryAnswer.NOT_NOW, str(error)), no
        except PermanentError as error:
            no = Verdict(self.name, Decision.REFUSE, Reason.DRY_RUN_REFUSED, str(error))
            return _tried(step, DryAnswer.REFUSED, str(error)), no
        done = _tried(step, DryAnswer.ACCEPTED, "", _changes(step, reply, view))
        if step.pointer and not _is_as_planned(value_at(reply, step.pointer), step.after):
            what = "/".join(map(str, step.pointer))
            detail = f"an admission webhook would change the {what} of {step.touched} that the plan sets"
            return done, Verdict(self.name, Decision.REFUSE, Reason.DRY_RUN_REFUSED, detail)
        return done, None


def _tried(step: Step, answer: DryAnswer, detail: str, changes: tuple[FieldChange, ...] = ()) -> DryRun:
    return DryRun(f"{step.request.method} {step.request.path}", str(step.touched), answer, detail, changes)


def _named(error: Forbidden | NotProvable) -> DryAnswer:
    """Why it cannot be tried: RBAC, a policy and a webhook all answer 403, each in its own words."""
    if isinstance(error, NotProvable):
        return DryAnswer.NO_DRY_RUN
    if POLICY_SAYS in str(error) and not RBAC_SAYS.search(str(error)):
        return DryAnswer.DENIED_BY_POLICY
    return DryAnswer.NO_PERMISSION


def _changes(step: Step, reply: Json, view: View) -> tuple[FieldChange, ...]:
    """Of the target itself the whole object is compared, of others (a pod's size, a Scale) the value that is set."""
    if isinstance(reply, dict) and step.touched == view.target and reply.get("kind") == view.target.kind:
        return changes(*redact_pair(of_object(view.workload.object), of_object(reply)))
    if not step.pointer:
        return ()
    return changes(*redact_pair(step.before, value_at(reply, step.pointer)), under=step.pointer)


def _is_as_planned(found: Json, wanted: Json) -> bool:
    """Pod templates are compared without what the API server fills in; it leaves zero replicas out of a Scale."""
    if isinstance(wanted, dict) and isinstance(found, dict) and "spec" in wanted and "spec" in found:
        return is_same_template(found, wanted)
    return bool(found == wanted or (wanted == 0 and found is None))
