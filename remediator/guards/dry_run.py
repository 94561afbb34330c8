"""The API server's own dry run of the exact request: authorization, validation, admission, preconditions.

It does not prove that the future pods are admitted or scheduled. In silent mode it needs the `patch` permission, which
that mode has only by choice; without it the recommendation says "not provable" instead of failing.
"""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel

from remediator.errors import PermanentError, cut
from remediator.guards.base import NoParameters, View
from remediator.kube.base import Conflict, Forbidden, NotProvable
from remediator.kube.rollout import is_same_template
from remediator.model import Decision, Reason, Verdict

LOOK_AGAIN = timedelta(seconds=5)


class DryRunGuard:
    name = "dry-run"
    parameters = NoParameters

    async def check(self, view: View, parameters: BaseModel) -> Verdict:
        try:
            reply = await view.cluster.send(view.plan.request, dry_run=True)
        except (Forbidden, NotProvable) as error:
            return Verdict(self.name, Decision.RECOMMEND, Reason.NOT_PROVABLE, cut(str(error)))
        except Conflict as error:
            until = view.now + LOOK_AGAIN
            return Verdict(self.name, Decision.HOLD, Reason.CONFLICT, cut(str(error)), until=until)
        except PermanentError as error:
            return Verdict(self.name, Decision.REFUSE, Reason.DRY_RUN_REFUSED, cut(str(error)))
        if not is_same_template(reply["spec"]["template"], view.plan.after):
            detail = "an admission webhook would change the template that the plan restores"
            return Verdict(self.name, Decision.REFUSE, Reason.DRY_RUN_REFUSED, detail)
        return Verdict(self.name, Decision.ALLOW, Reason.NONE, "the API server would accept it")
