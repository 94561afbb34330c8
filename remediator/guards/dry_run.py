"""The API server's own dry run of the exact request: authorization, validation, admission, preconditions.

It does not prove that the future pods are admitted or scheduled. In silent mode it needs the `patch` permission, which
that mode has only by choice; without it the recommendation says "not provable" instead of failing.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from remediator.errors import PermanentError
from remediator.guards.base import NoParameters, View
from remediator.kube.base import Conflict, DisruptionBudget, Forbidden, NotProvable, value_at
from remediator.kube.rollout import is_same_template
from remediator.model import Decision, Json, Reason, Step, Verdict

LOOK_AGAIN = timedelta(seconds=5)
BUDGET_AGAIN = timedelta(seconds=30)
"""A disruption budget opens when a pod becomes ready; kubectl drain asks every 5 s, we have other things to do."""


class DryRunGuard:
    name = "dry-run"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        for step in view.plan.steps:
            if (no := await self._try(step, view)) is not None:
                return no
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, "the API server would accept it")

    async def _try(self, step: Step, view: View) -> Verdict | None:
        try:
            reply = await view.cluster.send(step.request, dry_run=True)
        except (Forbidden, NotProvable) as error:
            return Verdict(self.name, Decision.RECOMMEND, Reason.NOT_PROVABLE, str(error))
        except DisruptionBudget as error:
            until = view.now + BUDGET_AGAIN
            return Verdict(self.name, Decision.HOLD, Reason.DISRUPTION_BUDGET, str(error), until=until)
        except Conflict as error:
            return Verdict(self.name, Decision.HOLD, Reason.CONFLICT, str(error), until=view.now + LOOK_AGAIN)
        except PermanentError as error:
            return Verdict(self.name, Decision.REFUSE, Reason.DRY_RUN_REFUSED, str(error))
        if step.pointer and not _is_as_planned(value_at(reply, step.pointer), step.after):
            what = "/".join(map(str, step.pointer))
            detail = f"an admission webhook would change the {what} of {step.touched} that the plan sets"
            return Verdict(self.name, Decision.REFUSE, Reason.DRY_RUN_REFUSED, detail)
        return None


def _is_as_planned(found: Json, wanted: Json) -> bool:
    """Pod templates are compared without what the API server fills in; it leaves zero replicas out of a Scale."""
    if isinstance(wanted, dict) and isinstance(found, dict) and "spec" in wanted and "spec" in found:
        return is_same_template(found, wanted)
    return bool(found == wanted or (wanted == 0 and found is None))
